"""What is asked of a release, and how carrying it out ended."""

from __future__ import annotations

import msgspec

from mlconsole.evidence.base import Record, StageName
from mlconsole.evidence.cluster import DeployEvidence, DeployOptions, PodsEvidence
from mlconsole.evidence.release import Evidence, Release, ReleaseTrigger


class Order(Record, frozen=True, kw_only=True):
    """What is asked of a release: where to stop, from which stage on nothing is reused, who asks and why."""

    until: StageName = "pods"
    again_from: StageName | None = None
    approved: bool = False
    who: str = ""
    reason: str = ""
    options: DeployOptions = DeployOptions()
    trigger: ReleaseTrigger | None = None
    """What sets it off, where no person does."""


class Outcome(Record, frozen=True, kw_only=True):
    """How a run ended. `release` is None where nothing had changed, and so nothing was done."""

    release: Release | None
    exit_code: int
    sentence: str = ""


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
