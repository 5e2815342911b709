"""A Job, JobSet or TrainJob that a project keeps as a manifest of its own, made ready for one training.

Its name gets an end of its own, since what such objects run can't be changed once they exist. What the training has to
know comes into the environment of all of its containers; the manifest's text is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.documents import Body, Manifest
from mlconsole.services.kubernetes.job_manifest import JobPlan, annotations_of, labels_of, name_of
from mlconsole.services.kubernetes.jobs import JOB_SETS, JOBS, TRAIN_JOBS
from mlconsole.services.kubernetes.kueue import QUEUE_LABEL
from mlconsole.services.kubernetes.resources import Resource

KINDS = {resource.kind: resource for resource in (JOBS, JOB_SETS, TRAIN_JOBS)}
MODEL_VARIABLE = "MODEL_OUTPUT_URI"
DATA_VARIABLE = "DATA_URI"
VERSION_VARIABLE = "MODEL_VERSION"
COMMIT_VARIABLE = "GIT_COMMIT"


class OwnJobUnusable(WrongUse):
    """The manifest of a training is not one Job, JobSet or TrainJob."""


class OwnJob(Record, frozen=True, kw_only=True):
    """A manifest of a training, and what it is told.

    Attributes:
        manifest: the Job, JobSet or TrainJob.
        plan: the labels and annotations that it gets, the image where its own is replaced, the queue.
        environment: variables of all containers; `{job}` in a value is the Job's name. What a container has stays.
    """

    manifest: Manifest
    plan: JobPlan
    environment: tuple[tuple[str, str], ...]

    @property
    def resource(self) -> Resource:
        """How it is served."""
        return KINDS[self.manifest.kind]

    @property
    def together(self) -> bool:
        """Whether its pods run at the same time."""
        spec = self.manifest.body.get("spec") or {}
        return self.manifest.kind != "Job" or max(spec.get("parallelism") or 1, spec.get("completions") or 1) > 1

    @property
    def retries(self) -> int:
        """How often it is tried again, as far as it says so itself."""
        limit = (self.manifest.body.get("spec") or {}).get("backoffLimit")
        return limit if isinstance(limit, int) else 0

    def body(self, token: str) -> Body:
        """The object to be made for the training of this token."""
        body = copy.deepcopy(self.manifest.body)
        metadata = body["metadata"]
        metadata.pop("namespace", None)
        metadata["name"] = name_of(self.plan, token)
        own = {QUEUE_LABEL: self.plan.queue} if self.plan.queue else {}
        metadata["labels"] = {**labels_of(self.plan, token), **own, **(metadata.get("labels") or {})}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations_of(self.plan)}
        for container in _containers(self.manifest.kind, body.get("spec") or {}):
            present = container.setdefault("env", [])
            names = {entry.get("name") for entry in present}
            present += [
                {"name": name, "value": value.replace("{job}", metadata["name"])}
                for name, value in self.environment
                if name not in names
            ]
            if self.plan.image:
                container["image"] = self.plan.image
        return body


def find(manifests: Sequence[Manifest], name: str) -> Manifest:
    """The one training among the objects of a file.

    Raises:
        OwnJobUnusable: there is none, or several, or other objects beside it.
    """
    found = [entry for entry in manifests if entry.kind in KINDS]
    others = [entry.title for entry in manifests if entry.kind not in KINDS]
    if len(found) != 1 or others:
        what = ", ".join([*(entry.title for entry in found), *others]) or "nothing"
        raise OwnJobUnusable(
            f"{name} is to hold one Job, JobSet or TrainJob, but holds {what}.",
            "Keep what it needs besides (claims, secrets) in the cluster, and name the one object that trains.",
        )
    served = KINDS[found[0].kind].group_version
    if found[0].api_version != served:
        hint = f"Write apiVersion: {served}"
        raise OwnJobUnusable(f"{name} has apiVersion {found[0].api_version}, which is not known here.", hint)
    return found[0]


def _containers(kind: str, spec: Body) -> Iterator[Body]:
    """The containers that train, wherever a kind keeps them; a TrainJob's trainer is one for this purpose."""
    if kind == "TrainJob":
        yield spec.setdefault("trainer", {})
        return
    templates = [spec.get("template")] if kind == "Job" else _templates(spec)
    for template in templates:
        pods = (template or {}).get("spec") or {}
        yield from (entry for entry in pods.get("containers") or () if isinstance(entry, dict))


def _templates(spec: Body) -> Iterator[Body]:
    for group in spec.get("replicatedJobs") or ():
        job = ((group.get("template") or {}).get("spec")) or {}
        yield job.get("template") or {}
