"""Back to an earlier version: its stored manifests are applied again, and the champion's alias moves with them."""

from __future__ import annotations

from mlconsole.errors import WrongUse
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.versions import find_version, made_anywhere
from mlconsole.stages.deployed import is_stuck


def target_version(journal: Journal, name: str, wanted: str = "") -> ModelVersion:
    """The version to go back to: the one named (see `find_version`), else the one that served last.

    That is the champion where the last deploy is stuck, else what served before the champion.

    Raises:
        WrongUse: there is no such version, nothing served before, or it is the champion and serves already.
    """
    champion = journal.alias(name, "champion")
    stuck = champion is not None and is_stuck(journal)
    if wanted:
        version = find_version(journal, name, wanted)
    else:
        earlier = champion if stuck else journal.alias(name, "previous")
        if earlier is None:
            raise WrongUse(f"There is no earlier version of {name} to go back to.", "See: mlconsole models list")
        version = earlier
    if champion is not None and champion.label == version.label and not stuck:
        raise WrongUse(f"{version.label} is the champion already.", "See: mlconsole models list")
    return version


def roll_back(engine: Engine, journal: Journal, order: Order, version: ModelVersion) -> Outcome:
    """Release an earlier version again.

    Raises:
        WrongUse: it was never deployed from here.
        Refused: another release is running, or it was made elsewhere and the team's store does not have its manifests.
    """
    return engine.roll_back(order, version, made_anywhere(engine.project, journal, version))
