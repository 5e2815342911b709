"""The files of a data set: which they are, and a digest of each that is only computed when the file changed."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from mlconsole.errors import Cancelled
from mlconsole.evidence.data import DataFile, DataIdentity, Dialect
from mlconsole.services.datasets.faults import DataChanged, DataMissing, DataUnfit, unreadable

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
BLOCK = 4 * 1024 * 1024
SETTLED_NS = 50_000_000
"""A digest is remembered only for files that rested this long: within one tick of the clock a write shows nothing."""


class _Known(msgspec.Struct, frozen=True, array_like=True):
    size: int
    modified: int
    changed: int
    inode: int
    digest: str


class _Stamp(NamedTuple):
    size: int
    modified: int
    changed: int
    inode: int


def is_table(path: Path) -> bool:
    """Is this the name of a CSV, TSV or Parquet file, compressed or not?"""
    name = path.name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return name.endswith(TABLES)


def find(root: Path, pattern: str) -> tuple[Path, ...]:
    """Return the files that a setting such as `data/training.csv`, `data` or `data/*.parquet` means, sorted.

    A file is taken whatever its name; a folder means the tables in it, or where there are none, those in its
    subfolders. Hidden files and those that start with `_` (markers such as `_SUCCESS`) are left out of folders.

    Raises:
        DataMissing: nothing is there; names the nearest name that is.
    """
    if not pattern.strip():
        raise DataMissing("No data is named in the settings.", "Set `path` under `[data]`.")
    path = root / Path(pattern).expanduser()
    if path.is_file():
        return (path,)
    if path.is_dir():
        return _tables_of(path, pattern)
    if any(mark in pattern for mark in "*?["):
        found = tuple(sorted(match for match in _glob(root, pattern) if match.is_file() and not _hidden(match, root)))
        if found:
            return found
        raise DataMissing(f"No file matches {pattern}.", _suggestion(root, pattern))
    from mlconsole.services.datasets import dvc

    if dvc.tracks(root, path):
        raise DataMissing(f"{pattern} is tracked by DVC, and not here.", f"Fetch it: dvc pull {pattern}")
    if path.is_symlink():
        raise DataMissing(f"{pattern} is a link to a file that is not there.", "Fetch the data (`dvc pull`, perhaps).")
    if path.exists():
        raise DataMissing(f"{pattern} is neither a file nor a folder.", "Write it to a file, and set `path` to that.")
    raise DataMissing(f"There is no {pattern}.", _suggestion(root, pattern))


def _tables_of(folder: Path, pattern: str) -> tuple[Path, ...]:
    for candidates in (folder.iterdir(), folder.rglob("*")):
        found = tuple(sorted(p for p in candidates if is_table(p) and p.is_file() and not _hidden(p, folder)))
        if found:
            return found
    raise DataMissing(f"The folder {pattern} has no CSV or Parquet file in it.", "Put the data there, or set `path`.")


def _hidden(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    return any(part.startswith((".", "_")) for part in parts)


def _glob(root: Path, pattern: str) -> list[Path]:
    whole = Path(pattern).expanduser()
    try:
        if whole.is_absolute():
            return list(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
        return list(root.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise DataMissing(
            f"{pattern} is not a pattern of file names: {error}.", "Set `path` under `[data]`."
        ) from error


def _suggestion(root: Path, pattern: str) -> str:
    from rapidfuzz import fuzz, process

    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        inside = Path(folder).relative_to(root)
        names += [(inside / name).as_posix() for name in sorted(files) if is_table(Path(name))]
        if len(names) > 5000 or len(inside.parts) > 6:
            break
    nearest = process.extractOne(pattern, names, scorer=fuzz.WRatio, score_cutoff=55)
    if nearest is not None:
        return f"Did you mean {nearest[0]}?"
    return "Put the data there, or set `path` under `[data]` in the settings."


def identify(
    root: Path,
    pattern: str,
    cache_path: Path,
    *,
    dialect: Dialect | None = None,
    report: Callable[[int], None] = lambda done: None,
    cancelled: threading.Event | None = None,
) -> DataIdentity:
    """Say which data a setting means, by SHA-256 of each file's bytes and of all names and digests together.

    Args:
        root: the project's folder; the files' paths are relative to it.
        pattern: see `find`.
        cache_path: a small file that remembers digests by path, size, times and inode; made anew where it is unusable.
        dialect: how its text tables are written, where that is not found by itself.
        report: gets the number of bytes hashed so far.
        cancelled: ends the work.

    Raises:
        DataMissing, DataUnfit, Cancelled.
        DataChanged: a file was written to while it was read.
    """
    known = _load(cache_path)
    fresh: dict[str, _Known] = {}
    files = []
    done = 0
    for path in find(root, pattern):
        name = relative_name(root, path)
        # before it is read: what is written within the tick of its stamp may come after the part that was read
        settled = time.time_ns() - SETTLED_NS
        stamp = _stamp(path, name)
        entry = known.get(name)
        if entry is None or stamp != (entry.size, entry.modified, entry.changed, entry.inode):
            entry = _Known(*stamp, digest=_digest(path, name, stamp, done, report, cancelled))
            if max(stamp.modified, stamp.changed) < settled:
                fresh[name] = entry
        done += stamp.size
        report(done)
        files.append(DataFile(path=name, size=stamp.size, digest=entry.digest))
    if fresh:
        _save(cache_path, {**known, **fresh})
    return DataIdentity(digest=digest_of_names(files), files=tuple(files), size=done, dialect=dialect)


def digest_of_names(files: Iterable[DataFile]) -> str:
    """The digest of a data set: of its files' names and digests together."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.path}\0{file.digest}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def relative_name(root: Path, path: Path) -> str:
    """Name a file relative to the project, with forward slashes; it may lie outside of it."""
    name = Path(os.path.relpath(path, root)).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode("utf-8", "replace").decode()
        raise DataUnfit(f"The name of {shown} is not valid UTF-8.", "Rename the file.") from error
    return name


def _stamp(path: Path, name: str) -> _Stamp:
    try:
        stat = path.stat()
    except OSError as error:
        raise unreadable(name, error) from error
    return _Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _digest(
    path: Path,
    name: str,
    stamp: _Stamp,
    done: int,
    report: Callable[[int], None],
    cancelled: threading.Event | None,
    algorithm: str = "sha256",
) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    left = stamp.size
    try:
        with path.open("rb", buffering=0) as file:
            while left > 0 and (block := file.read(min(BLOCK, left))):
                if cancelled is not None and cancelled.is_set():
                    raise Cancelled()
                digest.update(block)
                left -= len(block)
                report(done + stamp.size - left)
    except OSError as error:
        raise unreadable(name, error) from error
    if _stamp(path, name) != stamp:
        raise DataChanged(f"{name} changed while it was read.", "Wait until it is written whole, then try again.")
    return f"{algorithm}:{digest.hexdigest()}"


def md5_of(
    root: Path, paths: Sequence[Path], cache_path: Path, *, cancelled: threading.Event | None = None
) -> dict[Path, str]:
    """`md5:…` of each file, which others may know it by; remembered like the digests of `identify`.

    Raises:
        DataUnfit, Cancelled, DataChanged: see `identify`.
    """
    known = _load(cache_path)
    fresh: dict[str, _Known] = {}
    found = {}
    settled = time.time_ns() - SETTLED_NS
    for path in paths:
        name = relative_name(root, path)
        stamp, key = _stamp(path, name), f"{name}#md5"
        entry = known.get(key)
        if entry is None or stamp != (entry.size, entry.modified, entry.changed, entry.inode):
            digest = _digest(path, name, stamp, 0, lambda done: None, cancelled, "md5")
            entry = fresh[key] = _Known(*stamp, digest=digest)
        found[path] = entry.digest
    if fresh := {key: entry for key, entry in fresh.items() if max(entry.modified, entry.changed) < settled}:
        _save(cache_path, {**known, **fresh})
    return found


def digest_of_beginning(path: Path, size: int, *, cancelled: threading.Event | None = None) -> tuple[str, int, bytes]:
    """Hash the first `size` bytes of a file: `sha256:…`, how many of them there were, and the last of them."""
    digest = hashlib.sha256()
    left, last = size, b""
    with path.open("rb", buffering=0) as file:
        while left > 0 and (block := file.read(min(BLOCK, left))):
            if cancelled is not None and cancelled.is_set():
                raise Cancelled()
            digest.update(block)
            left -= len(block)
            last = block[-1:]
    return f"sha256:{digest.hexdigest()}", size - left, last


def _load(cache_path: Path) -> dict[str, _Known]:
    try:
        return msgspec.json.decode(cache_path.read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _save(cache_path: Path, known: dict[str, _Known]) -> None:
    """Write the cache whole. It only saves time, so that a disk which doesn't take it is no fault."""
    temporary = ""
    try:
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=cache_path.parent, prefix=f".{cache_path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(known))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(cache_path)
    except OSError:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
