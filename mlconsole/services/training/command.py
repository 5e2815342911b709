"""The training command: its placeholders, and the local source files that it depends on."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlconsole.errors import WrongUse
from mlconsole.services.training import configuration, imports
from mlconsole.services.training.notebook import SUFFIX, is_notebook, notebook_command

# Single-quoted, double-quoted, an escaped character, an operator, blanks, or a run of anything else.
_PIECE = re.compile(
    r"""(?P<single>'[^']*'?)|(?P<double>"(?:[^"\\]|\\.)*"?)|(?P<escaped>\\.|\\$)"""
    r"""|(?P<operator>[|&;<>()\n]+)|(?P<blank>[ \t]+)|(?P<plain>[^'"\\|&;<>()\n \t]+)""",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")
RECIPES = ("Makefile", "makefile", "GNUmakefile", "dvc.yaml", "justfile", "Taskfile.yml", "Snakefile", "noxfile.py")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


class CommandUnusable(WrongUse):
    """The training command in the settings can't be run as it is written."""


def fill(
    template: str,
    values: Mapping[str, str],
    python: Path,
    *,
    cwd: Path | None = None,
    executed: Path | None = None,
    varied: Mapping[str, str] | None = None,
    runs_in: str = "",
) -> tuple[str, ...]:
    """Turn the training command of the settings into program and arguments.

    A leading `python` becomes the project's Python, and another tool that is installed beside it is taken from there.
    A line that uses the shell (`|`, `&&`, `;`, `>`, `$NAME`, `$(…)`, `*`) is given to `sh -c`; values are quoted so
    that the shell takes them as they are. A notebook is run by papermill.

    Args:
        template: such as `python train_model.py --data {data} --output {model}`, or `train.ipynb`.
        values: of the placeholders: `data`, `model`, `params`, `version`, `commit`, and those of a sweep.
        python: the project's Python.
        cwd: the folder that a notebook is in and runs in.
        executed: where a notebook goes with what its cells put out.
        varied: what a sweep passes to a notebook's variables.
        runs_in: the folder that a notebook's cells run in, where it is not `cwd`.

    Raises:
        CommandUnusable: it is empty, has a quote too many, or a placeholder that is not known.
        NotebookUnusable: it is a notebook that can't be read.
    """
    if not is_notebook(template) or cwd is None or executed is None:
        return fill_words(template, values, python)
    words = _filled(template, values, "train.command")
    return notebook_command(words, values, python, cwd, executed, varied, runs_in)


def placeholders(template: str) -> frozenset[str]:
    """The names in braces that a command of the settings wants to have filled in."""
    return frozenset(_PLACEHOLDER.findall(template))


def fill_words(
    template: str, values: Mapping[str, str], python: Path, *, setting: str = "train.command"
) -> tuple[str, ...]:
    """Fill any command of the settings as `fill` does; `setting` is its key, for the sentences.

    Raises:
        CommandUnusable: as `fill` says.
    """
    what = _what(setting)
    section, _, key = setting.partition(".")
    if not template.strip():
        raise CommandUnusable(f"There is no {what}.", f"Set `{key}` under `[{section}]` in the settings.")
    _check(template, values, what)
    if _needs_shell(template):
        return ("sh", "-c", _shell_line(template, values, python))
    filled = _filled(template, values, setting)
    return (_program(filled[0], python), *filled[1:])


def _what(setting: str) -> str:
    return "training command" if setting == "train.command" else setting


def _filled(template: str, values: Mapping[str, str], setting: str) -> list[str]:
    what = _what(setting)
    _check(template, values, what)
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise CommandUnusable(f"The {what} `{template}` has a quote without its second half.") from error
    if not words:
        raise CommandUnusable(f"The {what} `{template}` names no program.")
    return [_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in words]


def sources(root: Path, command: Sequence[str], cwd: Path | None = None) -> tuple[Path, ...]:
    """The files of the project that a command runs, found by reading `import` statements, not by running any.

    Args:
        root: the project's folder.
        command: program and arguments.
        cwd: the folder that it runs in; `root` where None.

    Returns:
        Paths below `root` (joined with it), sorted: the script or `-m` module of the command and all that they import
        from the project. Where the command names neither, every `*.py` but those in hidden folders, tests and virtual
        environments, the notebook that is run, and what `make` and `dvc` and their like read. Scripts and files of
        configuration that the command or this code names are among them.
    """
    here = cwd or root
    entries = [path for word, after in _words(command) for path in _entry(root, here, word, after)]
    found = imports.closure(root, entries) if entries else set(_all_python(root))
    if not entries:
        names = (*RECIPES, *(word for word, _ in _words(command) if word.endswith(SUFFIX)))
        found |= {here / name for name in names if (here / name).is_file()}
    codes = [path for path in found if path.suffix in (".py", SUFFIX)]
    found.update(configuration.of_code(root, here, codes))
    found.update(configuration.of_command(root, here, (word for word, _ in _words(command))))
    return tuple(sorted(found))


def _check(template: str, values: Mapping[str, str], what: str) -> None:
    for name in _PLACEHOLDER.findall(template):
        if name not in values:
            from rapidfuzz import process

            nearest = process.extractOne(name, list(values))
            raise CommandUnusable(
                f"The {what} uses {{{name}}}, which is not known.",
                f"Did you mean {{{nearest[0]}}}?" if nearest else "",
            )
        if name == "params" and not values["params"]:
            raise CommandUnusable(
                "The training command uses {params}, but the project has no parameter file.",
                "Set `parameters` under `[train]` in the settings.",
            )


def _needs_shell(template: str) -> bool:
    first = True
    for piece in _PIECE.finditer(template.strip()):
        kind, text = piece.lastgroup, piece[0]
        if kind == "operator" or (kind != "single" and kind != "escaped" and re.search(r"[$`]", text)):
            return True
        if kind == "plain" and (re.search(r"[*?]|^~", text) or (first and _ASSIGNMENT.match(text))):
            return True
        if kind == "escaped" and text == "\\\n":
            return True
        first = False
    return False


def _shell_line(template: str, values: Mapping[str, str], python: Path) -> str:
    """The line for `sh -c`, each value quoted for the place it stands in, each leading `python` the project's."""
    pieces: list[str] = []
    leading = True
    for piece in _PIECE.finditer(template.strip()):
        kind, text = piece.lastgroup or "", piece[0]
        if kind == "plain" and leading:
            leading = bool(_ASSIGNMENT.match(text))
            text = shlex.quote(str(python)) if text in ("python", "python3") else _fill_quoted(text, kind, values)
        else:
            if kind == "operator":
                leading = not text.endswith(("<", ">"))
            text = _fill_quoted(text, kind, values)
        pieces.append(text)
    return "".join(pieces)


def _fill_quoted(text: str, kind: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: _quoted(values[match[1]], kind), text)


def _quoted(value: str, kind: str) -> str:
    if kind == "single":
        return value.replace("'", "'\\''")
    if kind == "double":
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return shlex.quote(value)


def _program(word: str, python: Path) -> str:
    if word in ("python", "python3"):
        return str(python)
    beside = python.parent / word
    in_environment = (python.parent.parent / "pyvenv.cfg").is_file()
    if in_environment and os.sep not in word and beside.is_file() and os.access(beside, os.X_OK):
        return str(beside)
    return word


def _words(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word of a command with the one after it; the words of the line where a shell runs it."""
    words = list(command)
    if len(words) > 2 and Path(words[0]).name in ("sh", "bash") and words[1] == "-c":
        try:
            words = list(shlex.shlex(words[2], posix=True, punctuation_chars=True))
        except ValueError:
            return
    yield from zip(words, [*words[1:], ""], strict=True)


def _entry(root: Path, cwd: Path, word: str, after: str) -> Iterator[Path]:
    """The file that a word of a command makes run: a script, or the module after `-m`."""
    word = word.strip("();&|")
    path = cwd / word
    if word.endswith(".py") and path.is_file() and path.resolve().is_relative_to(root.resolve()):
        yield Path(os.path.normpath(path))
    elif word == "-m" and after:
        yield from imports.module_files(root, after, cwd)


def _all_python(root: Path) -> Iterator[Path]:
    skipped = {"tests", "test", "node_modules", "site-packages", "__pycache__"}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in skipped and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in files if name.endswith(".py"))
