"""A model that is a folder: which files it has, and one digest of all of them.

The digest is that of a text with a line for each file, in the order of their paths:

    mlconsole folder 1
    sha256:<hex> <bytes> - config.json
    sha256:<hex> <bytes> x bin/serve

So it depends on names, bytes and the executable bit (`x`), and on nothing else; folders without a file are none of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mlconsole.errors import OutsideFailed, Refused
from mlconsole.evidence.base import Record
from mlconsole.text import clean_line, count

HEADER = "mlconsole folder 1\n"
MOST_FILES = 20_000
_LINE = re.compile(r"(sha256:[0-9a-f]{64}) (\d{1,18}) ([-x]) (.+)")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class FolderUnfit(Refused):
    """A folder can't be a model: it is empty, or holds what can't be kept."""


class NoTree(OutsideFailed):
    """A text says of no folder which files it has."""


class TreeFile(Record, frozen=True, kw_only=True):
    """One file of a folder: its path below it with forward slashes, bytes, digest, and whether it may be run."""

    path: str
    size: int
    digest: str
    executable: bool = False


class Tree(Record, frozen=True, kw_only=True):
    """The files of a folder, sorted by their paths."""

    files: tuple[TreeFile, ...]

    @property
    def text(self) -> str:
        """What the digest is of."""
        lines = (
            f"{file.digest} {file.size} {'x' if file.executable else '-'} {file.path}\n"
            for file in sorted(self.files, key=lambda file: file.path)
        )
        return HEADER + "".join(lines)

    @property
    def digest(self) -> str:
        """`sha256:…` of names, bytes and executable bits."""
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


class Found(NamedTuple):
    """A file as it lies in a folder: where, under which name, and what changes when somebody writes to it."""

    name: str
    path: Path
    executable: bool
    size: int
    modified: int


def manifest_name(digest: str) -> str:
    """What the file with the text of a digest is called."""
    return f"{digest.rpartition(':')[2]}.tree"


def parse(data: bytes) -> Tree:
    """Read the text of a folder.

    Raises:
        NoTree: it is none, or names files outside of the folder.
    """
    try:
        head, *lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise NoTree("It is no text.") from error
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    if f"{head}\n" != HEADER or not lines or lines[-1] or not matches:
        raise NoTree("It is no list of a folder's files.")
    files = []
    for match in matches:
        if match is None or not is_inside(match[4]):
            raise NoTree("One of its lines names no file of a folder.")
        files.append(TreeFile(path=match[4], size=int(match[2]), digest=match[1], executable=match[3] == "x"))
    tree = Tree(files=tuple(files))
    if tree.text.encode() != data or len({file.path for file in files}) < len(files):
        raise NoTree("Its lines are not in their order.")
    return tree


def is_inside(path: str) -> bool:
    """Whether a path with forward slashes leads to a file below a folder, and can be kept."""
    return not _UNSAFE.search(path) and all(part not in ("", ".", "..") for part in path.split("/"))


def look(folder: Path) -> list[Found]:
    """The files below a folder, sorted by their names.

    Raises:
        FolderUnfit: there are none or too many, or a link, a device or a name that is no text is among them.
        OutsideFailed: it can't be read.
    """
    found: list[Found] = []
    try:
        for entry in _entries(str(folder)):
            name = Path(os.path.relpath(entry.path, folder)).as_posix()
            shown = f"{clean_line(name.encode('utf-8', 'replace').decode())} in the folder {folder.name}"
            if _UNSAFE.search(name):
                raise FolderUnfit(f"The name of {shown} is no text on one line.", "Rename the file.")
            status = entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                hint = "Let the training write the file itself."
                raise FolderUnfit(f"{shown} is a link: a model is kept with its files alone.", hint)
            if not stat.S_ISREG(status.st_mode):
                raise FolderUnfit(f"{shown} is neither a file nor a folder.", "Take it out of the model's folder.")
            runs = bool(status.st_mode & stat.S_IXUSR)
            found.append(Found(name, Path(entry.path), runs, status.st_size, status.st_mtime_ns))
            if len(found) > MOST_FILES:
                raise FolderUnfit(f"{folder.name} holds more than {count(MOST_FILES, 'file')}: that is no model.")
    except OSError as error:
        raise OutsideFailed(
            f"The folder {folder} can't be read: {error.strerror}.", "Check its permissions."
        ) from error
    if not found:
        raise FolderUnfit(f"The folder {folder.name} is empty, so it is no model.")
    return sorted(found)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder but the folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            else:
                yield entry
