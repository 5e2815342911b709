"""What other releases have to say to the one that is shown: data, curves, what tests took, what commits released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlconsole.errors import Problem
from mlconsole.evidence.base import StageName
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.release import MetricSeen, Release, StageRun
from mlconsole.evidence.testing import TestEvidence
from mlconsole.evidence.training import MetricPoint, ModelVersion
from mlconsole.journal import Journal

MOST_PAST_RUNS = 3
MOST_TESTED = 5
"""So many releases before are looked at for what their tests took."""

Metrics = tuple[tuple[str, tuple[MetricPoint, ...]], ...]


@dataclass(frozen=True)
class PastRun:
    """The metrics of an earlier training, by the version that it made."""

    label: str
    metrics: Metrics


@dataclass(frozen=True)
class Related:
    """Read once for the release that is shown. `released` has the versions that came from each commit."""

    reference: str = ""
    """The version whose data the shown release's data is compared with."""
    reference_data: DataEvidence | None = None
    past_runs: tuple[PastRun, ...] = ()
    released: Mapping[str, tuple[ModelVersion, ...]] = field(default_factory=dict)
    test_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each test took in the last release before that ran them, by node id."""


class RelatedReader:
    """Reads what is related to a release; what never changes again is read once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._metrics: dict[int, Metrics] = {}
        self._test_seconds: dict[int, Mapping[str, float]] = {}

    def read(self, journal: Journal, shown: Release | None, runs: Mapping[StageName, StageRun]) -> Related:
        """Look into other releases of the journal.

        Raises:
            JournalFailed: it can't be read.
        """
        versions = journal.versions(self._name)
        released: dict[str, tuple[ModelVersion, ...]] = {}
        for version in versions:
            if version.commit:
                released[version.commit] = (*released.get(version.commit, ()), version)
        reference = self._reference(journal, runs.get("data"))
        return Related(
            reference=reference.label if reference else "",
            reference_data=_data_of(journal, reference.release) if reference else None,
            past_runs=self._past_runs(journal, versions, shown),
            released=released,
            test_seconds=self._tested(journal, shown),
        )

    def _reference(self, journal: Journal, run: StageRun | None) -> ModelVersion | None:
        """The version that the data is compared with: the one that its evidence names, else the champion."""
        evidence = run.evidence if run is not None and isinstance(run.evidence, DataEvidence) else None
        if evidence is None:
            return journal.alias(self._name, "champion")
        label = evidence.change.reference if evidence.change else evidence.drift[0].reference if evidence.drift else ""
        name, _, number = label.rpartition("@v")
        if not number.isdigit():
            return None
        try:
            return journal.version(name, int(number))
        except Problem:
            return None

    def _past_runs(
        self, journal: Journal, versions: tuple[ModelVersion, ...], shown: Release | None
    ) -> tuple[PastRun, ...]:
        number = shown.number if shown is not None else 1 << 62
        before = [version for version in versions if version.release < number][:MOST_PAST_RUNS]
        return tuple(PastRun(version.tag, self._curves(journal, version.release)) for version in before)

    def _tested(self, journal: Journal, shown: Release | None) -> Mapping[str, float]:
        """How long each test took in the last release before the shown one that has run them."""
        numbers = range(shown.number - 1, max(shown.number - 1 - MOST_TESTED, 0), -1) if shown is not None else ()
        for number in numbers:
            if number not in self._test_seconds:
                runs = journal.stage_runs(number)
                self._test_seconds[number] = {
                    test.nodeid: test.seconds
                    for run in runs
                    if isinstance(run.evidence, TestEvidence)
                    for test in run.evidence.run.outcomes
                }
            if self._test_seconds[number]:
                return self._test_seconds[number]
        return {}

    def _curves(self, journal: Journal, release: int) -> Metrics:
        if release not in self._metrics:
            points: dict[str, list[MetricPoint]] = {}
            for event in journal.events(release):
                if isinstance(event.body, MetricSeen):
                    points.setdefault(event.body.point.name, []).append(event.body.point)
            self._metrics[release] = tuple((name, tuple(found)) for name, found in points.items())
        return self._metrics[release]


def _data_of(journal: Journal, release: int) -> DataEvidence | None:
    return next((run.evidence for run in journal.stage_runs(release) if isinstance(run.evidence, DataEvidence)), None)
