"""How a project itself says that it trains: dvc.yaml, a Makefile, MLproject, scripts of pyproject.toml, notebooks."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import PurePosixPath
from typing import Any

from mlconsole.project.finding.files import Files, Found
from mlconsole.project.finding.scripts import TRAINS, quoted

MOST_NOTEBOOKS = 30
MAKEFILES = ("Makefile", "makefile", "GNUmakefile")


def recipe(files: Files) -> Found | None:
    """The command of the first recipe that is named for training."""
    return _of_dvc(files) or _of_make(files) or _of_mlflow(files) or _of_pyproject(files)


def notebooks(files: Files) -> tuple[str, ...]:
    """The notebooks that train: by their names, else by what their cells do."""
    every = [name for name in files.with_suffix(".ipynb") if ".ipynb_checkpoints" not in name]
    named = [name for name in every if TRAINS.search(PurePosixPath(name).stem)]
    return tuple(named or [name for name in every[:MOST_NOTEBOOKS] if ".fit(" in _code_of(files, name)])


def _of_dvc(files: Files) -> Found | None:
    stages = at(yaml_of(files, "dvc.yaml"), "stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        command = at(stage, "cmd")
        if not TRAINS.search(str(name)) or not isinstance(command, str):
            continue
        # DVC fills in its own templates, and it alone knows with what
        line = f"dvc repro --force --single-item {name}" if "${" in command else " ".join(command.split())
        return Found("", line, f"dvc.yaml: stage {name}")
    return None


def _of_make(files: Files) -> Found | None:
    for name in MAKEFILES:
        for match in re.finditer(r"(?m)^([\w.-]+)\s*:(?!=)", files.text(name)):
            if re.match(r"train|training|fit$", match[1], re.I):
                return Found("", f"make {match[1]}", f"{name}: target {match[1]}")
    return None


def _of_mlflow(files: Files) -> Found | None:
    points = at(yaml_of(files, "MLproject"), "entry_points")
    for name, point in points.items() if isinstance(points, dict) else ():
        command = at(point, "command")
        if isinstance(command, str) and (name == "main" or TRAINS.search(str(name))) and "{" not in command:
            return Found("", " ".join(command.split()), f"MLproject: entry point {name}")
    return None


def _of_pyproject(files: Files) -> Found | None:
    try:
        table = tomllib.loads(files.text("pyproject.toml"))
    except tomllib.TOMLDecodeError:
        return None
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
                return Found("", line, f"pyproject.toml: {'.'.join(place)}.{name}")
    return None


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
