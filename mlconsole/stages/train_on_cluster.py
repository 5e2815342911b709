"""Training on the cluster: the command of the settings as a Job, told as if it ran here."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.training import (
    PythonEnvironment,
    ResourceUse,
)
from mlconsole.project import Project
from mlconsole.project.settings import TrainSettings, seconds
from mlconsole.services.kubernetes import manifests, own_job, training_job
from mlconsole.services.kubernetes.documents import Body
from mlconsole.services.kubernetes.job_manifest import JobPlan, job, model_path
from mlconsole.services.kubernetes.job_telling import JobResult
from mlconsole.services.kubernetes.jobs import JOBS
from mlconsole.services.kubernetes.resources import Resource
from mlconsole.services.models import incoming
from mlconsole.services.processes import ChildResult
from mlconsole.services.training import command as commands
from mlconsole.services.training import metric_files, notebook
from mlconsole.services.training.environment import digest_of_environment
from mlconsole.services.training.files import remove
from mlconsole.services.training.run import TrainResult
from mlconsole.stages.base import StageContext, digest_of_files, model_store, needed
from mlconsole.stages.on_cluster import NotOnTheCluster, check_image, plan_of, record_path, run_job, store_url
from mlconsole.stages.train_here import Trained, suffix_of
from mlconsole.stages.train_watch import TrainingWatch


class ModelUntold(OutsideFailed):
    """A training ended well, but nothing tells which model it made."""


def resource_of(project: Project) -> Resource | None:
    """What a training is on the cluster; None where it runs on this machine.

    Raises:
        Problem: the manifest of the training can't be used.
    """
    if project.settings.train.on != "cluster":
        return None
    return _own_job(project, version=1).resource if project.settings.train.manifest else JOBS


def check(project: Project) -> None:
    """Look for what would stop a training on the cluster.

    Raises:
        NotOnTheCluster: see there.
        Problem: a setting can't be used.
    """
    settings = project.settings.train
    if settings.manifest:
        _own_job(project, version=1)
        return
    check_image(project, settings.image, "the training")
    if settings.sweep:
        raise NotOnTheCluster("A sweep runs on this machine only.", 'Take out [train.sweep], or set on = "local".')
    if notebook.is_notebook(settings.command):
        raise NotOnTheCluster("A notebook is run on this machine only.", "Name a script, or a command with papermill.")
    if "model" not in commands.placeholders(settings.command) and not settings.model:
        hint = "Put {model} where the model's path belongs in train.command, or name a pattern: [train] model"
        raise NotOnTheCluster("It is not known where the training leaves its model.", hint)
    store_url(project)
    job(_plan(project, ("true",), version=1), "check")


def train_on_cluster(context: StageContext, version: int) -> tuple[Trained, PythonEnvironment]:
    """Run the training of the settings as a Job, or go on with the one of an earlier runner.

    Returns:
        What came of it, and the Python that it ran in.

    Raises:
        Problem: as `training_job.run` says; or the model can't be had from the store, or is another one.
    """
    project = context.project
    watch = TrainingWatch(context, project.settings.train)
    if project.settings.train.manifest:
        own = _own_job(project, version, context)
        result = run_job(context, _wanted(own), watch, "train")
        watch.collector.end()
        model = _fetched(context, result, own)
        command = f"kubectl create -f {shlex.quote(own.manifest.source)}"
        image = own.plan.image or "the image of its manifest"
    else:
        words = _command(context, version)
        plan = _plan(project, words, version, context)
        result = run_job(context, training_job.Wanted.of(plan), watch, "train")
        watch.collector.end()
        model = _stored(project, result)
        command, image = shlex.join(words), plan.image
    trained = Trained(command, _result(project, result, model, watch), watch.parameters(), {})
    return trained, _environment(result, image)


def _own_job(project: Project, version: int, context: StageContext | None = None) -> own_job.OwnJob:
    """The training that the project keeps as a manifest, with what it is told.

    Raises:
        Problem: it can't be used.
    """
    settings = project.settings.train
    manifest = own_job.find(manifests.load(project.root, [settings.manifest]), settings.manifest)
    digest = digest_of_files(project.root, [project.root / settings.manifest])
    plan = _plan(project, ("manifest", digest), version, context)
    told = {
        own_job.MODEL_VARIABLE: _incoming(project, "{job}"),
        own_job.DATA_VARIABLE: settings.data_uri or project.settings.data.path,
        own_job.VERSION_VARIABLE: f"v{version}",
        own_job.COMMIT_VARIABLE: plan.commit,
    }
    environment = tuple((name, value) for name, value in told.items() if value)
    image = plan.image if settings.image else ""
    return own_job.OwnJob(manifest=manifest, plan=msgspec.structs.replace(plan, image=image), environment=environment)


def _wanted(own: own_job.OwnJob) -> training_job.Wanted:
    def make(token: str) -> Sequence[tuple[Resource, Body]]:
        body = own.body(token)
        incoming.prepare(dict(own.environment)[own_job.MODEL_VARIABLE].replace("{job}", body["metadata"]["name"]))
        return ((own.resource, body),)

    return training_job.Wanted(
        digest=own.plan.digest,
        make=make,
        resource=own.resource,
        queue=own.plan.queue,
        retries=own.retries,
        together=own.together,
    )


def _incoming(project: Project, job_name: str) -> str:
    """Where a training of the project's own manifest leaves its model."""
    return f"{store_url(project)}/incoming/{job_name}/{_filename(project.settings.train)}"


def _fetched(context: StageContext, result: JobResult, own: own_job.OwnJob) -> Path:
    """The model that a training of the project's own manifest left, brought here."""
    target = context.folder / _filename(context.project.settings.train)
    uri = dict(own.environment)[own_job.MODEL_VARIABLE].replace("{job}", result.job)
    remove(target)
    if not incoming.fetch(uri, target):
        beside = f"{Path(uri).name}.sha256"
        context.note(f"Nothing tells which digest the model should have; a file {beside} beside it would.")
    incoming.remove(uri)
    return target


def forget(context: StageContext) -> None:
    """The Job's model is ours now: another attempt at this stage begins anew."""
    record_path(context, "train").unlink(missing_ok=True)


def _command(context: StageContext, version: int) -> tuple[str, ...]:
    settings = context.project.settings
    commit = needed(context.known.repo).commit
    values = {
        "data": settings.train.data_uri or _from_cwd(settings.data.path, settings.train.cwd),
        "model": model_path(_filename(settings.train)),
        "version": f"v{version}",
        "commit": commit.sha if commit else "",
        "params": _from_cwd(settings.train.parameters, settings.train.cwd),
    }
    return commands.fill(settings.train.command, values, Path("python"))


def _from_cwd(path: str, cwd: str) -> str:
    """A path of the project as the folder that the command runs in sees it."""
    if not path or not cwd or Path(path).is_absolute() or "://" in path:
        return path
    return os.path.relpath(path, cwd)


def _filename(settings: TrainSettings) -> str:
    return f"model{suffix_of(settings.model)}"


def _plan(project: Project, command: tuple[str, ...], version: int, context: StageContext | None = None) -> JobPlan:
    settings = project.settings.train
    return msgspec.structs.replace(
        plan_of(project, "train", settings.image, command, context, version),
        filename=_filename(settings),
        find=settings.model,
        outputs=settings.outputs,
        watched=settings.metrics or metric_files.USUAL,
        cwd=settings.cwd,
        gpu=settings.gpu,
        deadline=seconds(settings.timeout, "train.timeout"),
        data_digest=context.known.data_digest if context is not None else "",
    )


def _environment(result: JobResult, image: str) -> PythonEnvironment:
    return PythonEnvironment(
        executable=f"{result.executable or 'Python'} in {image}",
        version=result.python,
        digest=digest_of_environment(result.python, result.packages),
        found="image",
        packages=result.packages,
    )


def _stored(project: Project, result: JobResult) -> Path:
    """The model that a Job brought to the store, held against the digest that its pod told."""
    store, model = model_store(project), result.model
    if model is None:
        hint = "Train again; somebody may have deleted its pod before its log was read."
        raise ModelUntold(f"Job {result.job} ended well, but what it said of its model is gone.", hint)
    # what is fetched is digested on its way; what was there already is read again
    path = store.path(model.digest)
    store.verify(model)
    return path


def _result(project: Project, result: JobResult, model: Path, watch: TrainingWatch) -> TrainResult:
    store = model_store(project)
    use = ResourceUse(seconds=result.seconds, cpu_seconds=result.cpu_seconds, peak_memory=result.peak_memory)
    return TrainResult(
        child=ChildResult(exit_code=0, use=use, lines=result.lines, tail=result.tail),
        metrics=tuple(watch.collector.last.values()),
        points=watch.collector.points,
        model=model,
        found=result.found,
        parameters=tuple(watch.collector.parameters.values()),
        outputs=tuple((output.filename, store.path(output.digest)) for output in result.outputs),
        missing=result.missing_outputs,
    )
