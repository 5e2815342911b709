"""What is asked of a release, and how carrying it out ended."""

from __future__ import annotations

import msgspec

from mlconsole.errors import Exit
from mlconsole.evidence.base import Record, StageName
from mlconsole.evidence.cluster import DeployEvidence, DeployOptions, PodsEvidence
from mlconsole.evidence.release import Evidence, Release, ReleaseState, ReleaseTrigger


class Order(Record, frozen=True, kw_only=True):
    """What is asked of a release: where to stop, from which stage on nothing is reused, who asks and why."""

    until: StageName = "pods"
    again_from: StageName | None = None
    approved: bool = False
    who: str = ""
    reason: str = ""
    options: DeployOptions = DeployOptions()
    version: str = ""
    """A version that was imported, to be released in the place of one that is trained."""
    trigger: ReleaseTrigger | None = None
    """What sets it off, where no person does."""


class Outcome(Record, frozen=True, kw_only=True):
    """How a run ended. `release` is None where nothing had changed, and so nothing was done."""

    release: Release | None
    exit_code: int
    sentence: str = ""


_EXITS: dict[ReleaseState, Exit] = {
    "done": Exit.DONE,
    "paused": Exit.DONE,
    "waiting": Exit.REFUSED,
    "refused": Exit.REFUSED,
    "cancelled": Exit.CANCELLED,
}


class Stop(Exception):
    """The release can't go on now: the state that it is left in, in a sentence."""

    def __init__(self, state: ReleaseState, sentence: str, exit_code: int | None = None) -> None:
        super().__init__(sentence)
        self.state: ReleaseState = state
        self.sentence = sentence
        self.exit_code = _EXITS.get(state, Exit.OUTSIDE_FAILED) if exit_code is None else exit_code


def has_touched_the_cluster(refused: Evidence | None) -> bool:
    """Whether a release whose gate said no to this evidence has changed what serves."""
    return isinstance(refused, PodsEvidence) or (isinstance(refused, DeployEvidence) and refused.applied)


def order_to_bring_back(failed: Release, why: str, who: str) -> Order:
    """The order of the rollback that follows a failed release by itself.

    Nobody can be asked, so fields that others own are left to them.
    """
    return Order(
        approved=True,
        who=who,
        reason=f"release {failed.number} failed: {why}",
        options=msgspec.structs.replace(failed.options, conflicts="leave", prune=False),
    )
