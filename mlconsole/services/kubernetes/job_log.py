"""The log of a Job as one file: the output of its pods one after another, every line once, and where reading stands.

Beside the file lies its position, `NAME.position.json`, written whole about once a second. Another process goes on
there: it cuts the file back to what the position vouches for, is handed all of that again, and reads on.

Between the lines stand marks of the wrapper (`in_pod/job_wrapper.py`). They say how many lines went before them, so
that lines which the cluster has forgotten meanwhile (a log that was rotated while nobody could read it) are known to be
missing. The pod's own copy then takes the place of what was read. Marks are kept in `NAME.marks.jsonl`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from mlconsole.services.kubernetes.in_pod.job_wrapper import MARK
from mlconsole.services.kubernetes.logs import GAP, Position, Stamp
from mlconsole.text import clean_line

SAVE_SECONDS = 1.0
_HEADING = "── "


class PodRead(msgspec.Struct):
    """How far the log of one pod was read.

    Attributes:
        name: the pod's.
        starts_at: where its lines begin in the file, in bytes.
        position: up to where it was read.
        lines: how many of its lines are behind us, those included that are missing.
        gaps: the missing ones, each as first and last + 1, counted from 0.
        is_done: no more will come.
    """

    name: str
    starts_at: int
    position: Position = msgspec.field(default_factory=Position)
    lines: int = 0
    gaps: list[tuple[int, int]] = []
    is_done: bool = False

    @property
    def missing(self) -> int:
        """How many lines are missing."""
        return sum(last - first for first, last in self.gaps)


class _Position(msgspec.Struct):
    job: str
    starts_at: int
    length: int
    marks: int = 0
    pods: dict[str, PodRead] = {}


class _Mark(msgspec.Struct):
    pod: str
    mark: dict[str, Any]


class JobLog:
    """Writes lines of a Job's pods to a file, and hands them on.

    Args:
        path: the file; what is in it already stays.
        job: the Job's name. Where the position is of the same Job, reading goes on there.
        on_line: called with each line of output.
        on_mark: called with each mark of the wrapper, its JSON decoded, and the pod's uid.
        together: pods run at the same time: each line begins with its pod, and only those of the first are handed on.
    """

    def __init__(
        self,
        path: Path,
        job: str,
        on_line: Callable[[str], None],
        on_mark: Callable[[str, dict[str, Any]], None],
        *,
        together: bool = False,
    ) -> None:
        self._together = together
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._on_line, self._on_mark = path, on_line, on_mark
        self._sidecar = position_path(path)
        self._file = path.open("ab")
        self._saved_at = 0.0
        length = path.stat().st_size
        found = _read_position(self._sidecar)
        fits = found is not None and found.job == job and found.length <= length
        self._at = found if found is not None and fits else _Position(job=job, starts_at=length, length=length)
        self._file.truncate(self._at.length)
        self._marks = path.with_suffix(".marks.jsonl").open("ab")
        self._marks.truncate(self._at.marks)
        if fits:
            self._hand_over_again()

    @property
    def pods(self) -> dict[str, PodRead]:
        """How far each pod's log was read, by its uid."""
        return self._at.pods

    @property
    def lines(self) -> int:
        """How many lines were read, of all pods."""
        return sum(pod.lines - pod.missing for pod in self._at.pods.values())

    @property
    def missing(self) -> int:
        """How many lines nobody has any more."""
        return sum(pod.missing for pod in self._at.pods.values())

    def begin(self, uid: str, name: str) -> PodRead:
        """Begin with, or go on with, a pod."""
        if uid not in self._at.pods:
            if self._at.pods and not self._together:
                self._write(f"{_HEADING}attempt {len(self._at.pods) + 1}: pod {name}")
            self._at.pods[uid] = PodRead(name=name, starts_at=self._at.length)
        return self._at.pods[uid]

    def take(self, uid: str, stamp: Stamp, text: str) -> None:
        """Take the next line of a pod that was begun."""
        pod = self._at.pods[uid]
        if text == GAP:
            # said of the log, not by the pod: the marks count what is missing, and a copy may bring it back
            self._write(text)
            return
        mark = read_mark(text)
        if mark is None:
            self._write(f"{pod.name} | {text}" if self._together else text)
            pod.lines += 1
            if not self._together or pod is next(iter(self._at.pods.values())):
                self._on_line(text)
        else:
            self._count(pod, mark)
            self._keep(uid, mark)
            self._on_mark(uid, mark)
        pod.position.move(stamp, text)
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def end(self, uid: str) -> None:
        """No more will come of a pod."""
        self._at.pods[uid].is_done = True
        self.save()

    def replace(self, uid: str, lines: Iterable[str]) -> None:
        """Put a pod's own copy of its output in the place of what was read; it has to be the last one begun."""
        pod = self._at.pods[uid]
        self._file.truncate(pod.starts_at)
        self._at.length = pod.starts_at
        for line in lines:
            self._write(line)
        pod.gaps = []
        self.save()

    def flush(self) -> None:
        """Let others see what was written."""
        self._file.flush()

    def save(self) -> None:
        """Write down where reading stands."""
        self._file.flush()
        self._marks.flush()
        self._saved_at = time.monotonic()
        write_whole(self._sidecar, msgspec.json.encode(self._at))

    def close(self) -> None:
        """Write down where reading stands, and close the file."""
        self.save()
        self._file.close()
        self._marks.close()

    def _count(self, pod: PodRead, mark: dict[str, Any]) -> None:
        told = mark.get("lines", mark.get("end", {}).get("lines"))
        if isinstance(told, int) and told > pod.lines:
            pod.gaps.append((pod.lines, told))
            pod.lines = told

    def _keep(self, uid: str, mark: dict[str, Any]) -> None:
        """Keep a mark for another process; what was used at some moment is of no use to it."""
        if "use" not in mark:
            data = msgspec.json.encode(_Mark(pod=uid, mark=mark)) + b"\n"
            self._marks.write(data)
            self._at.marks += len(data)

    def _hand_over_again(self) -> None:
        """Hand over what another process had read."""
        for line in self._written():
            self._on_line(line)
        with Path(self._marks.name).open("rb") as file:
            for data in file:
                kept = msgspec.json.decode(data, type=_Mark)
                self._on_mark(kept.pod, kept.mark)

    def _write(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        self._file.write(data)
        self._at.length += len(data)

    def _written(self) -> Iterator[str]:
        """The lines that were handed on so far, as the file has them."""
        first = f"{next((pod.name for pod in self._at.pods.values()), '')} | " if self._together else ""
        with self._path.open("rb") as file:
            file.seek(self._at.starts_at)
            for line in file:
                text = line.decode("utf-8", "replace").rstrip("\n")
                if text.startswith(first) and text != GAP and not text.startswith(f"{_HEADING}attempt "):
                    yield text[len(first) :]


def position_path(path: Path) -> Path:
    """Where the position of a log file is."""
    return path.with_suffix(".position.json")


def read_mark(text: str) -> dict[str, Any] | None:
    """The mark that a line is, or None where it is a line of output."""
    if not text.startswith(MARK):
        return None
    try:
        found = msgspec.json.decode(text[len(MARK) :])
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def copied(data: bytes) -> tuple[list[str], list[str]]:
    """The lines of a pod's own copy, cleaned, and the reports among them; raises ValueError where it is damaged."""
    import gzip

    try:
        text = gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error
    every = [clean_line(line.decode("utf-8", "replace")) for line in text.split(b"\n")[:-1]]
    marks = {line: mark for line in every if (mark := read_mark(line)) is not None}
    reports = [str(marks[line].get("report", "")) for line in every if line in marks]
    return [line for line in every if line not in marks], reports


def _read_position(path: Path) -> _Position | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Position)
    except (OSError, msgspec.MsgspecError):
        return None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that whoever reads it finds all of it, or what was there before."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
