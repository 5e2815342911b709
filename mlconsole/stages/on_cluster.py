"""What stages have in common that run as a Job on the cluster: their image, their store, and being followed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import StageName
from mlconsole.project import Project
from mlconsole.project.settings import size_in_bytes
from mlconsole.services.kubernetes import training_job
from mlconsole.services.kubernetes.job_manifest import JobPlan
from mlconsole.services.kubernetes.job_telling import JobResult, Watch
from mlconsole.services.models.side_files import SideFiles
from mlconsole.stages.base import StageContext, needed, shares_models
from mlconsole.stages.target import connect
from mlconsole.stages.training_inputs import LOCAL_IMAGE

RECORD = "job.json"


class NotOnTheCluster(WrongUse):
    """The settings ask for something that is not done on the cluster."""


def check_image(project: Project, image: str, what: str) -> None:
    """Look whether it is known what runs; the local cluster has no images.

    Raises:
        NotOnTheCluster: it is not.
    """
    if not image and not project.is_local:
        hint = 'Name it under [train]: image = "registry.example.com/ml-model:{commit}"'
        raise NotOnTheCluster(f"It is not known which image {what} on the cluster runs in.", hint)


def store_url(project: Project) -> str:
    """Where the Job brings its model.

    Raises:
        NotOnTheCluster: there is no store that pods can reach.
    """
    url = project.settings.store.url
    if project.is_local and not url:
        return project.store.as_uri()
    if shares_models(project) or url.startswith("file://"):
        return url
    hint = 'Name one under [store], such as url = "s3://bucket/models", or a folder that is mounted: "file:///models"'
    raise NotOnTheCluster("A training on the cluster needs a store that its pods can write to.", hint)


def plan_of(
    project: Project, what: str, image: str, command: tuple[str, ...], context: StageContext | None, version: int = 0
) -> JobPlan:
    """A Job of the project's, with what the settings say of all of them.

    Args:
        project: the project.
        what: the part of its name that says what it does.
        image: of the settings, with its placeholders.
        command: program and arguments.
        context: None while it is only checked.
        version: the number of the version that is made.
    """
    settings = project.settings.train
    release = context.release if context is not None else None
    commit = context.known.repo.commit if context is not None and context.known.repo else None
    sha = commit.sha if commit else ""
    return JobPlan(
        name=f"{project.settings.name}-{what}-{release.number if release else 0}",
        image=(image or LOCAL_IMAGE).replace("{commit}", sha[:12]).replace("{version}", f"v{version}"),
        command=command,
        store=store_url(project),
        cpu=settings.cpu,
        memory=size_in_bytes(settings.memory, "train.memory"),
        queue=settings.queue,
        service_account=settings.service_account,
        volumes=settings.volumes,
        retries=settings.retries,
        release=release.number if release else 0,
        commit=sha,
        changed_by=release.started_by if release else "",
    )


def record_path(context: StageContext, stage: StageName) -> Path:
    """Where it is kept which Job a stage made."""
    return context.folder / (RECORD if stage == "train" else f"{stage}-{RECORD}")


def run_job(
    context: StageContext, wanted: training_job.Wanted, watch: Watch, stage: StageName, folder: Path | None = None
) -> JobResult:
    """Run something as a Job of the project's cluster, or go on with the one of an earlier runner.

    Args:
        context: of the stage.
        wanted: what is to run.
        watch: what is told meanwhile.
        stage: whose log and record these are.
        folder: where they are instead, where a stage has several Jobs.

    Raises:
        Problem: as `training_job.run` says.
    """
    project = context.project
    with closing(connect(project)) as connection:
        if folder is None:
            label = f"mlconsole.dev/release={needed(context.release).number}"
            base = f"kubectl --context {connection.context} -n {connection.namespace}"
            context.command(f"{base} get {wanted.resource.plural} -l {label}")
        return training_job.run(
            connection,
            wanted,
            record_path=folder / RECORD if folder else record_path(context, stage),
            log_path=folder / f"{stage}.log" if folder else context.log_path(stage),
            watch=watch,
            copies=SideFiles(store_url(project)),
            cancelled=context.cancelled,
        )
