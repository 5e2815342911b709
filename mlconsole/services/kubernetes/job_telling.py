"""What a training on the cluster tells: its lines, the marks of its wrapper, and what they come to."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.evidence.training import ModelFile, Package, UseSample
from mlconsole.services.kubernetes.job_log import JobLog, copied, read_mark
from mlconsole.services.kubernetes.jobs import JobState
from mlconsole.text import clean_line, count

TAIL_LINES = 20


class JobResult(Record, frozen=True, kw_only=True):
    """A training that ended well on the cluster.

    `model` is what its pod says that it brought to the store, `found` where it was unless it is where it was asked to
    be; `outputs` are what it brought beside it. `missing` counts lines of the log that nobody has.
    """

    job: str
    model: ModelFile | None
    seconds: float
    cpu_seconds: float
    peak_memory: int
    lines: int
    tail: tuple[str, ...]
    python: str = ""
    executable: str = ""
    packages: tuple[Package, ...] = ()
    missing: int = 0
    found: str = ""
    outputs: tuple[ModelFile, ...] = ()
    missing_outputs: tuple[str, ...] = ()


class Watch(Protocol):
    """Who is told of a training while it runs; every call comes in the thread that follows it."""

    def line(self, text: str) -> None:
        """It printed a line."""

    def look(self) -> None:
        """A moment has gone by: this comes a few times a second."""

    def report(self, text: str) -> None:
        """The helper `mlconsole.report` wrote a line."""

    def file(self, name: str, text: str) -> None:
        """A file of metrics changed to this."""

    def use(self, sample: UseSample) -> None:
        """Its processes use this."""

    def state(self, state: JobState) -> None:
        """The Job stands differently."""

    def note(self, text: str) -> None:
        """Something is worth a line."""

    def again(self, lines: list[str], gaps: list[tuple[int, int]], reports: list[str]) -> None:
        """Here is all that it told: the lines of the gaps (first and last + 1) and some reports had not been read."""


class Copies(Protocol):
    """Where pods keep copies of their output: the store."""

    def read(self, name: str) -> bytes | None:
        """A file, None where there is none."""

    def remove(self, folder: str) -> None:
        """Remove a folder, as far as that can be done."""


class Facts:
    """What the wrapper's marks and the last lines say of a training."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._packages: list[Package] = []
        self.tail: list[str] = []
        self.start: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self.ended_pod = ""

    def line(self, text: str) -> None:
        """Take a line of output."""
        if text.strip():
            self.tail = [*self.tail[1 - TAIL_LINES :], text]
        self._watch.line(text)

    def mark(self, uid: str, mark: dict[str, Any]) -> None:
        """Take a mark of a pod's wrapper."""
        for kind, value in mark.items():
            if kind == "start":
                self.start, self.end, self._packages = value, {}, []
            elif kind == "packages":
                pairs = (pair for pair in value if len(pair) == 2)
                self._packages += [Package(name=_package(name), version=clean_line(str(ver))) for name, ver in pairs]
            elif kind == "use":
                self._watch.use(msgspec.convert(value, UseSample))
            elif kind == "report":
                self._watch.report(str(value))
            elif kind == "file":
                self._watch.file(str(value.get("name", "")), str(value.get("text", "")))
            elif kind == "end":
                self.end, self.ended_pod = value, uid

    def complete(self, message: str) -> None:
        """Take the wrapper's last mark from the termination message, where the log did not bring it."""
        if self.end:
            return
        mark = read_mark(message.strip())
        self.end = mark.get("end", {}) if mark else {}

    def result(self, name: str, log: JobLog) -> JobResult:
        """What it all came to, once the Job has ended well."""
        model = self.end.get("model")
        return JobResult(
            job=name,
            model=msgspec.convert(model, ModelFile) if model else None,
            seconds=float(self.end.get("seconds", 0)),
            cpu_seconds=float(self.end.get("cpu_seconds", 0)),
            peak_memory=int(self.end.get("peak_memory", 0)),
            lines=log.lines,
            tail=tuple(self.tail),
            python=clean_line(str(self.start.get("python", ""))),
            executable=clean_line(str(self.start.get("executable", ""))),
            packages=tuple(sorted({entry.name: entry for entry in self._packages}.values(), key=lambda e: e.name)),
            missing=log.missing,
            found=clean_line(str(self.end.get("found", ""))),
            outputs=msgspec.convert(self.end.get("outputs", ()), tuple[ModelFile, ...]),
            missing_outputs=tuple(clean_line(str(name)) for name in self.end.get("missing", ())),
        )


def _package(name: object) -> str:
    return clean_line(str(name)).replace("_", "-").replace(".", "-").lower()


def fill_gaps(log: JobLog, facts: Facts, copies: Copies, watch: Watch) -> None:
    """Put the last pod's own copy in the place of what was read, where lines of it are missing."""
    pod = log.pods.get(facts.ended_pod)
    if pod is None or not pod.missing:
        return
    name = facts.end.get("copy")
    data = copies.read(str(name)) if name else None
    lost, gaps = pod.missing, list(pod.gaps)
    try:
        lines, reports = copied(data) if data is not None else ([], [])
    except ValueError:
        lines, reports = [], []
    if len(lines) < facts.end.get("lines", 0):
        watch.note(f"{count(lost, 'line')} of the log went by while the cluster was out of reach, and nobody has them.")
        return
    log.replace(facts.ended_pod, lines)
    watch.note(f"{count(lost, 'line')} of the log went by while the cluster was out of reach: they are there again.")
    watch.again(lines, gaps, reports)
