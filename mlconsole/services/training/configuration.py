"""What decides a training besides its code in Python: scripts and files of configuration that are named there.

Files that a training writes are no input of it: they would have it run again for ever. They are told by their names
and by being opened to be written; of JSON, which is rather written than read, only what is named for configuration
counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlconsole.services.training.notebook import SUFFIX, code

_SCRIPTS = frozenset((".sh", ".bash", ".zsh", ".ksh", ".r", ".jl", ".pl", ".rb", ".js", ".lua"))
_CONFIGURATION = frozenset((".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".gin"))
_MARKS = (*_CONFIGURATION, ".json", "config_path")
"""Most code has none of these, and need not be searched."""
_IS_RESULT = re.compile(r"(?:^|[\W_])(?:metrics?|results?|reports?|scores?|eval\w*|history|summary)(?:[\W_]|$)", re.I)
_IS_CONFIGURATION = re.compile(r"conf|param|setting|option|hyper|args", re.I)
_LITERAL = re.compile(
    r"""(?P<quote>["'])(?P<name>[^"'\\\n]{1,200}\.(?:ya?ml|toml|ini|cfg|conf|gin|json))(?P=quote)"""
    r"""(?P<written>\s*\)?\s*(?:,\s*(?:mode\s*=\s*)?["'][wax]|\.write_|\.open\(\s*["'][wax]))?"""
)
_HYDRA_FOLDER = re.compile(r"""\bconfig_path\s*=\s*(?P<quote>["'])(?P<name>[^"'\n]+)(?P=quote)""")
_MOST_OF_A_FOLDER = 1_000


def of_command(root: Path, cwd: Path, words: Iterable[str]) -> Iterator[Path]:
    """The scripts and files of configuration that the words of a command name, also as `--config=FILE`.

    Args:
        root: the project's folder; files elsewhere don't count.
        cwd: the folder that the command runs in.
        words: of the command.
    """
    for word in words:
        for name in (word, word.partition("=")[2]):
            path = _there(root, cwd, name)
            if path is not None and (_is_read(path) or path.suffix.lower() in _SCRIPTS or name.startswith("./")):
                yield path


def of_code(root: Path, cwd: Path, sources: Iterable[Path]) -> Iterator[Path]:
    """The files of configuration that code in Python names as they are there, and folders of Hydra's.

    Raises:
        NotebookUnusable: a notebook among them is none.
    """
    for source in sources:
        try:
            text = code(source) if source.suffix == SUFFIX else source.read_text("utf-8", errors="replace")
        except OSError:
            continue
        if not any(mark in text for mark in _MARKS):
            continue
        literals = list(_LITERAL.finditer(text))
        written = {match["name"] for match in literals if match["written"]}
        for name in dict.fromkeys(match["name"] for match in literals if match["name"] not in written):
            path = next(filter(None, (_there(root, place, name) for place in (cwd, root, source.parent))), None)
            if path is not None and _is_read(path):
                yield path
        for match in _HYDRA_FOLDER.finditer(text):
            yield from _of_folder(root, Path(os.path.normpath(source.parent / match["name"])))


def _of_folder(root: Path, folder: Path) -> Iterator[Path]:
    if not _is_below(root, folder):
        return
    for number, path in enumerate(folder.rglob("*")):
        if number >= _MOST_OF_A_FOLDER:
            return
        if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
            yield path


def _there(root: Path, place: Path, name: str) -> Path | None:
    """The file of a name in a folder, where it is one of the project's; not what its state holds."""
    if not name or "\0" in name or len(name) > 1_000:
        return None
    path = Path(os.path.normpath(place / name))
    try:
        return path if _is_below(root, path) and path.is_file() else None
    except OSError:
        return None


def _is_below(root: Path, path: Path) -> bool:
    return path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)


def _is_read(path: Path) -> bool:
    if path.suffix.lower() == ".json":
        return _IS_CONFIGURATION.search(path.stem) is not None
    return path.suffix.lower() in _CONFIGURATION and _IS_RESULT.search(path.stem) is None
