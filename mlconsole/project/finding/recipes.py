"""How a project itself says that it trains: dvc.yaml, a Makefile, MLproject, scripts of pyproject.toml, notebooks."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mlconsole.project.finding.files import Files, Found, Question
from mlconsole.project.finding.scripts import TRAINS, quoted
from mlconsole.text import listed

MOST_NOTEBOOKS = 30
MAKEFILES = ("Makefile", "makefile", "GNUmakefile")
_PLAINLY = re.compile(r"train(ing)?|fit|train[-_.]?model|model[-_.]?train(ing)?", re.I)
_BESIDE = re.compile(r"split|data|prepar|preproc|feature|test|eval|predict|plot|clean|install|image|deploy", re.I)
"""What has to do with training in recipes' names, and does not train."""


def recipe(files: Files) -> Found | Question | None:
    """The command of the recipe that is named for training; where several are, which one is asked."""
    for every in (_of_dvc(files), _of_make(files), _of_mlflow(files), _of_pyproject(files)):
        found = {name: entry for name, entry in every if not _BESIDE.search(name)}
        if chosen := next((entry for name, entry in found.items() if _PLAINLY.fullmatch(name)), None):
            return chosen
        commands = tuple(dict.fromkeys(str(entry.value) for entry in found.values()))
        if len(commands) == 1:
            return next(iter(found.values()))
        if commands:
            place = next(iter(found.values())).where.partition(":")[0]
            sentence = f"{len(found)} recipes of {place} could train, {listed(list(found))}: which one makes the model?"
            return Question("train.command", sentence, f"Name it: [train] command = '{commands[0]}'", commands)
    return None


def notebooks(files: Files) -> tuple[str, ...]:
    """The notebooks that train: by their names, else by what their cells do."""
    every = [name for name in files.with_suffix(".ipynb") if ".ipynb_checkpoints" not in name]
    named = [name for name in every if TRAINS.search(PurePosixPath(name).stem)]
    return tuple(named or [name for name in every[:MOST_NOTEBOOKS] if ".fit(" in _code_of(files, name)])


def read_by_dvc(files: Files) -> tuple[str, tuple[str, ...]]:
    """The stage of dvc.yaml that trains and the files that it depends on; empty where none does for certain."""
    chosen = recipe(files)
    name = chosen.where.removeprefix("dvc.yaml: stage ") if isinstance(chosen, Found) else ""
    entries = at(yaml_of(files, "dvc.yaml"), "stages", name, "deps") if name else None
    names = [next(iter(entry), "") if isinstance(entry, dict) else entry for entry in entries or ()]
    return name, tuple(entry for entry in names if isinstance(entry, str))


def _of_dvc(files: Files) -> Iterator[tuple[str, Found]]:
    stages = at(yaml_of(files, "dvc.yaml"), "stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        command = at(stage, "cmd")
        if not TRAINS.search(str(name)) or not isinstance(command, str):
            continue
        # DVC fills in its own templates, and it alone knows with what
        line = f"dvc repro --force --single-item {name}" if "${" in command else " ".join(command.split())
        yield str(name), Found("", line, f"dvc.yaml: stage {name}")


def _of_make(files: Files) -> Iterator[tuple[str, Found]]:
    for name in MAKEFILES:
        for match in re.finditer(r"(?m)^([\w.-]+)\s*:(?!=)", files.text(name)):
            if re.match(r"train|fit$", match[1], re.I):
                yield match[1], Found("", f"make {match[1]}", f"{name}: target {match[1]}")


def _of_mlflow(files: Files) -> Iterator[tuple[str, Found]]:
    points = at(yaml_of(files, "MLproject"), "entry_points")
    for name, point in points.items() if isinstance(points, dict) else ():
        command = at(point, "command")
        if isinstance(command, str) and (name == "main" or TRAINS.search(str(name))) and "{" not in command:
            yield str(name), Found("", " ".join(command.split()), f"MLproject: entry point {name}")


def _of_pyproject(files: Files) -> Iterator[tuple[str, Found]]:
    try:
        table = tomllib.loads(files.text("pyproject.toml"))
    except tomllib.TOMLDecodeError:
        return
    for place in (
        ("project", "scripts"),
        ("tool", "poetry", "scripts"),
        ("tool", "pdm", "scripts"),
        ("tool", "poe", "tasks"),
    ):
        found = at(table, *place)
        for name, entry in found.items() if isinstance(found, dict) else ():
            if TRAINS.search(name) and isinstance(entry, str):
                is_entry_point = re.fullmatch(r"[\w.]+:\w+", entry)
                # the script of an entry point is there only where the project is installed; its function always is
                module, _, function = entry.partition(":")
                in_src = files.has(f"src/{module.partition('.')[0]}")
                before = "PYTHONPATH=src " if in_src else ""
                run = f'{before}python -c "from {module} import {function}; {function}()"'
                line = run if is_entry_point else entry
                yield name, Found("", line, f"pyproject.toml: {'.'.join(place)}.{name}")


def yaml_of(files: Files, name: str) -> Any:
    """A YAML file's first document; None where there is none, or it can't be read."""
    text = files.text(name)
    if not text:
        return None
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def at(body: Any, *keys: str) -> Any:
    """What stands below keys, one in the other; None where there is nothing."""
    for key in keys:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _code_of(files: Files, name: str) -> str:
    try:
        cells = json.loads(files.text(name)).get("cells", [])
    except (ValueError, AttributeError):
        return ""
    return "\n".join("".join(cell.get("source", "")) for cell in cells if cell.get("cell_type") == "code")


def notebook_command(name: str) -> str:
    """The command of a notebook: its own path."""
    return quoted(name)
