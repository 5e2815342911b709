"""What all records share: they are frozen, travel as JSON, and stages have these names."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

StageName = Literal["repo", "data", "train", "test", "deploy", "pods"]
"""The six stages of a release."""

STAGES: tuple[StageName, ...] = get_args(StageName)
"""The stages in their order."""

GateLevel = Literal["pass", "warn", "fail"]
"""What a gate says of a stage's evidence."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A small immutable record that crosses a boundary between parts, or is kept in the journal."""


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def digest_of_records(*records: Record | None) -> str:
    """A digest of what records say, by the JSON that the journal keeps of them: the same before and after reading."""
    sha = hashlib.sha256()
    for record in records:
        written = msgspec.json.encode(record)
        # a number that was given whole is written whole, but read as 1.0: what is digested is what is read
        same = msgspec.json.encode(msgspec.json.decode(written, type=type(record)))
        sha.update(len(same).to_bytes(8, "big") + same)
    return f"sha256:{sha.hexdigest()}"


class Reason(Record, frozen=True, kw_only=True):
    """One finding of a gate, in words."""

    level: GateLevel
    sentence: str
    next_step: str = ""


class Verdict(Record, frozen=True, kw_only=True):
    """What a gate says: its level is that of its worst reason."""

    level: GateLevel
    reasons: tuple[Reason, ...] = ()

    @classmethod
    def of(cls, reasons: list[Reason]) -> Verdict:
        """Judge by a list of reasons; an empty one passes."""
        levels = {reason.level for reason in reasons}
        level: GateLevel = "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"
        return cls(level=level, reasons=tuple(reasons))


class Input(Record, frozen=True, kw_only=True):
    """One thing that a stage depends on: its name in words and a digest of its present state."""

    name: str
    digest: str


class Fingerprint(Record, frozen=True, kw_only=True):
    """Everything that a stage depends on. Two equal digests mean that the stage need not run again."""

    digest: str
    inputs: tuple[Input, ...] = ()

    def changed_since(self, earlier: Fingerprint) -> tuple[str, ...]:
        """Name the inputs that differ from an earlier fingerprint's."""
        before = {entry.name: entry.digest for entry in earlier.inputs}
        after = {entry.name: entry.digest for entry in self.inputs}
        return tuple(name for name in {**before, **after} if before.get(name) != after.get(name))


class CommandRun(Record, frozen=True, kw_only=True):
    """A command that did, or does, what a stage did: ready to be copied into a shell."""

    line: str
    note: str = ""
