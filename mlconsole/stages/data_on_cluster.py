"""The data read on the cluster, by a Job beside it: what comes back is what would have been found here."""

from __future__ import annotations

import re

import msgspec

from mlconsole.errors import Exit, OutsideFailed, Problem, WrongUse
from mlconsole.evidence.data import DataEvidence, DataIdentity
from mlconsole.evidence.training import UseSample
from mlconsole.project import Project
from mlconsole.project.settings import TrainSettings
from mlconsole.services.datasets.examine import Asked, Champion
from mlconsole.services.datasets.faults import DataChanged, DataUnfit
from mlconsole.services.datasets.there import Answer, packed
from mlconsole.services.kubernetes.job_manifest import JobPlan, file_path, job, model_path
from mlconsole.services.kubernetes.job_telling import JobResult
from mlconsole.services.kubernetes.training_job import TrainingJobFailed, Wanted
from mlconsole.services.models.side_files import SideFiles
from mlconsole.stages.base import StageContext, digest_of, model_store
from mlconsole.stages.on_cluster import NotOnTheCluster, check_image, plan_of, record_path, run_job, store_url
from mlconsole.stages.train_watch import TrainingWatch

DOING = "Reading the data"
ASKED, ANSWER = "asked", "answer.json"
MOST_BYTES = 900_000
"""What is asked travels in a ConfigMap, which holds at most a mebibyte, and the wrapper."""

_NOT_THERE = re.compile(r"No module named '?mlconsole")
_MODULE = "mlconsole.services.datasets.there"


class ImageWithout(WrongUse):
    """The image in which the data is to be read can't do that."""


class AnswerLost(OutsideFailed):
    """The data was read, but what was found is gone."""


def check(project: Project) -> None:
    """Look for what would stop the data from being read on the cluster.

    Raises:
        NotOnTheCluster: see there.
        Problem: a setting can't be used.
    """
    if not project.settings.data.path:
        raise NotOnTheCluster("It is not known what the data is called in the project.", "Name it: [data] path.")
    check_image(project, _image(project), "the data's Job")
    job(_plan(project, Asked(path=project.settings.data.path)), "check")


def seen_from_here(context: StageContext) -> str:
    """What tells from here whether data elsewhere is what it was: its files' sizes and times, where they can be asked.

    Where they can't, no two releases see the same: the data is read again.
    """
    uri = context.project.settings.train.data_uri
    if "://" in uri or context.project.is_local:
        try:
            return f"{uri} {_listing(uri)}"
        except Exception:  # noqa: BLE001 (each backend raises exceptions of its own; the pods may have rights that we have not)
            return _unseen(context, uri)
    return _unseen(context, uri)


def _unseen(context: StageContext, uri: str) -> str:
    return f"{uri} as release {context.release.number} sees it" if context.release is not None else uri


def _listing(uri: str) -> str:
    from mlconsole.services.models.shared import files_of

    files, path = files_of(uri)
    is_pattern = any(sign in path for sign in "*?[")
    found = files.glob(path, detail=True) if is_pattern else files.find(path, detail=True)
    if not found:
        raise FileNotFoundError(uri)
    parts = ("size", "mtime", "LastModified", "last_modified", "ETag", "e_tag", "etag", "ino")
    return digest_of(*(f"{name} {[str(info.get(part)) for part in parts]}" for name, info in sorted(found.items())))


def examine_there(context: StageContext, asked: Asked, here: DataIdentity | None) -> DataEvidence:
    """Have the data read by a Job, or go on with the one of an earlier runner.

    Args:
        context: of the stage.
        asked: what is to be known.
        here: the data as it is on this machine, where it is here, too: then it has to be the same.

    Raises:
        ImageWithout: the image has no mlconsole, or one of another version.
        DataUnfit: the data can't be trained on, as a pod says; or whatever else it says of it.
        DataChanged: it is other data there than here.
        Problem: as `training_job.run` says.
    """
    plan = _plan(context.project, asked, context)
    watch = DataWatch(context, TrainSettings())
    try:
        result = run_job(context, Wanted.of(plan, DOING), watch, "data")
    except TrainingJobFailed as problem:
        if any(_NOT_THERE.search(line) for line in problem.tail):
            raise _without(plan.image) from problem
        raise
    watch.collector.end()
    evidence = _evidence(_answer(context.project, result, plan.image))
    record_path(context, "data").unlink(missing_ok=True)
    if here is not None and evidence.profile.identity.digest != here.digest:
        hint = "Build the image of this commit, or say where the data is: [train] data_uri."
        raise DataChanged(f"The data that {result.job} read is not the data of this machine.", hint)
    return evidence


def _plan(project: Project, asked: Asked, context: StageContext | None = None) -> JobPlan:
    uri = project.settings.train.data_uri
    text = packed(_slim(asked))
    if len(text) > MOST_BYTES:
        hint = 'Read it on this machine: [data] on = "local".'
        raise NotOnTheCluster("The champion's data has too many columns to be compared with on the cluster.", hint)
    command = ("python3", "-m", _MODULE, file_path(ASKED), model_path(ANSWER), *([uri] if uri else []))
    plan = plan_of(project, "data", _image(project), command, context)
    return msgspec.structs.replace(plan, filename=ANSWER, files=((ASKED, text),))


def _slim(asked: Asked) -> Asked:
    """What is asked, with no more of the champion's data than is compared."""
    if asked.champion is None:
        return asked
    known = asked.champion.evidence
    kept = DataEvidence(profile=known.profile, schema=known.schema, reference=known.reference)
    return msgspec.structs.replace(asked, champion=Champion(label=asked.champion.label, evidence=kept))


def _image(project: Project) -> str:
    return project.settings.data.image or project.settings.train.image


def _answer(project: Project, result: JobResult, image: str) -> Answer:
    """What the Job brought to the store, held against its digest, and taken out of it again."""
    if result.model is None:
        raise AnswerLost(f"Job {result.job} ended well, but what it found is gone.", "Release again.")
    store = model_store(project)
    store.verify(result.model)
    data = store.path(result.model.digest).read_bytes()
    store.remove(result.model.digest)
    value = result.model.digest.rpartition(":")[2]
    SideFiles(store_url(project)).remove(f"sha256/{value[:2]}/{value}")
    try:
        return msgspec.json.decode(data, type=Answer)
    except msgspec.MsgspecError as error:
        raise _without(image) from error


def _evidence(answer: Answer) -> DataEvidence:
    if answer.evidence is not None:
        return answer.evidence
    kinds: dict[int, type[Problem]] = {Exit.WRONG_USE: WrongUse, Exit.REFUSED: DataUnfit}
    raise kinds.get(answer.exit_code, OutsideFailed)(answer.sentence, answer.next_step)


def _without(image: str) -> ImageWithout:
    from mlconsole import __version__

    hint = f"Install it in the image (pip install mlconsole=={__version__}), or name another one: [data] image."
    return ImageWithout(f"The image {image} has no mlconsole of this version, which reads the data there.", hint)


class DataWatch(TrainingWatch):
    """Tells how far the reading is; it prints no metrics."""

    def line(self, text: str) -> None:
        """A line of its output is in the log."""

    def use(self, sample: UseSample) -> None:
        """What its processes use is told of trainings and tests."""
