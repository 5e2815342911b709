"""New data held against a schema, by its profile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mlconsole.evidence.base import GateLevel
from mlconsole.evidence.data import ColumnProfile, ColumnRule, DataProfile, DataSchema, Violation
from mlconsole.text import count, listed, number, shorten

FEW_MISSING = 0.01
FAR = 3
MEDIAN = 3
"""The place of the median among the quantiles of a profile."""
EXAMPLES = 3

FAMILY: dict[str, str] = {"integer": "number", "number": "number", "category": "text", "text": "text"}
WORDS = {
    "integer": "whole numbers",
    "number": "numbers",
    "boolean": "true or false",
    "category": "categories",
    "text": "text",
    "date": "dates",
    "empty": "nothing at all",
}


def check(profile: DataProfile, schema: DataSchema, at: datetime | None = None) -> tuple[Violation, ...]:
    """Say which rules of a schema the data breaks, by its profile alone.

    How many rows are out of range or have a new value is a lower bound here, and exact after `count_violations`, which
    also looks at the relations between columns. `at` is the moment by which data is too old: now, where not given.

    A column that is missing or of another kind fails, and so does a table with too few rows. Missing values where
    there were none fail above 1 % of the rows, or in the target. Values out of range warn (or fail where the rule
    says so); they always fail where they are further out than three times the expected span, or where the median is
    out of range: that is another unit, not another season. A column that was constant has no such measure.
    """
    found: list[Violation] = []
    if profile.rows < schema.minimum_rows:
        found.append(
            Violation(
                rule="rows",
                column="",
                sentence=f"There are {count(profile.rows, 'row')}; at least {schema.minimum_rows:,} are expected.",
                level="fail",
                count=profile.rows,
            )
        )
    if schema.maximum_rows is not None and profile.rows > schema.maximum_rows:
        sentence = f"There are {count(profile.rows, 'row')}; at most {schema.maximum_rows:,} are expected."
        found.append(Violation(rule="rows", column="", sentence=sentence, level="fail", count=profile.rows))
    columns = {column.name: column for column in profile.columns}
    for rule in schema.columns:
        column = columns.get(rule.name)
        found += _missing_column(rule) if column is None else _check_column(column, rule, profile)
        found += _too_old(column, rule, at or datetime.now(UTC)) if column is not None else ()
    known = {rule.name for rule in schema.columns}
    of_another_kind = {entry.column for entry in found if entry.rule == "kind"}
    found += _no_header(profile)
    for column in profile.columns:
        found += _not_as_meant(column)
        if column.name not in of_another_kind:
            found += _mixed(column) if column.mixed else _meant_as_numbers(column)
        if column.name not in known:
            sentence = f"{column.name} is a new column ({WORDS[column.kind]})."
            found.append(Violation(rule="extra column", column=column.name, sentence=sentence, level="warn"))
    return tuple(found)


def _not_as_meant(column: ColumnProfile) -> Iterator[Violation]:
    """What is wrong with a column whatever is expected of it."""
    if column.infinite:
        sentence = f"{column.name} has {count(column.infinite, 'value')} beyond 1.8e308: infinite, for most models."
        yield Violation(rule="infinite", column=column.name, sentence=sentence, level="warn", count=column.infinite)
    if column.date_formats:
        shown = listed(column.date_formats)
        many = count(len(column.date_formats), "format")
        sentence = f"{column.name} holds dates in {many}, so that it is read as text: {shown}."
        yield Violation(rule="dates", column=column.name, sentence=sentence, level="warn", examples=column.date_formats)


def _mixed(column: ColumnProfile) -> Iterator[Violation]:
    """A column that is not the same in all files."""
    if column.mixed:
        sentence = f"{column.name} is read as text, for it is not one thing in all files: {listed(column.mixed)}."
        yield Violation(rule="files", column=column.name, sentence=sentence, level="warn", examples=column.mixed)


def _meant_as_numbers(column: ColumnProfile) -> Iterator[Violation]:
    """Texts that a person would take for numbers."""
    if column.number_formats:
        shown = listed([f'"{text}"' for text in column.number_formats])
        sentence = f"{column.name} holds numbers that are written in such a way that it is read as text: {shown}."
        yield Violation(
            rule="numbers", column=column.name, sentence=sentence, level="warn", examples=column.number_formats
        )
    elif column.mostly_numbers:
        sentence = f"{column.name} is read as text, although most of its values are numbers."
        yield Violation(rule="numbers", column=column.name, sentence=sentence, level="warn")


def no_numbers_sentence(column: ColumnProfile, rows: int, examples: tuple[str, ...]) -> str:
    """Say what alone keeps a column from being numbers."""
    return f"{column.name} is read as text for {count(rows, 'row')} without a number: {', '.join(examples)}."


def _no_header(profile: DataProfile) -> Iterator[Violation]:
    """Names that are numbers, and not just those of their places, which pandas gives to what has no names."""
    names = [column.name.strip() for column in profile.columns]
    is_text = not any(file.path.lower().endswith((".parquet", ".pq")) for file in profile.identity.files)
    places = [str(place) for place in range(len(names))]
    if is_text and names != places and all(name.replace(".", "", 1).lstrip("+-").isdecimal() for name in names):
        sentence = f"The names of all columns are numbers ({listed(names, 3)}): perhaps the first row is no header."
        yield Violation(rule="header", column="", sentence=sentence, level="warn")


def _missing_column(rule: ColumnRule) -> Iterator[Violation]:
    if rule.required:
        sentence = f"The column {rule.name} is missing."
        yield Violation(rule="missing column", column=rule.name, sentence=sentence, level="fail")


def _check_column(column: ColumnProfile, rule: ColumnRule, profile: DataProfile) -> Iterator[Violation]:
    yield from _gaps(column, rule, profile)
    if column.kind == "empty" or rule.kind == "empty":
        return
    if FAMILY.get(column.kind, column.kind) != FAMILY.get(rule.kind, rule.kind):
        examples = tuple(shorten(entry.value, 40) for entry in column.top[:EXAMPLES])
        sentence = kind_sentence(column, rule, 0, examples)
        yield Violation(
            rule="kind", column=column.name, sentence=sentence, level="fail", count=column.rows, examples=examples
        )
        return
    yield from _out_of_range(column, rule)
    yield from _new_values(column, rule)
    present = column.rows - column.missing
    if rule.unique and column.distinct_exact and column.distinct < present:
        yield repeated(rule, present - column.distinct)


def repeated(rule: ColumnRule, rows: int) -> Violation:
    """Values that are expected once occur again, in so many rows."""
    sentence = f"{rule.name} repeats values in {count(rows, 'row')}; each is expected once."
    return Violation(rule="unique", column=rule.name, sentence=sentence, level=rule.severity, count=rows)


def _too_old(column: ColumnProfile, rule: ColumnRule, at: datetime) -> Iterator[Violation]:
    if rule.maximum_age_days is None or not column.latest:
        return
    try:
        latest = datetime.fromisoformat(column.latest)
    except ValueError:
        return
    age = at - (latest if latest.tzinfo else latest.replace(tzinfo=UTC))
    if age > timedelta(days=rule.maximum_age_days):
        most = number(rule.maximum_age_days)
        sentence = f"{column.name} ends at {column.latest}, {age.days:,} days ago, where at most {most} are expected."
        yield Violation(rule="age", column=column.name, sentence=sentence, level=rule.severity)


def kind_sentence(column: ColumnProfile, rule: ColumnRule, rows: int, examples: tuple[str, ...]) -> str:
    """Say that a column holds other values than expected, in how many rows if that is known."""
    held = f"text in {count(rows, 'row')}" if rows else WORDS[column.kind]
    what = f": {', '.join(examples)}" if examples else ""
    expected = f"{WORDS[rule.kind]} {'is' if rule.kind in ('text', 'boolean') else 'are'}"
    return f"{column.name} holds {held}, where {expected} expected{what}."


def _gaps(column: ColumnProfile, rule: ColumnRule, profile: DataProfile) -> Iterator[Violation]:
    if column.kind == "empty" and rule.kind != "empty":
        sentence = f"{column.name} has no value at all, where {WORDS[rule.kind]} are expected."
        yield Violation(rule="missing values", column=column.name, sentence=sentence, level="fail", count=column.rows)
        return
    if rule.nullable or not column.missing:
        return
    many = column.missing > FEW_MISSING * column.rows or column.name == profile.target
    share = column.missing / column.rows
    why = "and it is the target" if column.name == profile.target else "where each is expected to have one"
    sentence = f"{column.name} has no value in {count(column.missing, 'row')} ({share:.2%}), {why}."
    yield Violation(
        rule="missing values",
        column=column.name,
        sentence=sentence,
        level="fail" if many else rule.severity,
        count=column.missing,
    )


def _out_of_range(column: ColumnProfile, rule: ColumnRule) -> Iterator[Violation]:
    if column.minimum is None or column.maximum is None:
        return
    below = rule.minimum is not None and column.minimum < rule.minimum
    above = rule.maximum is not None and column.maximum > rule.maximum
    if not (below or above):
        return
    examples = (number(column.minimum),) * below + (number(column.maximum),) * above
    yield Violation(
        rule="range",
        column=column.name,
        sentence=range_sentence(column, rule, 0),
        level=range_level(column, rule),
        count=max(_certainly_outside(column, rule), below + above),
        examples=examples,
    )


def range_sentence(column: ColumnProfile, rule: ColumnRule, rows: int) -> str:
    """Say that values are out of range, in how many rows if that is known."""
    assert column.minimum is not None and column.maximum is not None
    how_many = f" in {count(rows, 'row')}" if rows else ""
    if rule.minimum is None or rule.maximum is None:
        bound = (
            f"at most {number(rule.maximum)}" if rule.maximum is not None else f"at least {number(rule.minimum or 0)}"
        )
    else:
        bound = f"{number(rule.minimum)} to {number(rule.maximum)}"
    span = f"{number(column.minimum)} to {number(column.maximum)}"
    text = f"{column.name} is out of range{how_many}: it goes from {span}, where {bound} is expected"
    median = column.quantiles[MEDIAN] if len(column.quantiles) > MEDIAN else None
    if median is not None and not _inside(median, rule):
        side = "at most" if rule.minimum is not None and median < rule.minimum else "at least"
        text += f"; half of the rows are {side} {number(median)}, so the unit may be another one"
    return f"{text}."


def range_level(column: ColumnProfile, rule: ColumnRule) -> GateLevel:
    """How bad it is that values are out of range."""
    assert column.minimum is not None and column.maximum is not None
    span = None if rule.minimum is None or rule.maximum is None else rule.maximum - rule.minimum
    if span == 0:
        return rule.severity
    if len(column.quantiles) > MEDIAN and not _inside(column.quantiles[MEDIAN], rule):
        return "fail"
    if span is not None and rule.minimum is not None and rule.maximum is not None:
        lowest, highest = rule.minimum - FAR * span, rule.maximum + FAR * span
        if column.minimum < lowest or column.maximum > highest:
            return "fail"
    return rule.severity


def _inside(value: float, rule: ColumnRule) -> bool:
    return (rule.minimum is None or value >= rule.minimum) and (rule.maximum is None or value <= rule.maximum)


def _certainly_outside(column: ColumnProfile, rule: ColumnRule) -> int:
    """Rows in bins of the histogram that lie wholly out of range: at least so many are."""
    if column.histogram is None:
        return 0
    edges, counts = column.histogram.edges, column.histogram.counts
    low = rule.minimum if rule.minimum is not None else float("-inf")
    high = rule.maximum if rule.maximum is not None else float("inf")
    bins = zip(edges, edges[1:], counts, strict=False)
    return sum(rows for start, end, rows in bins if end <= low or start > high)


def _new_values(column: ColumnProfile, rule: ColumnRule) -> Iterator[Violation]:
    if not rule.values:
        return
    known = allowed(column, rule)
    new = [entry for entry in column.top if _key(column, entry.value) not in known]
    hidden = column.distinct > max(len(known), len(column.top))
    if not new and not hidden:
        return
    examples = tuple(shorten(entry.value, 40) for entry in new[:EXAMPLES])
    rows = sum(entry.count for entry in new)
    yield Violation(
        rule="values",
        column=column.name,
        sentence=values_sentence(column, rule, rows, examples),
        level=rule.severity,
        count=rows,
        examples=examples,
    )


def values_sentence(column: ColumnProfile, rule: ColumnRule, rows: int, examples: tuple[str, ...]) -> str:
    """Say that there are new values, in how many rows if that is known."""
    where = f" in {count(rows, 'row')}" if rows else ""
    what = f", such as {listed(examples)}" if examples else ""
    return f"{column.name} has new values{where}{what}; known are {listed(rule.values, 5)}."


def allowed(column: ColumnProfile, rule: ColumnRule) -> frozenset[str | float]:
    """The values that a rule allows, in the form that they are compared in."""
    return frozenset(_key(column, value) for value in rule.values)


def _key(column: ColumnProfile, value: str) -> str | float:
    """What a value is compared by: numbers as numbers, whatever they are written like, true and false in any case."""
    if column.kind in ("integer", "number"):
        try:
            return float(value)
        except ValueError:
            return value
    return value.lower() if column.kind == "boolean" else value
