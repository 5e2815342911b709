"""What DVC says of the data: `data.csv.dvc` beside it, or `dvc.lock` (schema 2.0) of the stage that writes it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlconsole.evidence.data import DataPointer
from mlconsole.services.datasets.files import md5_of, relative_name
from mlconsole.text import clean_line, shorten

LOCK = "dvc.lock"
MOST_FILES = 10_000


class _Out(NamedTuple):
    """One output in a pointer: where it is, its MD5, its size if known, and whether line ends count."""

    pointer: Path
    path: Path
    md5: str
    size: int | None
    is_exact: bool


def pointer_files(root: Path, path: Path) -> tuple[Path, ...]:
    """The files that may say what DVC knows of a path or of a folder that it is in. No file is read for that."""
    found = []
    for tracked in _within(root, path):
        beside = tracked.with_name(f"{tracked.name}.dvc")
        found += [beside] if beside.is_file() else []
        lock = tracked.parent / LOCK
        found += [lock] if lock.is_file() and lock not in found else []
    return tuple(found)


def tracks(root: Path, path: Path) -> bool:
    """Does DVC know this path, or a folder that it is in?"""
    return next(_outs(root, path), None) is not None


def pointers(
    root: Path, path: Path, cache_path: Path, *, cancelled: threading.Event | None = None
) -> tuple[DataPointer, ...]:
    """Hold a file or folder against what DVC says that it is.

    Args:
        root: the project's folder.
        path: the file or folder.
        cache_path: see `files.identify`.
        cancelled: ends the work.

    Raises:
        DataUnfit, Cancelled, DataChanged.
    """
    return tuple(_compared(root, out, cache_path, cancelled) for out in _outs(root, path))


def _within(root: Path, path: Path) -> Iterator[Path]:
    """The path and the folders above it, up to the project's own."""
    yield path
    if path.is_relative_to(root):
        yield from (folder for folder in path.parents if folder != root and folder.is_relative_to(root))


def _outs(root: Path, path: Path) -> Iterator[_Out]:
    wanted = set(_within(root, path))
    for pointer in pointer_files(root, path):
        for entry in _entries(pointer):
            tracked = pointer.parent / str(entry.get("wdir", "")) / str(entry.get("path", ""))
            md5, size = entry.get("md5"), entry.get("size")
            if Path(tracked) in wanted and isinstance(md5, str):
                is_exact = entry.get("hash") == "md5" or md5.endswith(".dir")
                yield _Out(pointer, tracked, clean_line(md5), size if isinstance(size, int) else None, is_exact)


def _entries(pointer: Path) -> Iterator[dict[str, Any]]:
    """The outputs that a pointer lists; a file that is none has none."""
    import yaml

    try:
        document = yaml.safe_load(pointer.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValueError):
        return
    stages: list[Any] = [document]
    if isinstance(document, dict) and pointer.name == LOCK:
        listed = document.get("stages")
        stages = list(listed.values()) if isinstance(listed, dict) else []
    for stage in stages:
        outs = stage.get("outs") if isinstance(stage, dict) else None
        for entry in outs if isinstance(outs, list) else []:
            if isinstance(entry, dict):
                yield {"wdir": stage.get("wdir", ""), **entry}


def _compared(root: Path, out: _Out, cache_path: Path, cancelled: threading.Event | None) -> DataPointer:
    name, pointer = relative_name(root, out.path), relative_name(root, out.pointer)
    matches = _matches(root, out, cache_path, cancelled)
    words = {
        True: f"{name} is what {pointer} says.",
        False: f"{name} is not what {pointer} says (md5 {shorten(out.md5, 13)}).",
        None: f"{name} can't be compared with {pointer}.",
    }
    return DataPointer(file=pointer, path=name, digest=f"md5:{out.md5}", matches=matches, sentence=words[matches])


def _matches(root: Path, out: _Out, cache_path: Path, cancelled: threading.Event | None) -> bool | None:
    if out.md5.endswith(".dir"):
        return _folder_matches(root, out, cache_path, cancelled)
    if not out.path.is_file():
        return False
    if out.size is not None and out.is_exact and out.path.stat().st_size != out.size:
        return False
    found = md5_of(root, [out.path], cache_path, cancelled=cancelled)[out.path]
    # Before version 3, DVC hashed texts as if they had Unix line ends.
    return True if found == f"md5:{out.md5}" else False if out.is_exact else None


def _folder_matches(root: Path, out: _Out, cache_path: Path, cancelled: threading.Event | None) -> bool | None:
    """A folder's MD5 is that of the list of its files, as DVC writes it."""
    if not out.path.is_dir():
        return False
    files = sorted(path for path in out.path.rglob("*") if path.is_file())
    if len(files) > MOST_FILES:
        return None
    digests = md5_of(root, files, cache_path, cancelled=cancelled)
    entries = [
        {"md5": digests[path].removeprefix("md5:"), "relpath": path.relative_to(out.path).as_posix()} for path in files
    ]
    listed = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True).encode()
    return f"{hashlib.md5(listed, usedforsecurity=False).hexdigest()}.dir" == out.md5
