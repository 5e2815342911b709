"""What data has to look like: learnt from data that was good, and kept as YAML that people may edit."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mlconsole.evidence.data import ColumnKind, ColumnProfile, ColumnRule, DataProfile, DataSchema
from mlconsole.services.datasets.faults import SchemaUnfit, unreadable
from mlconsole.services.datasets.violations import check
from mlconsole.text import clean_line, count, listed, short_digest

if TYPE_CHECKING:
    import yaml

MARGIN = 0.1
"""How much further than the data a learnt range reaches, as a part of its span."""
ROWS_FOR_UNIQUE = 1000
"""From how many rows on it is no accident that no value of a column occurs twice."""

__all__ = ["check", "learn", "read", "write"]

_HEADING = """\
# What the training data has to look like, learnt from data that was good. Edit it freely.
# A missing column or another kind of values always fails; `severity: fail` makes a value out of range fail too.
"""
_RULE_KEYS = tuple(key for key in ColumnRule.__struct_fields__ if key != "name")


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
    document = {"learnt_from": schema.learnt_from, "minimum_rows": schema.minimum_rows, "columns": columns}
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
            yield key, int(bound) if bound == int(bound) and abs(bound) < 2**53 else bound
    if rule.values:
        yield "values", list(rule.values)
    if rule.severity != "warn":
        yield "severity", rule.severity


def read(path: Path) -> DataSchema:
    """Read a schema that `write` or a person wrote.

    Raises:
        SchemaUnfit: it is no YAML, or a key or value in it means nothing; names the nearest key.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SchemaUnfit(f"There is no {path}.", "Correct `checks` under `[data]`, or take it out.") from error
    except UnicodeDecodeError as error:
        raise SchemaUnfit(f"{path} is not UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise unreadable(str(path), error) from error
    try:
        document = yaml.load(text, _strict_loader())
    except yaml.YAMLError as error:
        raise SchemaUnfit(f"{path} is not valid YAML: {_where(error)}.", "Correct it.") from error
    return _Reading(path).schema(document)


def _strict_loader() -> type[yaml.BaseLoader]:
    """A loader that leaves every scalar a text (`no` is a value, not a boolean) and refuses a key given twice."""
    import yaml

    class Loader(yaml.BaseLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = clean_line(str(getattr(error, "problem", None) or error))
    return f"line {mark.line + 1}: {problem}" if mark is not None else problem


class _Reading:
    """Turns the texts of a YAML document into a schema, and says what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def schema(self, document: object) -> DataSchema:
        top = self._mapping(document, "The file", ("learnt_from", "minimum_rows", "columns"))
        columns = self._mapping(top.get("columns"), "`columns`", None)
        minimum = self._number(top.get("minimum_rows", "1"), "`minimum_rows`")
        if minimum < 0 or minimum != int(minimum):
            raise self._wrong("`minimum_rows`", "a whole number")
        return DataSchema(
            columns=tuple(self._rule(name, entry) for name, entry in columns.items()),
            minimum_rows=int(minimum),
            learnt_from=clean_line(self._text(top.get("learnt_from", ""), "`learnt_from`")),
        )

    def _rule(self, name: str, entry: object) -> ColumnRule:
        keys = self._mapping(entry, f"Column {name}", _RULE_KEYS)
        where = f"column {name}, "
        if "kind" not in keys:
            raise SchemaUnfit(f"{self._path}: column {name} has no kind.", self._one_of(get_args(ColumnKind)))
        bounds = [self._number(keys[key], f"{where}`{key}`") if key in keys else None for key in ("minimum", "maximum")]
        if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
            raise SchemaUnfit(f"{self._path}: column {name} has a minimum above its maximum.", "Correct it.")
        values = keys.get("values", [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._wrong(f"{where}`values`", "a list of values")
        return ColumnRule(
            name=name,
            kind=self._choice(keys["kind"], f"{where}`kind`", get_args(ColumnKind)),
            required=self._truth(keys.get("required", "true"), f"{where}`required`"),
            nullable=self._truth(keys.get("nullable", "true"), f"{where}`nullable`"),
            unique=self._truth(keys.get("unique", "false"), f"{where}`unique`"),
            minimum=bounds[0],
            maximum=bounds[1],
            values=tuple(values),
            severity=self._choice(keys.get("severity", "warn"), f"{where}`severity`", ("warn", "fail")),
        )

    def _mapping(self, value: object, what: str, known: tuple[str, ...] | None) -> Mapping[str, object]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise SchemaUnfit(f"{self._path}: {what} has to be keys with values.", "Look at a schema that was learnt.")
        for key in value:
            if known is not None and key not in known:
                raise SchemaUnfit(f"{self._path}: {what} has an unknown key, {key}.", self._nearest(key, known))
        return value

    def _choice(self, value: object, what: str, known: tuple[str, ...]) -> Any:
        text = self._text(value, what)
        if text not in known:
            raise SchemaUnfit(f"{self._path}: {what} can't be {text}.", self._nearest(text, known))
        return text

    def _truth(self, value: object, what: str) -> bool:
        known = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        found = known.get(self._text(value, what).lower())
        if found is None:
            raise self._wrong(what, "true or false")
        return found

    def _number(self, value: object, what: str) -> float:
        try:
            number = float(self._text(value, what))
        except ValueError as error:
            raise self._wrong(what, "a number") from error
        if not math.isfinite(number):
            raise self._wrong(what, "a number")
        return number

    def _text(self, value: object, what: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(what, "a single value")
        return value

    def _wrong(self, what: str, wanted: str) -> SchemaUnfit:
        return SchemaUnfit(f"{self._path}: {what} has to be {wanted}.", "Correct it.")

    def _nearest(self, text: str, known: tuple[str, ...]) -> str:
        from rapidfuzz import process

        nearest = process.extractOne(text, known, score_cutoff=60)
        return f"Did you mean {nearest[0]}?" if nearest else self._one_of(known)

    @staticmethod
    def _one_of(known: tuple[str, ...]) -> str:
        return f"It can be one of {', '.join(known)}."
