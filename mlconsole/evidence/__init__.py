"""The records that stages produce and the journal keeps: the only shapes that cross a boundary.

They are immutable msgspec Structs, grouped by the question that they answer: `repo`, `data`, `training`, `testing`,
`cluster`, and `release` for what ties them together.
"""

from mlconsole.evidence.base import (
    STAGES,
    CommandRun,
    Fingerprint,
    GateLevel,
    Input,
    Reason,
    Record,
    StageName,
    Verdict,
    digest_of_records,
    now,
)

__all__ = [
    "STAGES",
    "CommandRun",
    "Fingerprint",
    "GateLevel",
    "Input",
    "Reason",
    "Record",
    "StageName",
    "Verdict",
    "digest_of_records",
    "now",
]
