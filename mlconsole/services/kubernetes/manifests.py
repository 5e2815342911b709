"""The manifests of a project: found, read, and put in the order in which they have to be applied."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlconsole.errors import OutsideFailed
from mlconsole.services.kubernetes.documents import (
    Body,
    Manifest,
    ManifestInvalid,
    from_yaml,
    read_documents,
    to_yaml,
)
from mlconsole.services.kubernetes.facts import ReleaseFacts, with_facts
from mlconsole.services.kubernetes.selectors import text_of
from mlconsole.services.processes import CommandMissing, capture

__all__ = [
    "Manifest",
    "ManifestInvalid",
    "ReleaseFacts",
    "find_name",
    "find_selector",
    "from_yaml",
    "in_order",
    "load",
    "render",
    "to_yaml",
    "with_facts",
]

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
KUSTOMIZE_SECONDS = 60
RENDER_SECONDS = 120

ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "StorageClass",
    "PriorityClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
)
"""Kinds that others need, in order; all others (the workloads) come after them."""

AFTER_WORKLOADS = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress")


def load(root: Path, entries: Sequence[str]) -> tuple[Manifest, ...]:
    """Read all manifests that the settings name.

    Args:
        root: the project's folder.
        entries: files, folders (their YAML and JSON files) or kustomizations, relative to `root`.

    Raises:
        ManifestInvalid: one is missing, or is not what kubectl would take.
    """
    found: list[Manifest] = []
    for entry in entries:
        path = root / entry
        kustomized = _kustomization(path)
        if kustomized is not None:
            found.extend(read_documents(_kustomize(kustomized, entry), entry))
            continue
        for file in _files(path, entry):
            name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
            found.extend(read_documents(_text(file, name), name))
    if entries and not found:
        raise ManifestInvalid(f"There is no object in {', '.join(entries)}.", "Write a deployment.yaml, for example.")
    _refuse_twins(found)
    return tuple(found)


def render(root: Path, command: str) -> tuple[Manifest, ...]:
    """Run a command that prints manifests, such as `helm template chart`, in `root`, and read what it prints.

    Raises:
        ManifestInvalid: it can't be run, fails, or what it prints is not what kubectl would take.
    """
    words = _words(command)
    try:
        text = capture(words, cwd=root, timeout=RENDER_SECONDS)
    except CommandMissing as problem:
        raise ManifestInvalid(
            f"{words[0]}, which deploy.render runs, is not installed.",
            "Install it, or name plain manifests in deploy.manifests.",
        ) from problem
    except OutsideFailed as problem:
        raise ManifestInvalid(
            problem.sentence, "Correct deploy.render, or what it renders.", command=problem.command, tail=problem.tail
        ) from problem
    found = read_documents(text, f"`{command}`")
    if not found:
        raise ManifestInvalid(f"`{command}` prints no object.", "Correct deploy.render.")
    _refuse_twins(found)
    return found


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ManifestInvalid(f"deploy.render can't be read as a command ({error}).", "Close its quotes.") from error
    if not words:
        raise ManifestInvalid("deploy.render is empty.", "Name a command, or manifests in deploy.manifests.")
    return words


def in_order(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """Sort by kind: what others need first, workloads, then what watches over them; otherwise as they came."""

    def place(manifest: Manifest) -> int:
        if manifest.kind in ORDER:
            return ORDER.index(manifest.kind)
        return len(ORDER) + (manifest.kind in AFTER_WORKLOADS)

    return tuple(sorted(manifests, key=place))


def find_selector(manifests: Sequence[Manifest]) -> str:
    """Return the labels by which the first workload finds its pods, as `a=b,c=d`; empty where there is none."""
    labels = _match_labels(manifests)
    return text_of(labels)


def find_name(manifests: Sequence[Manifest]) -> str:
    """Return what the model is called in the manifests: its app label, else the workload's name; empty if neither."""
    labels = _match_labels(manifests)
    named = labels.get("app.kubernetes.io/name") or labels.get("app")
    if named:
        return named
    return next((manifest.name for manifest in _workloads(manifests)), "")


def _workloads(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    return (manifest for manifest in manifests if manifest.kind in ("Deployment", "StatefulSet", "Rollout"))


def _match_labels(manifests: Sequence[Manifest]) -> dict[str, str]:
    for manifest in _workloads(manifests):
        spec: Body = manifest.body.get("spec") or {}
        labels = (spec.get("selector") or {}).get("matchLabels")
        if labels:
            return {str(key): str(value) for key, value in labels.items()}
    return {}


def _files(path: Path, entry: str) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if not path.is_file():
        raise ManifestInvalid(f"There is no manifest {entry}.", "Name another one in deploy.manifests, or write it.")
    return [path]


def _text(file: Path, name: str) -> str:
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise ManifestInvalid(f"Can't read {name}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"{name} is not UTF-8 text.", "Save it as UTF-8.") from error


def _kustomization(path: Path) -> Path | None:
    """The folder of a kustomization, where `path` is one."""
    if path.is_file() and path.name in KUSTOMIZATIONS:
        return path.parent
    return path if path.is_dir() and any((path / name).is_file() for name in KUSTOMIZATIONS) else None


def _kustomize(folder: Path, entry: str) -> str:
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(folder)]
    elif shutil.which("kustomize"):
        command = ["kustomize", "build", str(folder)]
    else:
        raise ManifestInvalid(
            f"{entry} is a kustomization, and neither kubectl nor kustomize is installed to build it.",
            "Install one of them, or name plain manifests in deploy.manifests.",
        )
    return capture(command, cwd=folder, timeout=KUSTOMIZE_SECONDS)


def _refuse_twins(manifests: Sequence[Manifest]) -> None:
    seen: dict[tuple[str, str, str, str], Manifest] = {}
    for manifest in manifests:
        key = (manifest.api_version, manifest.kind, manifest.namespace, manifest.name)
        if key in seen:
            first = seen[key]
            raise ManifestInvalid(
                f"{manifest.title} is there twice: in {first.source}, document {first.document}, and in "
                f"{manifest.source}, document {manifest.document}.",
                "Take one of them out.",
            )
        seen[key] = manifest
