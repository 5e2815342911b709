"""What serves now, and what the journal knows of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.evidence.base import Record


class Serving(Record, frozen=True, kw_only=True):
    """Pods of one owner that say they serve the same model; digests and commit are as they tell them.

    `release`, `changed_by` and `change_cause` stand on the owner; 0 and empty where they do not, or can't be read.
    """

    version: str
    model_digest: str
    data_digest: str
    commit: str
    owner_kind: str
    owner: str
    images: tuple[str, ...]
    pods: tuple[str, ...]
    ready: int
    release: int = 0
    changed_by: str = ""
    change_cause: str = ""


class Released(Record, frozen=True, kw_only=True):
    """A version that was released to a target from the same source before, by another journal than the one that asks.

    `by` is who it was, in words; `serves` is whether pods still serve it, and `now` what serves in its place.
    """

    version: str
    by: str
    serves: bool
    now: str = ""


class Whereabouts(Record, frozen=True, kw_only=True):
    """What serves, beside what the journal knows of that version.

    `agreement` says whether the digests and the commit on the pods are those of the journal: `unknown` where the
    journal does not know the version, or there is no journal here.
    """

    serving: Serving
    agreement: Literal["agrees", "differs", "unknown"]
    differs: tuple[str, ...] = ()
    """What the pods tell otherwise than the journal: `model digest`, `data digest`, `commit`."""
    made_by: int = 0
    """The release that trained the version."""
    deployed_by: int = 0
    """The last release that deployed it."""
    who: str = ""
    deployed_at: datetime | None = None
    reason: str = ""
    is_champion: bool = False
