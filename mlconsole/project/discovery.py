"""What a project does not say in its settings, found in its files: names and texts are read, nothing is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from mlconsole.project.settings import Section, Settings

DATA_NAMES = ("data/training.csv", "data/train.csv", "data/training.parquet", "data/train.parquet")
SCRIPT_NAMES = ("train_model.py", "train.py", "src/train_model.py", "src/train.py")
PARAMETER_NAMES = ("params.yaml", "params.yml", "config/params.yaml")
TEST_NAMES = ("tests/test_model_quality.py", "tests/test_model.py", "test_model_quality.py", "tests")
MANIFEST_NAMES = ("deployment.yaml", "deployment.yml", "k8s", "kubernetes", "manifests", "deploy", "deploy.yaml")
HOLDOUT_NAMES = ("data/holdout.csv", "data/validation.csv", "data/test.csv", "data/holdout.parquet")
_MOST_READ = 200_000
_S = TypeVar("_S", bound=Section)


class Found(NamedTuple):
    """A setting that was not given: its key, the value that was found, and where."""

    key: str
    value: str | tuple[str, ...]
    where: str


def looks_like_project(folder: Path) -> bool:
    """Whether a folder has a training script or manifests where projects have them."""
    return any((folder / name).exists() for name in (*SCRIPT_NAMES, "deployment.yaml", "deployment.yml"))


def complete(root: Path, given: Settings) -> tuple[Settings, tuple[Found, ...]]:
    """Fill in what settings leave open, as far as the project's files tell it."""
    found: list[Found] = []

    def fill(section: _S, prefix: str, finds: Mapping[str, Found | None]) -> _S:
        open_keys = {key: find for key, find in finds.items() if find is not None and not getattr(section, key)}
        found.extend(find._replace(key=prefix + key) for key, find in open_keys.items())
        return msgspec.structs.replace(section, **{key: find.value for key, find in open_keys.items()})

    data = fill(given.data, "data.", {"path": _first(root, DATA_NAMES) or _only_data_file(root)})
    parameters = fill(given.train, "train.", {"parameters": _first(root, PARAMETER_NAMES)})
    train = fill(parameters, "train.", {"command": _train_command(root, bool(parameters.parameters))})
    data = fill(data, "data.", {"target": _target(root, train.parameters, train.command)})
    manifests = _first(root, MANIFEST_NAMES)
    deploy = fill(
        given.deploy, "deploy.", {"manifests": manifests and manifests._replace(value=(str(manifests.value),))}
    )
    workload = _workload(root, deploy.manifests)
    tests = _first(root, TEST_NAMES)
    settings = msgspec.structs.replace(
        given,
        data=data,
        train=train,
        test=fill(given.test, "test.", {"paths": tests and tests._replace(value=(str(tests.value),))}),
        quality=fill(given.quality, "quality.", {"holdout": _first(root, HOLDOUT_NAMES)}),
        deploy=fill(deploy, "deploy.", {"selector": workload.selector}),
    )
    return fill(settings, "", {"name": workload.name or Found("", _as_name(root.name), "the folder's name")}), tuple(
        found
    )


def _first(root: Path, names: tuple[str, ...]) -> Found | None:
    return next((Found("", name, name) for name in names if (root / name).exists()), None)


def _only_data_file(root: Path) -> Found | None:
    """The one data file of the data folder, where there is just one."""
    files = [path for path in sorted((root / "data").glob("*")) if path.suffix in {".csv", ".parquet"}]
    return Found("", f"data/{files[0].name}", "the only data file") if len(files) == 1 else None


def _train_command(root: Path, has_parameters: bool) -> Found | None:
    """A command for a script that takes the data and the model's path as options, as its text says."""
    for name in SCRIPT_NAMES:
        text = _text(root / name)
        data = re.search(r"""["'](--data(?:[-_]?(?:path|file))?)["']""", text)
        output = re.search(r"""["'](--(?:output|model|out)(?:[-_]?(?:path|file|dir))?)["']""", text)
        if data and output:
            return Found("", f"python {name} {data[1]} {{data}} {output[1]} {{model}}", name)
    return None


def _target(root: Path, parameters: str, command: str) -> Found | None:
    """The target's name: `target:` in the parameters, or TARGET = "…" in the training script."""
    if parameters and (
        match := re.search(r"(?m)^target\s*:\s*[\"']?([\w ]+?)[\"']?\s*(?:#.*)?$", _text(root / parameters))
    ):
        return Found("", match[1], parameters)
    script = next((word for word in command.split() if word.endswith(".py")), "")
    if script and (
        match := re.search(
            r"(?mi)^\s*target(?:_column)?\s*(?::\s*\w+\s*)?=\s*[\"']([^\"']+)[\"']", _text(root / script)
        )
    ):
        return Found("", match[1], script)
    return None


class _Workload(NamedTuple):
    name: Found | None = None
    selector: Found | None = None


def _workload(root: Path, manifests: tuple[str, ...]) -> _Workload:
    """The name and selector of the first workload; manifests that can't be read are the deploy stage's to tell."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in (file for entry in manifests for file in _manifest_files(root / entry)):
        try:
            documents = list(yaml.load_all(_text(path), Loader=loader))
        except (yaml.YAMLError, ValueError):
            continue
        for body in (document for document in documents if isinstance(document, dict)):
            labels = _at(body, "spec", "selector", "matchLabels")
            if body.get("kind") in {"Deployment", "StatefulSet", "DaemonSet", "Rollout"} and isinstance(labels, dict):
                where = str(path.relative_to(root))
                selector = ",".join(f"{key}={value}" for key, value in labels.items())
                name = str(_at(body, "metadata", "name") or "")
                return _Workload(Found("", name, where) if name else None, Found("", selector, where))
    return _Workload()


def _manifest_files(entry: Path) -> list[Path]:
    if entry.is_dir():
        return sorted(path for path in entry.iterdir() if path.suffix in {".yaml", ".yml", ".json"})
    return [entry] if entry.is_file() else []


def _at(body: Any, *keys: str) -> Any:
    for key in keys:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_READ)
    except OSError:
        return ""


def _as_name(text: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-") or "model"
