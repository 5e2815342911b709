"""How many rows break a rule, and which: what a profile can't tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mlconsole.evidence.data import ColumnProfile, ColumnRule, DataProfile, DataSchema, Violation
from mlconsole.services.datasets.violations import allowed, kind_sentence, range_level, range_sentence, values_sentence
from mlconsole.text import shorten

if TYPE_CHECKING:
    from mlconsole.services.datasets.questions import Question

SHOWN = 3


def count_violations(
    root: Path,
    profile: DataProfile,
    schema: DataSchema,
    violations: tuple[Violation, ...],
    *,
    report: Callable[[int], None] = lambda done: None,
    cancelled: threading.Event | None = None,
) -> tuple[Violation, ...]:
    """Count in the rows what `check` could only tell by the profile.

    That is: texts in a column of numbers, values out of range, and values that are new.

    Only the columns concerned are read again, and nothing at all where there are none. The examples become
    `row 17: 9.3`, with the data's rows counted from 1. New values that the profile does not show, because a column
    has more than it lists, are found here.

    Args:
        root: the project's folder.
        profile: the data's profile.
        schema: the schema that it was checked with.
        violations: what `check` found.
        report: gets the number of bytes read so far.
        cancelled: ends the work.

    Raises:
        DataUnfit, Cancelled.
    """
    found = {(entry.rule, entry.column): entry for entry in violations}
    wanted = list(_to_count(profile, schema, found))
    if not wanted:
        return violations
    from mlconsole.services.datasets.questions import count_rows

    questions = [_question(kind, column, rule) for kind, column, rule in wanted]
    count_rows(root, profile, questions, report, cancelled)
    for (kind, column, rule), question in zip(wanted, questions, strict=True):
        if question.rows:
            found[kind, rule.name] = _counted(found.get((kind, rule.name)), kind, column, rule, question)
        elif kind != "kind":
            found.pop((kind, rule.name), None)
    return tuple(found.values())


def _to_count(
    profile: DataProfile, schema: DataSchema, found: dict[tuple[str, str], Violation]
) -> Iterator[tuple[str, ColumnProfile, ColumnRule]]:
    """What to look for in the rows.

    Texts among numbers, values out of range, and values that are new; also those that may be, where a column has more
    values than its profile lists.
    """
    columns = {column.name: column for column in profile.columns}
    for rule in schema.columns:
        column = columns.get(rule.name)
        if column is None or column.kind == "empty":
            continue
        if ("kind", rule.name) in found:
            if rule.kind in ("integer", "number") and column.type == "string":
                yield "kind", column, rule
            continue
        if ("range", rule.name) in found:
            yield "range", column, rule
        if ("values", rule.name) in found or (rule.values and column.distinct > len(column.top)):
            yield "values", column, rule


def _question(kind: str, column: ColumnProfile, rule: ColumnRule) -> Question:
    from mlconsole.services.datasets.questions import NotAmong, NotANumber, OutOfRange

    if kind == "kind":
        return NotANumber(column.name)
    if kind == "range":
        return OutOfRange(column.name, rule.minimum, rule.maximum)
    return NotAmong(column.name, column.kind, allowed(column, rule))


def _counted(
    before: Violation | None, kind: str, column: ColumnProfile, rule: ColumnRule, question: Question
) -> Violation:
    shown = tuple(shorten(value, 40) for value in question.new[:SHOWN])
    if kind == "kind":
        sentence, level = kind_sentence(column, rule, question.rows, shown), before.level if before else "fail"
    elif kind == "range":
        sentence, level = range_sentence(column, rule, question.rows), range_level(column, rule)
    else:
        sentence, level = values_sentence(column, rule, question.rows, shown), rule.severity
    entry = before or Violation(rule=kind, column=column.name, sentence=sentence, level=level)
    return msgspec.structs.replace(entry, sentence=sentence, count=question.rows, examples=tuple(question.examples))
