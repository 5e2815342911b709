"""Back to an earlier version: its stored manifests are applied again, and the champion's alias moves with them."""

from __future__ import annotations

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import STAGES
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.versions import find_version

MADE_BY = STAGES[:4]
"""The stages that made a version: they stand for the rollback as they were."""


def target_version(journal: Journal, name: str, wanted: str = "") -> ModelVersion:
    """The version to go back to: the one named (see `find_version`), else what served before the champion.

    Raises:
        WrongUse: there is no such version, nothing served before, or it is the champion already.
    """
    champion = journal.alias(name, "champion")
    if wanted:
        version = find_version(journal, name, wanted)
    else:
        previous = journal.alias(name, "previous")
        if previous is None:
            raise WrongUse(f"There is no earlier version of {name} to go back to.", "See: mlconsole models")
        version = previous
    if champion is not None and champion.label == version.label:
        raise WrongUse(f"{version.label} is the champion already.", "See: mlconsole models")
    return version


def roll_back(engine: Engine, journal: Journal, order: Order, version: ModelVersion) -> Outcome:
    """Release an earlier version again.

    Raises:
        WrongUse: it was never deployed from here.
        Refused: another release is running.
    """
    return engine.roll_back(order, version, made_by(journal, version))


def made_by(journal: Journal, version: ModelVersion) -> tuple[StageRun, ...]:
    """The stage runs that made a version and let it pass.

    Raises:
        WrongUse: it has not passed its tests.
    """
    for release in journal.releases(10_000):
        if release.version == version.label and release.kind == "release":
            runs = {run.stage: run for run in journal.stage_runs(release.number)}
            if all(stage in runs and runs[stage].state in {"done", "reused"} for stage in MADE_BY):
                return tuple(runs[stage] for stage in MADE_BY)
    raise WrongUse(f"{version.label} has not passed its tests.", "Test it first: mlconsole test")
