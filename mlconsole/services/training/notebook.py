"""A notebook as a training command: run by papermill in the project's Python, its parameters passed.

The command is `train.ipynb`, with papermill's own options behind it where they are wanted (`-p depth 3`, `-k python3`).
Where it passes no parameters, those that the notebook's cell with the tag `parameters` names are passed: the data's and
the model's path, under the names that people give them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mlconsole.errors import WrongUse

SUFFIX = ".ipynb"
LARGEST_NOTEBOOK = 64 << 20
NAMES: Mapping[str, tuple[str, ...]] = {
    "data": ("data", "data_path", "data_file", "training_data", "train_data", "train_path", "input", "input_path"),
    "model": ("model", "model_path", "model_file", "output", "output_path", "model_output", "out_path"),
    "version": ("version", "model_version"),
    "commit": ("commit", "git_commit"),
    "params": ("params", "params_path", "params_file", "config", "config_path"),
}
"""What the variables of a notebook's parameters may be called, by the placeholder whose value they take."""
_PASSES = frozenset(("-p", "--parameters", "-r", "--parameters_raw", "-f", "--parameters_file", "-y", "-b"))


class NotebookUnusable(WrongUse):
    """The notebook can't be read, or there is no papermill to run it."""


def is_notebook(template: str) -> bool:
    """Whether a command of the settings is a notebook."""
    try:
        words = shlex.split(template)
    except ValueError:
        return False
    return bool(words) and words[0].endswith(SUFFIX)


def notebook_command(
    words: Sequence[str],
    values: Mapping[str, str],
    python: Path,
    cwd: Path,
    executed: Path,
    varied: Mapping[str, str] | None = None,
    runs_in: str = "",
) -> tuple[str, ...]:
    """The command that runs a notebook.

    Args:
        words: the notebook and options of papermill, filled in.
        values: of the placeholders.
        python: the project's Python.
        cwd: the folder that the notebook is looked for, and run, in.
        executed: where the notebook goes with what its cells put out.
        varied: parameters of a sweep, by the variables' names.
        runs_in: the folder that its cells run in, where that is another machine's; empty: `cwd`.

    Raises:
        NotebookUnusable: see there.
    """
    notebook, options = cwd / words[0], list(words[1:])
    if not _PASSES.intersection(options):
        for variable, value in passed(parameter_names(notebook), values).items():
            options += ["-r", variable, value]
    for variable, value in (varied or {}).items():
        options += ["-p", variable, value]
    language = _language(notebook)
    if not {"-k", "--kernel"}.intersection(options) and language in ("", "python"):
        # the kernel of the project's Python, whatever the one was called that the notebook was written with
        options += ["-k", "python3", *([] if language else ["-l", "python"])]
    return (
        str(python),
        "-m",
        "papermill",
        words[0],
        str(executed),
        "--log-output",
        "--cwd",
        runs_in or str(cwd),
        *options,
    )


def takes_model(command: str, folder: Path) -> bool:
    """Whether a notebook of the settings, in a folder, takes the model's path.

    Raises:
        NotebookUnusable: it is not there, or is no notebook.
    """
    return bool(passed(parameter_names(folder / shlex.split(command)[0]), {"model": "given"}))


def passed(names: Sequence[str], values: Mapping[str, str]) -> dict[str, str]:
    """The values of a notebook's parameters that can be told from their names."""
    given: dict[str, str] = {}
    for placeholder, usual in NAMES.items():
        variable = next((name for name in names if name.lower() in usual), None)
        if variable is not None and values.get(placeholder):
            given[variable] = values[placeholder]
    return given


def parameter_names(notebook: Path) -> tuple[str, ...]:
    """The variables that are set in the cell with the tag `parameters`; none where there is no such cell.

    Raises:
        NotebookUnusable: it is not there, or is no notebook.
    """
    for cell in _cells(notebook):
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            return tuple(dict.fromkeys(re.findall(r"(?m)^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)", _source(cell))))
    return ()


def code(notebook: Path) -> str:
    """The code of a notebook, without what its cells put out: what its digest is of."""
    return "\n\n".join(_source(cell) for cell in _cells(notebook) if cell.get("cell_type") == "code")


def check_papermill(packages: Sequence[str], python: Path) -> None:
    """Say what a notebook needs, where it is missing.

    Raises:
        NotebookUnusable: papermill or ipykernel is not installed in the project's Python.
    """
    missing = [name for name in ("papermill", "ipykernel") if name not in packages]
    if missing:
        raise NotebookUnusable(
            f"To run a notebook, the project's Python needs {' and '.join(missing)}.",
            f"Install it: {shlex.quote(str(python))} -m pip install {' '.join(missing)}",
        )


def _language(notebook: Path) -> str:
    """The language of a notebook in small letters; empty where it does not say."""
    metadata = _content(notebook).get("metadata", {})
    for place, key in (("kernelspec", "language"), ("language_info", "name")):
        found = metadata.get(place, {}) if isinstance(metadata, dict) else {}
        if isinstance(found, dict) and isinstance(found.get(key), str):
            return str(found[key]).lower()
    return ""


def _cells(notebook: Path) -> Iterator[Mapping[str, Any]]:
    cells = _content(notebook).get("cells")
    if not isinstance(cells, list):
        raise NotebookUnusable(f"{notebook} is no notebook of version 4.", "Open and save it with a newer Jupyter.")
    yield from (cell for cell in cells if isinstance(cell, dict) and isinstance(cell.get("metadata", {}), dict))


def _content(notebook: Path) -> Mapping[str, Any]:
    try:
        if notebook.stat().st_size > LARGEST_NOTEBOOK:
            raise NotebookUnusable(f"{notebook} is too large for a notebook.", "Clear its outputs.")
        return msgspec.json.decode(notebook.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise NotebookUnusable(
            f"The notebook {notebook} can't be read: {error.strerror}.", "Check `command` under [train]."
        ) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotebookUnusable(f"{notebook} is no notebook: {error}.") from error


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)
