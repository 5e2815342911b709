"""What all records share: they are frozen, travel as JSON, and stages have these names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from mlconsole.text import listed, shorten

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


class InputPart(msgspec.Struct, frozen=True, array_like=True):
    """A file, package or key that an input consists of.

    `state` is the beginning of its digest, `sha256:…`, or what it says itself: the version of a package.
    """

    name: str
    state: str


class Input(Record, frozen=True, kw_only=True):
    """One thing that a stage depends on: its name in words and a digest of its present state.

    `parts` are there to name what changed in it, where it has many; what they say is in the digest already.
    """

    name: str
    digest: str
    parts: tuple[InputPart, ...] = ()

    def changes_since(self, earlier: Input | None) -> str:
        """Name those of its parts that changed: `model.py and new features.py`; empty where that is not known."""
        before = {part.name: part.state for part in earlier.parts} if earlier is not None else {}
        after = {part.name: part.state for part in self.parts}
        if not before or not after:
            return ""
        names = [name for name in {**after, **before} if before.get(name) != after.get(name)]
        return listed([_change(name, before.get(name), after.get(name)) for name in names])


def _change(name: str, before: str | None, after: str | None) -> str:
    if after is None:
        return f"{name} gone"
    hides = after.startswith("sha256:")
    if before is None:
        return f"new {name}" if hides else f"new {name} {shorten(after, 30)}"
    if hides:
        return name
    return f"{name} {shorten(before, 30)} → {shorten(after, 30)}"


class Fingerprint(Record, frozen=True, kw_only=True):
    """Everything that a stage depends on. Two equal digests mean that the stage need not run again."""

    digest: str
    inputs: tuple[Input, ...] = ()

    def changed_since(self, earlier: Fingerprint) -> tuple[str, ...]:
        """Name the inputs that differ from an earlier fingerprint's."""
        before = {entry.name: entry.digest for entry in earlier.inputs}
        after = {entry.name: entry.digest for entry in self.inputs}
        return tuple(name for name in {**before, **after} if before.get(name) != after.get(name))

    def words_since(self, earlier: Fingerprint, told: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Name the inputs that differ from an earlier fingerprint's, each with what changed in it.

        Args:
            earlier: what it is held against.
            told: what is known better of an input than by its parts, by its name.
        """
        before = {entry.name: entry for entry in earlier.inputs}
        changes = {entry.name: entry.changes_since(before.get(entry.name)) for entry in self.inputs}
        changes |= {name: words for name, words in (told or {}).items() if words}
        names = self.changed_since(earlier)
        return tuple(f"{name} ({changes[name]})" if changes.get(name) else name for name in names)


class CommandRun(Record, frozen=True, kw_only=True):
    """A command that did, or does, what a stage did: ready to be copied into a shell."""

    line: str
    note: str = ""
