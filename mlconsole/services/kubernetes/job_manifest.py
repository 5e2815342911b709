"""What a training on the cluster is there: a Job with the project's image, and a ConfigMap with its wrapper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Record, digest_of_records
from mlconsole.services.kubernetes.facts import (
    CHANGED_BY_ANNOTATION,
    COMMIT_ANNOTATION,
    DATA_DIGEST_ANNOTATION,
    MANAGER,
    RELEASE_ANNOTATION,
    label_value,
)
from mlconsole.services.kubernetes.in_pod.job_wrapper import NO_MODEL
from mlconsole.services.kubernetes.kueue import QUEUE_LABEL
from mlconsole.text import clean_line

WRAPPER = Path(__file__).parent / "in_pod" / "job_wrapper.py"
HELPER = Path(__file__).parents[2] / "report.py"
"""What a training may import to report exactly."""

WRAPPER_FOLDER = "/mlconsole/wrapper"
MODEL_FOLDER = "/mlconsole/model"
FILES = ((WRAPPER.name, WRAPPER.name), (HELPER.name, f"helper/mlconsole/{HELPER.name}"))
"""The files of the ConfigMap, and where the pod sees them."""

CONTAINER = "training"
TRAINING_LABEL = "mlconsole.dev/training"
"""Names a training on all that belongs to it; another runner finds them by it."""

RELEASE_LABEL = RELEASE_ANNOTATION
PLAN_ANNOTATION = "mlconsole.dev/plan"
KEPT_SECONDS = 24 * 3600
"""For so long a Job that has ended can be looked at."""

_GPU = "nvidia.com/gpu"


class SettingUnusable(WrongUse):
    """A setting of a training on the cluster can't be used as it is."""


class JobPlan(Record, frozen=True, kw_only=True):
    """What is to run as a Job.

    Attributes:
        name: what its names begin with, such as `ml-model-train-7`.
        image: of its container.
        command: program and arguments; it writes to `model_path(filename)`.
        store: where the wrapper brings the file that the command wrote.
        filename: what that file is called.
        find: a pattern by which it is found instead of by its name.
        outputs: patterns of files that are brought beside it.
        kept: files of the container that are brought, too, each with the name that it has in the project.
        watched: files of metrics that are handed on whenever they change.
        cwd: the folder to run in, below the image's own.
        cpu: processors, as Kubernetes writes them.
        memory: bytes.
        gpu: a number, or a resource's name and a number.
        queue: Kueue's.
        service_account: of its pods.
        volumes: `claim:/where`.
        environment: variables with their values.
        files: small files with their texts, which the pod sees at `file_path`.
        retries: how often it is tried again.
        deadline: seconds after which it is ended.
        release: the number of the release.
        commit: of the code.
        data_digest: of the data.
        changed_by: who released.
    """

    name: str
    image: str
    command: tuple[str, ...]
    store: str
    filename: str = "model.pkl"
    find: str = ""
    outputs: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    watched: tuple[str, ...] = ()
    cwd: str = ""
    cpu: str = ""
    memory: int | None = None
    gpu: str = ""
    queue: str = ""
    service_account: str = ""
    volumes: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    retries: int = 0
    deadline: float | None = None
    release: int = 0
    commit: str = ""
    data_digest: str = ""
    changed_by: str = ""

    @property
    def digest(self) -> str:
        """Two plans with the same digest are the same training."""
        return digest_of_records(self)


def model_path(filename: str = "model.pkl") -> str:
    """Where, inside the container, the command writes the model."""
    return f"{MODEL_FOLDER}/{filename}"


def file_path(name: str) -> str:
    """Where, inside the container, a file of the plan is."""
    return f"{WRAPPER_FOLDER}/files/{name}"


def copies_of(job: str) -> str:
    """The folder of the store with the whole output of a Job's pods."""
    return f"logs/{job}"


def name_of(plan: JobPlan, token: str) -> str:
    """The Job's name: a DNS label of at most 63 characters that no other training has."""
    base = re.sub(r"[^a-z0-9-]+", "-", plan.name.lower()).strip("-")[:50].rstrip("-") or "training"
    return f"{base}-{token[:6]}"


def labels_of(plan: JobPlan, token: str) -> dict[str, str]:
    """The labels of everything that belongs to a training."""
    return {
        "app.kubernetes.io/name": label_value(plan.name),
        "app.kubernetes.io/component": "training",
        "app.kubernetes.io/managed-by": MANAGER,
        RELEASE_LABEL: str(plan.release),
        TRAINING_LABEL: token,
    }


def annotations_of(plan: JobPlan) -> dict[str, str]:
    """What a Job tells of where it comes from."""
    told = {
        PLAN_ANNOTATION: plan.digest,
        COMMIT_ANNOTATION: plan.commit,
        DATA_DIGEST_ANNOTATION: plan.data_digest,
        CHANGED_BY_ANNOTATION: clean_line(plan.changed_by),
    }
    return {name: value for name, value in told.items() if value}


def config_map(plan: JobPlan, token: str) -> dict[str, Any]:
    """The wrapper, as the pods see it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name_of(plan, token), "labels": labels_of(plan, token)},
        "data": {**{file.name: file.read_text("utf-8") for file in (WRAPPER, HELPER)}, **dict(plan.files)},
    }


def job(plan: JobPlan, token: str) -> dict[str, Any]:
    """The Job.

    Raises:
        SettingUnusable: a volume or a GPU is not written as it should be.
    """
    name = name_of(plan, token)
    metadata: dict[str, Any] = {"name": name, "labels": labels_of(plan, token), "annotations": annotations_of(plan)}
    spec: dict[str, Any] = {
        "backoffLimit": plan.retries,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [NO_MODEL]},
                },
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]
        },
        "template": {"metadata": {"labels": labels_of(plan, token)}, "spec": _pod_spec(plan, name)},
    }
    if plan.deadline is not None:
        spec["activeDeadlineSeconds"] = max(1, round(plan.deadline))
    if plan.queue:
        metadata["labels"][QUEUE_LABEL] = plan.queue
        # the queue starts it; where there is no queue of this name, it must not run past all others
        spec["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _pod_spec(plan: JobPlan, name: str) -> dict[str, Any]:
    claims = [_claim(entry, number) for number, entry in enumerate(plan.volumes)]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": plan.image,
        "command": ["python3", f"{WRAPPER_FOLDER}/{WRAPPER.name}", *_wrapper_arguments(plan, name)],
        "env": [
            {"name": "MLCONSOLE_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": key, "value": literal(value)} for key, value in plan.environment),
        ],
        "resources": _resources(plan),
        "volumeMounts": [
            {"name": "wrapper", "mountPath": WRAPPER_FOLDER, "readOnly": True},
            {"name": "model", "mountPath": MODEL_FOLDER},
            *({"name": claim, "mountPath": path} for claim, _, path in claims),
        ],
    }
    items = [{"key": key, "path": path} for key, path in FILES]
    items += [{"key": name, "path": f"files/{name}"} for name, _ in plan.files]
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": "wrapper", "configMap": {"name": name, "items": items}},
            {"name": "model", "emptyDir": {}},
            *({"name": claim, "persistentVolumeClaim": {"claimName": source}} for claim, source, _ in claims),
        ],
    }
    if plan.service_account:
        spec["serviceAccountName"] = plan.service_account
    return spec


def _wrapper_arguments(plan: JobPlan, name: str) -> list[str]:
    options = {
        "--model": model_path(plan.filename),
        "--store": literal(plan.store),
        "--copy": f"{copies_of(name)}/$(MLCONSOLE_POD).gz",
        "--find": literal(plan.find),
        "--cwd": literal(plan.cwd),
    }
    given = [word for option, value in options.items() if value for word in (option, value)]
    given += [word for pattern in plan.outputs for word in ("--output", literal(pattern))]
    given += [word for place, name in plan.kept for word in ("--keep", literal(f"{place}={name}"))]
    given += [word for name in plan.watched for word in ("--watch", literal(name))]
    return [*given, "--", *(literal(word) for word in plan.command)]


def literal(text: str) -> str:
    """A text that Kubernetes, which reads `$(NAME)` in commands as a variable, takes as it is."""
    return text.replace("$", "$$")


def _resources(plan: JobPlan) -> dict[str, dict[str, str]]:
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    if plan.cpu:
        requests["cpu"] = plan.cpu
    if plan.memory is not None:
        limits["memory"] = requests["memory"] = str(plan.memory)
    if plan.gpu:
        resource, _, amount = plan.gpu.rpartition("=")
        if not amount.isdecimal():
            raise SettingUnusable(f"train.gpu: {plan.gpu!r} is no number of GPUs.", 'Write "1", or "amd.com/gpu=2".')
        limits[resource or _GPU] = amount
    return {key: value for key, value in (("limits", limits), ("requests", requests)) if value}


def _claim(entry: str, number: int) -> tuple[str, str, str]:
    """A volume's name in the pod, the claim, and where it is seen."""
    claim, _, path = entry.partition(":")
    if not claim or not path.startswith("/"):
        raise SettingUnusable(f"train.volumes: {entry!r} is no claim and place.", 'Write it like "models:/models".')
    return f"claim-{number}", claim, path


def encoded(body: dict[str, Any]) -> bytes:
    """An object as it is sent."""
    return msgspec.json.encode(body)
