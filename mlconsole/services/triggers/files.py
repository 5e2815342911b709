"""Files that arrive: which of them are whole, and their content.

A file is whole when it was renamed into place, or when it has not changed for the settled time and nobody has it open
for writing. Its time stamps are not trusted for that: clocks differ, and copying sets them back. What counts is what
was observed here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.watching import Sighting
from mlconsole.services.datasets.files import is_table
from mlconsole.text import clean_line

UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".filepart", ".swp", "~")
"""Endings of names under which programs write what they rename once it is whole."""

BLOCK = 1024 * 1024


class NotWhole(OutsideFailed):
    """A file changed, or went away, while it was read: it is looked at again later."""


class WholeFile(NamedTuple):
    """A file, or an object of a store, that is whole; `place` names it, `stamp` its present state."""

    place: str
    path: str
    stamp: str
    size: int


class Look(NamedTuple):
    """What is there: whole and not known yet, how many are being written, known and gone; seconds until one may be
    whole."""

    whole: tuple[WholeFile, ...] = ()
    growing: int = 0
    gone: tuple[str, ...] = ()
    next_in: float | None = None


class Settling:
    """Tells when something has not changed for a while, by its stamps as they were seen.

    Args:
        seconds: for how long.
        clock: seconds that only go forwards.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._seen: dict[str, tuple[str, float]] = {}

    def left(self, place: str, stamp: str) -> float:
        """How many seconds are left; none once it has settled."""
        before, since = self._seen.get(place, ("", 0.0))
        if before != stamp:
            self._seen[place] = (stamp, self._clock())
            return self._seconds
        return max(0.0, since + self._seconds - self._clock())

    def keep(self, places: set[str]) -> None:
        """Remember only these."""
        self._seen = {place: seen for place, seen in self._seen.items() if place in places}


class FileScan:
    """Looks at the files that a setting means, again and again.

    Args:
        root: the project's folder.
        pattern: a file, a folder (the tables in it) or a glob, relative to it.
        settle: seconds without a change after which a file is whole.
        clock: seconds that only go forwards.
    """

    def __init__(self, root: Path, pattern: str, settle: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._pattern = root, pattern
        self._settling = Settling(settle, clock)
        self._inodes: dict[tuple[int, int], str] = {}

    @property
    def folder(self) -> Path:
        """The nearest folder that is there and holds all files that are meant: what has to be watched."""
        path = self._root / Path(self._pattern).expanduser()
        if _is_glob(self._pattern):
            parts = path.parts
            first = next(index for index, part in enumerate(parts) if _is_glob(part))
            path = Path(*parts[:first])
        elif not path.is_dir():
            path = path.parent
        while not path.is_dir() and path != path.parent:
            path = path.parent
        return path

    @property
    def reaches_down(self) -> bool:
        """Whether files in subfolders are meant, too."""
        return _is_glob(str(Path(self._pattern).parent))

    def look(self, known: Mapping[str, Sighting]) -> Look:
        """See what is there.

        Args:
            known: files whose content counted, by place.
        """
        names_before, self._inodes = self._inodes, {}
        whole: list[WholeFile] = []
        places: set[str] = set()
        open_places: set[str] = set()
        waits: list[float] = []
        for path, stat in self._candidates():
            place = clean_line(os.path.relpath(path, self._root))
            places.add(place)
            stamp = stamp_of(stat)
            if place in known and known[place].stamp == stamp:
                continue
            open_places.add(place)
            left = self._settling.left(place, stamp)
            moved_here = names_before.get((stat.st_dev, stat.st_ino), str(path)) != str(path)
            if (left and not moved_here) or is_being_written(path):
                waits.append(left or 0.2)
            else:
                whole.append(WholeFile(place=place, path=str(path), stamp=stamp, size=stat.st_size))
        self._settling.keep(open_places)
        gone = tuple(place for place in known if place not in places)
        return Look(tuple(whole), len(waits), gone, min(waits, default=None))

    def _candidates(self) -> Iterator[tuple[Path, os.stat_result]]:
        """The files that are meant and hold something; remembers the names of all others beside them."""
        found = self._meant()
        for folder in {path.parent for path in found} | {self.folder}:
            self._note_names(folder)
        for path in sorted(found):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if stat.st_size and not path.name.lower().endswith(UNFINISHED):
                    yield path, stat

    def _meant(self) -> set[Path]:
        whole = self._root / Path(self._pattern).expanduser()
        if _is_glob(self._pattern):
            found = Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))
            return {path for path in found if not _is_hidden(path, self.folder) and path.is_file()}
        if whole.is_dir():
            entries = (path for path in whole.iterdir() if not path.name.startswith((".", "_")))
            return {path for path in entries if is_table(path) and path.is_file()}
        return {whole} if whole.is_file() else set()

    def _note_names(self, folder: Path) -> None:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        self._inodes[(entry.stat(follow_symlinks=False).st_dev, entry.inode())] = entry.path


def _is_hidden(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    return any(part.startswith(".") for part in parts)


def _is_glob(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def stamp_of(stat: os.stat_result) -> str:
    """What tells, without reading a file, that it is the same as before."""
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


def is_being_written(path: Path) -> bool:
    """Whether a process of this machine has a file open for writing, where the system tells; otherwise False.

    Linux grants a read lease on a file only while nobody has it open for writing (fcntl(2), F_SETLEASE).
    """
    import fcntl
    import signal

    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # whoever opens it meanwhile has the system send a signal: one that is ignored, not SIGIO, which kills
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def read_digest(file: WholeFile, copy_to: Path | None = None) -> str:
    """Read a whole file: `sha256:…` of its bytes.

    Args:
        file: as a look found it.
        copy_to: a folder that keeps a copy under the digest, so that it outlives what becomes of the file.

    Raises:
        NotWhole: it changed since it was looked at, or went away.
        OutsideFailed: the folder can't be written to.
    """
    path = Path(file.path)
    try:
        with path.open("rb") as source:
            if stamp_of(os.fstat(source.fileno())) != file.stamp:
                raise NotWhole(f"{file.place} has changed.")
            blocks = iter(lambda: source.read(BLOCK), b"")
            digest = keep_whole(blocks, copy_to) if copy_to is not None else digest_of(blocks)
        if stamp_of(path.stat()) != file.stamp:
            raise NotWhole(f"{file.place} changed while it was read.")
    except FileNotFoundError as error:
        raise NotWhole(f"{file.place} went away.") from error
    except OSError as error:
        raise OutsideFailed(f"{file.place} can't be read: {error.strerror}.", "Check its permissions.") from error
    return digest


def digest_of(blocks: Iterator[bytes]) -> str:
    """`sha256:…` of bytes that come in blocks."""
    sha = hashlib.sha256()
    for block in blocks:
        sha.update(block)
    return f"sha256:{sha.hexdigest()}"


def keep_whole(blocks: Iterator[bytes], folder: Path) -> str:
    """Write bytes to a file of a folder that is named by their digest, whole or not at all; return the digest.

    Raises:
        OutsideFailed: it can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".kept.mlconsole-{os.getpid()}-{time.monotonic_ns()}.part"
    try:
        sha = hashlib.sha256()
        with temporary.open("xb") as target:
            for block in blocks:
                sha.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        digest = f"sha256:{sha.hexdigest()}"
        temporary.replace(kept_path(folder, digest))
    except OSError as error:
        raise OutsideFailed(f"{folder} can't be written to: {error.strerror}.", "Check the disk's space.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def kept_path(folder: Path, digest: str) -> Path:
    """Where a content is kept."""
    return folder / digest.partition(":")[2]
