"""What a training reports exactly, by `mlconsole.report`: the helper put in its reach, and its reports read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress
from mlconsole.services.training.progress import Counter, ProgressMeter
from mlconsole.text import clean_line, shorten

Told = MetricPoint | TrainingProgress | Parameter
"""One thing that a training tells of itself."""

HELPER = Path(__file__).parents[2] / "report.py"
VARIABLE = "MLCONSOLE_REPORT"
LONGEST_NAME = 128
LONGEST_VALUE = 1000


class _Line(msgspec.Struct):
    mlconsole: int
    metric: str = ""
    value: float | str | None = None
    step: int | None = None
    done: float | None = None
    total: float | None = None
    message: str = ""
    parameter: str = ""


class ReportReader:
    """Reads the lines that the helper writes, in their order.

    Args:
        clock: seconds that only grow; from it comes the time left.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._meter = ProgressMeter(clock)

    def read(self, line: str | bytes) -> Told | None:
        """Return what a line tells, None where it is no report."""
        try:
            told = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if told.metric and isinstance(told.value, float | int):
            return MetricPoint(name=_word(told.metric), value=float(told.value), step=told.step)
        if told.parameter:
            return Parameter(name=_word(told.parameter), value=shorten(clean_line(str(told.value)), LONGEST_VALUE))
        if told.done is not None and told.total and 0 <= told.done <= told.total:
            label = f"{_word(told.message)} {told.done:g}/{told.total:g}".strip()
            counter = Counter(kind="plain", label=label, done=told.done, total=told.total, span=(0, 0))
            return self._meter.see([counter], None, heading=False)
        return None


class ReportFile:
    """The file that the helper appends to, read as it grows."""

    every = 0.0
    exact = True

    def __init__(self, path: Path) -> None:
        # it is there before the helper writes to it: looking for it again and again costs more than reading it
        self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
        self._rest = b""
        self._reader = ReportReader()

    def look(self) -> Sequence[Told]:
        """Return what was reported since the last look."""
        found: list[Told] = []
        while self._descriptor is not None and (data := os.read(self._descriptor, 1 << 20)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            found += [told for line in whole if (told := self._reader.read(line)) is not None]
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def reporting_environment(folder: Path, environment: dict[str, str]) -> tuple[dict[str, str], ReportFile]:
    """Put the helper in the reach of a training.

    It stands in a folder without `__init__.py`: where mlconsole itself is installed, Python takes that one.

    Args:
        folder: a folder of the run's own, made where it is not there.
        environment: the environment of the child.

    Returns:
        The environment with two variables changed, and the file that the reports will come to.
    """
    package = folder / "helper" / "mlconsole"
    package.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HELPER, package / "report.py")
    reports = folder / "reports.jsonl"
    reports.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(package.parent), environment.get("PYTHONPATH", "")]))
    return {**environment, "PYTHONPATH": path, VARIABLE: str(reports)}, ReportFile(reports)


def _word(text: str) -> str:
    return shorten(clean_line(text).strip(), LONGEST_NAME)
