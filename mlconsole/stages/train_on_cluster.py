"""Training on the cluster: the command of the settings as a Job, told as if it ran here."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.training import Parameter, PythonEnvironment, ResourceUse, SweepRun
from mlconsole.project import Project
from mlconsole.project.settings import TrainSettings, seconds
from mlconsole.services.kubernetes import manifests, own_job, training_job
from mlconsole.services.kubernetes.documents import Body
from mlconsole.services.kubernetes.job_manifest import JobPlan, file_path, job, model_path
from mlconsole.services.kubernetes.job_telling import JobResult
from mlconsole.services.kubernetes.jobs import JOBS
from mlconsole.services.kubernetes.resources import Resource
from mlconsole.services.models import incoming
from mlconsole.services.processes import ChildResult
from mlconsole.services.training import command as commands
from mlconsole.services.training import metric_files, notebook
from mlconsole.services.training import parameters as parameter_files
from mlconsole.services.training.environment import digest_of_environment
from mlconsole.services.training.files import remove
from mlconsole.services.training.run import TrainResult
from mlconsole.stages.base import StageContext, digest_of_files, model_store, needed
from mlconsole.stages.on_cluster import RECORD, NotOnTheCluster, check_image, plan_of, record_path, run_job, store_url
from mlconsole.stages.train_sweep import Ran, Report, Sweep, check_sweep
from mlconsole.stages.train_watch import RunWatch, TrainingWatch
from mlconsole.stages.trained import Trained, suffix_of
from mlconsole.stages.training_inputs import working_folder

EXECUTED = "executed.ipynb"
"""What a notebook is called in the pod, with what its cells put out."""

_NO_NOTEBOOKS = re.compile(r"No module named '?(?:papermill|ipykernel)|No such kernel")


class ModelUntold(OutsideFailed):
    """A training ended well, but nothing tells which model it made."""


def resources_of(project: Project) -> tuple[Resource, ...]:
    """What the stages are that run on the cluster; none where all run on this machine.

    Raises:
        Problem: the manifest of the training can't be used.
    """
    train, found = project.settings.train, [JOBS] if project.settings.data.on == "cluster" else []
    if train.on == "cluster":
        found.append(_own_job(project, version=1).resource if train.manifest else JOBS)
    return tuple(dict.fromkeys(found))


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
        check_sweep(project)
    is_notebook = notebook.is_notebook(settings.command)
    takes_model = is_notebook and notebook.takes_model(settings.command, working_folder(project))
    if "model" not in commands.placeholders(settings.command) and not settings.model and not takes_model:
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
    project, settings = context.project, context.project.settings.train
    if settings.sweep and not settings.manifest:

        def run_of(of: Sweep, run: SweepRun, report: Report) -> Ran:
            return _run_of(context, version, of, run, report)

        return Sweep(context, run_of).run()
    watch = TrainingWatch(context, settings)
    if settings.manifest:
        own = _own_job(project, version, context)
        result = run_job(context, _wanted(own), watch, "train")
        watch.collector.end()
        model = _fetched(context, result, own)
        command = f"kubectl create -f {shlex.quote(own.manifest.source)}"
        image = own.plan.image or "the image of its manifest"
    else:
        plan = _plan_of_command(context, version)
        result = _run_plan(context, plan, watch)
        model = _stored(project, result)
        command, image = shlex.join(plan.command), plan.image
    trained = Trained(command, _result(project, result, model, watch), watch.parameters(), {})
    return trained, _environment(result, image)


def _run_plan(context: StageContext, plan: JobPlan, watch: TrainingWatch, folder: Path | None = None) -> JobResult:
    """Run the command of the settings as a Job.

    Raises:
        NotOnTheCluster: it is a notebook, and the image can't run it.
        Problem: as `training_job.run` says.
    """
    try:
        result = run_job(context, training_job.Wanted.of(plan), watch, "train", folder)
    except training_job.TrainingJobFailed as problem:
        if plan.kept and any(_NO_NOTEBOOKS.search(line) for line in problem.tail):
            hint = f"Install papermill and ipykernel in the image {plan.image}."
            raise NotOnTheCluster("The image has nothing that runs notebooks.", hint) from problem
        raise
    watch.collector.end()
    return result


def _run_of(context: StageContext, version: int, of: Sweep, run: SweepRun, report: Report) -> Ran:
    """One run of a sweep, as a Job of its own."""
    project, folder = context.project, context.folder / "sweep" / str(run.number)
    plan = _plan_of_command(context, version, run.parameters, folder)
    plan = msgspec.structs.replace(plan, name=f"{plan.name}-{run.number}")
    watch = RunWatch(context, folder, of, run.number, report)
    line = shlex.join(plan.command)
    of.begins(run, line)
    result = _run_plan(context, plan, watch, folder)

    def trained() -> tuple[Trained, PythonEnvironment]:
        found = {parameter.name: parameter for parameter in (*watch.parameters(), *run.parameters)}
        made = _result(project, result, _stored(project, result), watch)
        return Trained(line, made, tuple(found.values()), {}), _environment(result, plan.image)

    return Ran(tuple(watch.collector.last.values()), trained, lambda best: _drop(context, result, best))


def _drop(context: StageContext, result: JobResult, best: TrainResult) -> None:
    """Remove what a run brought that is not the best: nothing leads there, unless a version has the same.

    From a store that is shared nothing is removed: another machine's version may have the same.
    """
    project, name = context.project, context.project.settings.name
    if project.settings.store.url:
        return
    store = model_store(project)
    needed_by = {file.digest for known in context.journal.versions(name) for file in (known.model, *known.outputs)}
    needed_by_best = {best.model, *(path for _, path in best.outputs)}
    for file in filter(None, (result.model, *result.outputs)):
        path = store.local_path(file.digest)
        if path is not None and path not in needed_by_best and file.digest not in needed_by:
            store.remove(file.digest)


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
    """The Jobs' model is ours now: another attempt at this stage begins anew."""
    record_path(context, "train").unlink(missing_ok=True)
    for record in (context.folder / "sweep").glob(f"*/{RECORD}"):
        record.unlink()


def _plan_of_command(
    context: StageContext, version: int, varied: tuple[Parameter, ...] = (), folder: Path | None = None
) -> JobPlan:
    """The command of the settings as a Job, with some parameters varied; `folder` is the run's own here."""
    project, settings = context.project, context.project.settings
    commit, template = needed(context.known.repo).commit, settings.train.command
    wanted, is_notebook = commands.placeholders(template), notebook.is_notebook(template)
    by_file = tuple(parameter for parameter in varied if parameter.name not in wanted)
    files: tuple[tuple[str, str], ...] = ()
    if by_file and not is_notebook and folder is not None:
        source = project.root / settings.train.parameters
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"params{source.suffix}"
        parameter_files.write_varied(source, by_file, target)
        files = ((target.name, target.read_text("utf-8")),)
    params = file_path(files[0][0]) if files else _from_cwd(settings.train.parameters, settings.train.cwd)
    values = {
        "data": settings.train.data_uri or _from_cwd(settings.data.path, settings.train.cwd),
        "model": model_path(_filename(settings.train)),
        "version": f"v{version}",
        "commit": commit.sha if commit else "",
        "params": params,
        **{parameter.name: parameter.value for parameter in varied},
    }
    words = commands.fill(
        template,
        values,
        Path("python"),
        cwd=working_folder(project),
        executed=Path(model_path(EXECUTED)),
        varied={parameter.name: parameter.value for parameter in by_file},
        runs_in=".",
    )
    source_name = os.path.normpath(Path(settings.train.cwd) / shlex.split(template)[0]) if is_notebook else ""
    kept = ((model_path(EXECUTED), source_name),) if is_notebook else ()
    return msgspec.structs.replace(_plan(project, words, version, context), files=files, kept=kept)


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
