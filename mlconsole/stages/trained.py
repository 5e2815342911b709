"""What trainings come to, wherever they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mlconsole.evidence.release import EventBody, MetricSeen, ProgressSeen
from mlconsole.evidence.training import MetricPoint, Parameter, SweepRun, TrainingProgress
from mlconsole.services.training.run import TrainResult


class Trained(msgspec.Struct, frozen=True):
    """A training that ended well, here or elsewhere: its command as a person would type it, and what came of it.

    Of a sweep, `result` and `parameters` are of the best run, `best_by` is the metric that it was chosen by.
    """

    command: str
    result: TrainResult
    parameters: tuple[Parameter, ...]
    environment: Mapping[str, str]
    sweep: tuple[SweepRun, ...] = ()
    best_by: str = ""


def events_of(told: Sequence[MetricPoint | TrainingProgress]) -> Iterator[EventBody]:
    """What a training told, as events."""
    for seen in told:
        yield MetricSeen(point=seen) if isinstance(seen, MetricPoint) else ProgressSeen(progress=seen)


def suffix_of(pattern: str) -> str:
    """The ending of a model's file: that of the settings, where they say one."""
    suffix = Path(pattern).suffix
    return suffix if suffix[1:].isalnum() else ".pkl"
