"""What data has to look like: learnt from data that was good, and kept as YAML that people may edit."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlconsole.evidence.data import ColumnProfile, ColumnRule, DataProfile, DataSchema, Relation
from mlconsole.services.datasets.faults import unreadable
from mlconsole.services.datasets.schema_file import read
from mlconsole.services.datasets.violations import check
from mlconsole.text import count, listed, short_digest

MARGIN = 0.1
"""How much further than the data a learnt range reaches, as a part of its span."""
ROWS_FOR_UNIQUE = 1000
"""From how many rows on it is no accident that no value of a column occurs twice."""

__all__ = ["check", "learn", "read", "write"]

_HEADING = """\
# What the training data has to look like, learnt from data that was good. Edit it freely.
# A missing column or another kind of values always fails; `severity: fail` makes a value out of range fail too.
# There are also `maximum_rows: 50000`, `maximum_age_days: 40` for a column of dates, and between two columns
# `relations: ["casual <= bikers"]` with <, <=, ==, !=, >= or >.
"""


def learn(profile: DataProfile) -> DataSchema:
    """Learn a schema from good data: kinds, missing values, ranges with a margin of 10 %, and small sets of values.

    Every column is required. That no value occurs twice is learnt from 1,000 rows on, of whole numbers and texts. At
    least half as many rows are expected.
    """
    files = listed([file.path for file in profile.identity.files])
    origin = f"{files} ({count(profile.rows, 'row')}, {short_digest(profile.identity.digest)})"
    return DataSchema(
        columns=tuple(_learn_rule(column, target=column.name == profile.target) for column in profile.columns),
        minimum_rows=max(1, profile.rows // 2),
        learnt_from=origin,
    )


def _learn_rule(column: ColumnProfile, *, target: bool) -> ColumnRule:
    low, high = _range(column)
    present = column.rows - column.missing
    complete = column.kind == "category" and column.distinct_exact and column.distinct == len(column.top)
    return ColumnRule(
        name=column.name,
        kind=column.kind,
        nullable=column.missing > 0 and not target,
        unique=(
            present >= ROWS_FOR_UNIQUE
            and column.kind in ("integer", "text")
            and column.distinct_exact
            and column.distinct == present
        ),
        minimum=low,
        maximum=high,
        values=tuple(sorted(entry.value for entry in column.top)) if complete else (),
    )


def _range(column: ColumnProfile) -> tuple[float | None, float | None]:
    """The range to expect: that of the data and a margin; what was never negative stays so."""
    if column.minimum is None or column.maximum is None:
        return None, None
    margin = MARGIN * (column.maximum - column.minimum) or MARGIN * abs(column.maximum)
    if column.kind == "integer":
        margin = float(math.floor(margin)) if math.isfinite(margin) else margin
    low, high = column.minimum - margin, column.maximum + margin
    if column.minimum >= 0:
        low = max(low, 0.0)
    if column.maximum <= 0:
        high = min(high, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        return column.minimum, column.maximum
    if column.kind == "integer":
        return low, high
    short_low, short_high = float(f"{low:.6g}"), float(f"{high:.6g}")
    return (
        short_low if short_low <= column.minimum else low,
        short_high if short_high >= column.maximum else high,
    )


def write(path: Path, schema: DataSchema) -> None:
    """Write a schema as YAML, whole or not at all."""
    import yaml

    columns = {rule.name: dict(_entries(rule)) for rule in schema.columns}
    document: dict[str, Any] = {"learnt_from": schema.learnt_from, "minimum_rows": schema.minimum_rows}
    if schema.maximum_rows is not None:
        document["maximum_rows"] = schema.maximum_rows
    document["columns"] = columns
    if schema.relations:
        document["relations"] = [_relation_entry(relation) for relation in schema.relations]
    text = _HEADING + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise unreadable(str(path), error) from error


def _relation_entry(relation: Relation) -> Any:
    return relation.rule if relation.severity == "warn" else {"rule": relation.rule, "severity": relation.severity}


def _entries(rule: ColumnRule) -> Iterator[tuple[str, Any]]:
    """The keys of a rule that say something: what is the default is left out, but for whether values may be missing."""
    yield "kind", rule.kind
    if not rule.required:
        yield "required", False
    yield "nullable", rule.nullable
    if rule.unique:
        yield "unique", True
    for key, bound in (("minimum", rule.minimum), ("maximum", rule.maximum)):
        if bound is not None:
            yield key, _plain(bound)
    if rule.values:
        yield "values", list(rule.values)
    if rule.maximum_age_days is not None:
        yield "maximum_age_days", _plain(rule.maximum_age_days)
    if rule.severity != "warn":
        yield "severity", rule.severity


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) and abs(number) < 2**53 else number
