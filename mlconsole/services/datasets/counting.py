"""How many rows break a rule, and which: what a profile can't tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mlconsole.evidence.data import ColumnProfile, ColumnRule, DataProfile, DataSchema, Violation
from mlconsole.services.datasets.violations import (
    allowed,
    kind_sentence,
    no_numbers_sentence,
    range_level,
    range_sentence,
    repeated,
    values_sentence,
)
from mlconsole.text import count, shorten

if TYPE_CHECKING:
    from mlconsole.services.datasets.questions import Question

SHOWN = 3
MOST_UNIQUE = 20_000_000
"""Rows up to which values are looked through for repeated ones: 8 bytes each, and again to sort them."""


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

    Relations between columns are looked at here, too. Only the columns concerned are read again, and nothing at all
    where there are none. The examples become
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
    further = (
        *_relations(root, profile, schema, found, cancelled),
        *_repeats(root, profile, schema, cancelled),
    )
    wanted = list(_to_count(profile, schema, found))
    if not wanted:
        return (*violations, *further)
    from mlconsole.services.datasets.questions import count_rows

    questions = [_question(kind, column, rule) for kind, column, rule in wanted]
    count_rows(root, profile, questions, report, cancelled)
    for (kind, column, rule), question in zip(wanted, questions, strict=True):
        if question.rows:
            found[kind, rule.name] = _counted(found.get((kind, rule.name)), kind, column, rule, question)
        elif kind != "kind":
            found.pop((kind, rule.name), None)
    return (*found.values(), *further)


def _relations(
    root: Path,
    profile: DataProfile,
    schema: DataSchema,
    found: Mapping[tuple[str, str], Violation],
    cancelled: threading.Event | None,
) -> tuple[Violation, ...]:
    """The relations between columns that don't hold, in a pass of their own: they read columns as what both are."""
    columns = {column.name: column for column in profile.columns if ("kind", column.name) not in found}
    asked = [relation for relation in schema.relations if relation.left in columns and relation.right in columns]
    if not asked:
        return ()
    from mlconsole.services.datasets.questions import Unrelated, count_rows

    broken = []
    for relation in asked:
        question = Unrelated(columns[relation.left], relation.comparator, columns[relation.right])
        count_rows(root, profile, [question], lambda done: None, cancelled)
        if question.rows:
            broken.append(
                Violation(
                    rule="relation",
                    column=relation.left,
                    sentence=f"{relation.rule} does not hold in {count(question.rows, 'row')}.",
                    level=relation.severity,
                    count=question.rows,
                    examples=tuple(question.examples),
                )
            )
    return tuple(broken)


def _repeats(
    root: Path, profile: DataProfile, schema: DataSchema, cancelled: threading.Event | None
) -> Iterator[Violation]:
    """The values that occur again in columns with more different values than the profile counts."""
    many = {column.name for column in profile.columns if not column.distinct_exact}
    for rule in schema.columns:
        if not rule.unique or rule.name not in many:
            continue
        if profile.rows > MOST_UNIQUE:
            sentence = f"Whether {rule.name} repeats values is only looked at up to {MOST_UNIQUE:,} rows."
            yield Violation(rule="unique", column=rule.name, sentence=sentence, level="warn")
            continue
        from mlconsole.services.datasets import keys

        again = keys.repeats(root, profile.identity, rule.name, cancelled=cancelled)
        if again:
            yield repeated(rule, again)


def needs_rows(profile: DataProfile, schema: DataSchema) -> bool:
    """Are there rules that only the rows can tell of, whatever the profile says?"""
    many = {column.name for column in profile.columns if not column.distinct_exact}
    return bool(schema.relations) or any(rule.unique and rule.name in many for rule in schema.columns)


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
        if column.mostly_numbers and not column.number_formats and ("numbers", rule.name) in found:
            yield "numbers", column, rule
        if ("range", rule.name) in found:
            yield "range", column, rule
        if ("values", rule.name) in found or (rule.values and column.distinct > len(column.top)):
            yield "values", column, rule


def _question(kind: str, column: ColumnProfile, rule: ColumnRule) -> Question:
    from mlconsole.services.datasets.questions import NotAmong, NotANumber, OutOfRange

    if kind in ("kind", "numbers"):
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
    elif kind == "numbers":
        sentence, level = no_numbers_sentence(column, question.rows, shown), "warn"
    elif kind == "range":
        sentence, level = range_sentence(column, rule, question.rows), range_level(column, rule)
    else:
        sentence, level = values_sentence(column, rule, question.rows, shown), rule.severity
    entry = before or Violation(rule=kind, column=column.name, sentence=sentence, level=level)
    return msgspec.structs.replace(entry, sentence=sentence, count=question.rows, examples=tuple(question.examples))
