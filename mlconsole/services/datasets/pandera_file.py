"""A schema that pandera's `to_yaml` wrote, read as ours: kinds, ranges, sets, unique, nullable and required columns.

Nothing is left out in silence: a check that can't be carried out here is refused by its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlconsole.evidence.data import ColumnKind, ColumnRule, DataSchema
from mlconsole.services.datasets.faults import SchemaUnfit
from mlconsole.text import clean_line

_KINDS: tuple[tuple[tuple[str, ...], ColumnKind], ...] = (
    (("int", "uint"), "integer"),
    (("float", "double", "decimal"), "number"),
    (("bool",), "boolean"),
    (("datetime", "timestamp", "date"), "date"),
    (("category", "categorical"), "category"),
    (("str", "object", "utf8"), "text"),
)
_KNOWN = {
    *("dtype", "nullable", "unique", "required", "checks"),
    *("title", "description", "metadata", "default", "coerce", "report_duplicates", "drop_invalid_rows"),
}
_NOTHING = ("", "null", "~", "false", "False", None)


def convert(path: Path, document: Mapping[str, Any]) -> DataSchema:
    """Turn a document, all of whose scalars are texts, into a schema.

    Raises:
        SchemaUnfit: it says something that can't be checked here.
    """
    columns = document.get("columns")
    if document.get("schema_type") != "dataframe" or not isinstance(columns, dict):
        raise SchemaUnfit(f"{path} is no pandera schema of a data frame.", "Write it with schema.to_yaml().")
    for key in ("checks", "unique"):
        if document.get(key) not in (*_NOTHING, [], {}):
            raise _unknown(path, f"`{key}` of the whole table")
    return DataSchema(
        columns=tuple(_Column(path, str(name), entry).rule() for name, entry in columns.items()),
        learnt_from="pandera",
    )


def _unknown(path: Path, what: str) -> SchemaUnfit:
    return SchemaUnfit(
        f"{path}: {what} can't be checked here.", "Take it out, and check it in the project's own tests."
    )


class _Column:
    """One column of the document."""

    def __init__(self, path: Path, name: str, entry: object) -> None:
        self._path, self._name = path, clean_line(name)
        self._entry = entry if isinstance(entry, dict) else {}
        self._minimum: float | None = None
        self._maximum: float | None = None
        self._values: tuple[str, ...] = ()
        self._warns: list[bool] = []

    def rule(self) -> ColumnRule:
        """The column's rule; where pandera would only warn, so does ours."""
        kind = self._kind()
        for check, value in self._checks():
            self._add(check, self._options(value), kind)
        return ColumnRule(
            name=self._name,
            kind=kind,
            required=self._is("required", True),
            nullable=self._is("nullable", False),
            unique=self._is("unique", False),
            minimum=self._minimum,
            maximum=self._maximum,
            values=self._values,
            severity="warn" if self._warns and all(self._warns) else "fail",
        )

    def _kind(self) -> ColumnKind:
        dtype = str(self._entry.get("dtype", ""))
        for beginnings, kind in _KINDS:
            if dtype.lower().startswith(beginnings):
                return kind
        raise SchemaUnfit(
            f"{self._path}: column {self._name} has the dtype {clean_line(dtype) or 'none'}.", "Name one."
        )

    def _is(self, key: str, otherwise: bool) -> bool:
        value = self._entry.get(key, "")
        return otherwise if value in ("", "null") else str(value).lower() == "true"

    def _checks(self) -> Iterator[tuple[str, Any]]:
        """Checks stand among the column's keys, or, as earlier versions wrote them, under `checks`."""
        for key, value in self._entry.items():
            if key == "regex" and value not in _NOTHING:
                raise _unknown(self._path, f"column {self._name}: a name that is a pattern")
            if key not in _KNOWN and key != "regex":
                yield key, value
        below = self._entry.get("checks")
        if isinstance(below, dict):
            yield from below.items()
        for entry in below if isinstance(below, list) else []:
            options = entry.get("options", {}) if isinstance(entry, dict) else {}
            yield str(options.get("check_name", "a check without a name")), entry

    def _options(self, value: object) -> dict[str, Any]:
        """What a check is given, by one name for each thing, however it was written."""
        given = dict(value) if isinstance(value, dict) else {"value": value}
        options = given.pop("options", None)
        given |= options if isinstance(options, dict) else {}
        inner = given.get("value")
        if isinstance(inner, dict):
            given = {**given, "value": None, **inner}
        for name in ("min_value", "max_value", "allowed_values"):
            if name in given and given.get("value") is None:
                given["value"] = given[name]
        return given

    def _add(self, check: str, given: Mapping[str, Any], kind: ColumnKind) -> None:
        value = given.get("value")
        match check:
            case "greater_than_or_equal_to" | "ge":
                self._minimum = self._number(check, value)
            case "less_than_or_equal_to" | "le":
                self._maximum = self._number(check, value)
            case "greater_than" | "gt":
                self._minimum = _beyond(self._number(check, value), kind, math.inf)
            case "less_than" | "lt":
                self._maximum = _beyond(self._number(check, value), kind, -math.inf)
            case "in_range" | "between":
                low, high = (self._number(check, given.get(key)) for key in ("min_value", "max_value"))
                self._minimum = low if given.get("include_min") != "false" else _beyond(low, kind, math.inf)
                self._maximum = high if given.get("include_max") != "false" else _beyond(high, kind, -math.inf)
            case "isin" if isinstance(value, list):
                self._values = tuple(str(entry) for entry in value)
            case _:
                raise _unknown(self._path, f"column {self._name}: {clean_line(check)}")
        self._warns.append(str(given.get("raise_warning", "")).lower() == "true")

    def _number(self, check: str, value: object) -> float:
        try:
            return float(str(value))
        except ValueError as error:
            raise _unknown(self._path, f"column {self._name}: {check} of {clean_line(str(value))}") from error


def _beyond(bound: float, kind: ColumnKind, towards: float) -> float:
    """The nearest value that an exclusive bound allows."""
    if kind == "integer":
        return math.floor(bound) + 1 if towards > 0 else math.ceil(bound) - 1
    return math.nextafter(bound, towards)
