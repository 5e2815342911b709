"""Manifests: where they are, the workload that serves, and what is missing in them before anything can be deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from mlconsole.project.finding.files import Files, Found, Question
from mlconsole.project.finding.recipes import at, yaml_of
from mlconsole.text import listed

MANIFEST_NAMES = (
    "deployment.yaml", "deployment.yml", "k8s", "kubernetes", "kube",
    "manifests", "deploy", "deployment", "deploy.yaml",
)  # fmt: skip
MOST_LOOKED_AT = 300
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_TEMPLATED = re.compile(
    r"""(?m)^\s*(?:-\s+)?image:\s*["']?(\S*(?:\$\{\w+[^}]*\}|\$\(\w+\)|\$\w+|\{\{.*?\}\}|<[\w-]+>)\S*?)["']?\s*$"""
)


class Workload(NamedTuple):
    """The name and selector of what serves, where they were found."""

    name: Found | None = None
    selector: Found | None = None


def find(files: Files) -> Found | Question:
    """Where the manifests are."""
    for name in MANIFEST_NAMES:
        if files.has(name) and _objects_in(files, name):
            return Found("", (name,), name)
    overlays = sorted({str(PurePosixPath(name).parent) for name in _kustomizations(files) if "overlays/" in name})
    if overlays:
        asked = f"There are {len(overlays)} overlays of the manifests, {listed(overlays)}: which one is released?"
        choose = Question("deploy.manifests", asked, f'[deploy] manifests = ["{overlays[0]}"]', tuple(overlays))
        return choose if len(overlays) > 1 else Found("", (overlays[0],), "the only overlay")
    if kustomized := _kustomizations(files):
        folder = str(PurePosixPath(kustomized[0]).parent)
        return Found("", (folder,), kustomized[0])
    holding = [name for name in files.with_suffix(".yaml", ".yml")[:MOST_LOOKED_AT] if _is_workload(files, name)]
    folders = sorted({str(PurePosixPath(name).parent) for name in holding})
    if len(holding) == 1 and not _in_chart(files, holding[0]):
        folder = folders[0]
        others = [name for name in files.with_suffix(".yaml", ".yml") if str(PurePosixPath(name).parent) == folder]
        alone = folder == "." or not all(_is_object(files, name) for name in others)
        return Found("", (holding[0] if alone else folder,), f"{holding[0]}: the only workload")
    return _asked_for(files, [folder for folder in folders if not _in_chart(files, f"{folder}/x")])


def _asked_for(files: Files, folders: Sequence[str]) -> Question:
    chart = next((name for name in files.names if PurePosixPath(name).name == "Chart.yaml"), "")
    if folders:
        sentence = f"Workloads are in several places, {listed(list(folders))}: which are released?"
        return Question("deploy.manifests", sentence, f'[deploy] manifests = ["{folders[0]}"]', tuple(folders))
    if chart:
        folder = str(PurePosixPath(chart).parent)
        hint = f'Render it in each release: [deploy] render = "helm template {folder}"'
        return Question(
            "deploy.manifests", f"{folder} is a Helm chart, which has to be rendered to manifests first.", hint
        )
    hint = 'Name them in mlconsole.toml: [deploy] manifests = ["deployment.yaml"]'
    return Question("deploy.manifests", "No manifests were found: nothing says what to deploy.", hint)


def workload(files: Files, entries: Sequence[str]) -> Workload:
    """The name and selector of the first workload; manifests that can't be read are the deploy stage's to tell."""
    for name in (file for entry in entries for file in files_of(files, entry)):
        for body in _documents(files, name):
            labels = at(body, "spec", "selector", "matchLabels")
            if at(body, "kind") in WORKLOADS and isinstance(labels, dict):
                selector = ",".join(f"{key}={value}" for key, value in labels.items())
                called = str(at(body, "metadata", "name") or "")
                return Workload(Found("", called, name) if called else None, Found("", selector, name))
    return Workload()


def missing(files: Files, entries: Sequence[str], image: str) -> Iterator[Question]:
    """What the manifests lack: files that a kustomization names, the image of a template."""
    for entry in entries:
        for kustomization, name in _lost(files, entry):
            sentence = f"{kustomization} names {name}, which is not there."
            yield Question("deploy.manifests", sentence, "Write the file, or take its name out.")
    for name in (file for entry in entries for file in files_of(files, entry)):
        found = _TEMPLATED.search(files.text(name))
        if found and not image:
            sentence = f"The image in {name} is a template, {found[1]}: nothing says what stands in its place."
            hint = 'Set it: [deploy] image = "registry.example.com/model:{commit}"'
            yield Question("deploy.image", sentence, hint)
            return


def files_of(files: Files, entry: str) -> tuple[str, ...]:
    """The manifest files that an entry of the settings stands for; those of a kustomization by its resources."""
    place = files.root / entry
    if place.is_file() and place.name not in KUSTOMIZATIONS:
        return (entry,)
    folder = PurePosixPath(entry).parent if place.is_file() else PurePosixPath(entry)
    kustomization = next((str(folder / name) for name in KUSTOMIZATIONS if files.has(str(folder / name))), "")
    if kustomization:
        return tuple(name for name, is_there in _resources(files, kustomization) if is_there)
    if not place.is_dir():
        return ()
    names = sorted(
        path.name for path in place.iterdir() if path.suffix in {".yaml", ".yml", ".json"} and path.is_file()
    )
    return tuple(str(folder / name) for name in names)


def _lost(files: Files, entry: str) -> Iterator[tuple[str, str]]:
    for name in KUSTOMIZATIONS:
        path = entry if PurePosixPath(entry).name == name else str(PurePosixPath(entry) / name)
        if (files.root / path).is_file():
            yield from ((path, lost) for lost, is_there in _resources(files, path) if not is_there)


def _resources(files: Files, kustomization: str, depth: int = 0) -> Iterator[tuple[str, bool]]:
    """The files that a kustomization is made of, and whether they are there; those of its bases, too."""
    import posixpath

    folder = PurePosixPath(kustomization).parent
    body = yaml_of(files, kustomization)
    named = [
        at(body, key) or () for key in ("resources", "bases", "components", "patchesStrategicMerge", "configurations")
    ]
    patches = [at(patch, "path") for patch in at(body, "patches") or () if isinstance(patch, dict)]
    for name in [*(entry for entries in named if isinstance(entries, list) for entry in entries), *patches]:
        if not isinstance(name, str) or "://" in name or name.startswith(("github.com", "git@")) or "\n" in name:
            continue
        path = posixpath.normpath(str(folder / name))
        below = next((f"{path}/{kind}" for kind in KUSTOMIZATIONS if files.has(f"{path}/{kind}")), "")
        if below and depth < 5:
            yield from _resources(files, below, depth + 1)
        else:
            yield path, files.has(path)


def _kustomizations(files: Files) -> list[str]:
    return [name for name in files.names if PurePosixPath(name).name in KUSTOMIZATIONS]


def _objects_in(files: Files, entry: str) -> bool:
    """Whether there is any object of Kubernetes."""
    folder = PurePosixPath(entry)
    if any(files.has(str(folder / name)) for name in KUSTOMIZATIONS):
        return True
    return any(_is_object(files, name) or name.endswith(".json") for name in files_of(files, entry)) or (
        # one that can't be read is still what a person would look at
        (files.root / entry).is_file()
    )


def _is_object(files: Files, name: str) -> bool:
    text = files.text(name)
    return bool(re.search(r"(?m)^apiVersion:", text)) and bool(re.search(r"(?m)^kind:", text))


def _is_workload(files: Files, name: str) -> bool:
    kinds = "|".join(WORKLOADS)
    return _is_object(files, name) and bool(re.search(rf"(?m)^kind:\s*(?:{kinds})\s*$", files.text(name)))


def _in_chart(files: Files, name: str) -> bool:
    return any(files.has(str(folder / "Chart.yaml")) for folder in PurePosixPath(name).parents)


def _documents(files: Files, name: str) -> Iterator[Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from list(yaml.load_all(files.text(name), Loader=loader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return
