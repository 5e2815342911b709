"""Schemas as people keep them: YAML that is read strictly, with what is wrong said in a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from mlconsole.evidence.data import ColumnKind, ColumnRule, Comparator, DataSchema, Relation
from mlconsole.services.datasets.faults import SchemaUnfit, unreadable
from mlconsole.services.datasets.violations import FAMILY, WORDS
from mlconsole.text import clean_line

if TYPE_CHECKING:
    import yaml

_TOP_KEYS = ("learnt_from", "minimum_rows", "maximum_rows", "columns", "relations")
_RULE_KEYS = tuple(key for key in ColumnRule.__struct_fields__ if key != "name")
_ONLY_OF: dict[str, tuple[ColumnKind, ...]] = {
    "minimum": ("integer", "number"),
    "maximum": ("integer", "number"),
    "maximum_age_days": ("date",),
}
"""The kinds of columns that a key says something of: of others it would hold nothing, and nobody would know."""
_RELATION = re.compile(r"\s*(.+?)\s*(<=|>=|==|!=|<|>)\s*(.+?)\s*")


def read(path: Path) -> DataSchema:
    """Read a schema that `schema.write` or a person wrote, or one that pandera's `to_yaml` wrote.

    Raises:
        SchemaUnfit: it is no YAML, or a key or value in it means nothing; names the nearest key.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SchemaUnfit(
            f"There is no {path}.", "Correct `checks` under `[data]`, or write it: mlconsole data schema"
        ) from error
    except UnicodeDecodeError as error:
        raise SchemaUnfit(f"{path} is not UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise unreadable(str(path), error) from error
    try:
        document = yaml.load(text, _strict_loader())
    except yaml.YAMLError as error:
        raise SchemaUnfit(f"{path} is not valid YAML: {_where(error)}.", "Correct it.") from error
    if isinstance(document, dict) and "schema_type" in document:
        from mlconsole.services.datasets.pandera_file import convert

        return convert(path, document)
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
        top = self._mapping(document, "The file", _TOP_KEYS)
        columns = self._mapping(top.get("columns"), "`columns`", None)
        minimum = self._rows(top.get("minimum_rows", "1"), "`minimum_rows`")
        maximum = self._rows(top["maximum_rows"], "`maximum_rows`") if "maximum_rows" in top else None
        relations = top.get("relations", [])
        if not isinstance(relations, list):
            raise self._wrong("`relations`", 'a list such as ["casual <= bikers"]')
        rules = tuple(self._rule(name, entry) for name, entry in columns.items())
        return DataSchema(
            columns=rules,
            minimum_rows=minimum,
            maximum_rows=maximum,
            relations=tuple(self._relation(entry, rules) for entry in relations),
            learnt_from=clean_line(self._text(top.get("learnt_from", ""), "`learnt_from`")),
        )

    def _rows(self, value: object, what: str) -> int:
        number = self._number(value, what)
        if number < 0 or number != int(number):
            raise self._wrong(what, "a whole number")
        return int(number)

    def _relation(self, entry: object, rules: tuple[ColumnRule, ...]) -> Relation:
        """A relation is `left <= right`, or that under `rule` with a `severity`."""
        keys = self._mapping(entry if isinstance(entry, dict) else {"rule": entry}, "A relation", ("rule", "severity"))
        text = self._text(keys.get("rule"), "a relation's `rule`")
        match = _RELATION.fullmatch(text)
        if match is None or match[1] == match[3]:
            raise self._wrong(f"the relation {text}", "two columns with <, <=, ==, !=, >= or > between them")
        kinds = {rule.name: rule.kind for rule in rules}
        for column in (match[1], match[3]):
            if column not in kinds:
                sentence = f"{self._path}: the relation {text} is about a column that is not listed, {column}."
                raise SchemaUnfit(sentence, self._nearest(column, tuple(kinds)))
        left, right = kinds[match[1]], kinds[match[3]]
        if "empty" not in (left, right) and FAMILY.get(left, left) != FAMILY.get(right, right):
            sentence = f"{self._path}: the relation {text} can't be told of {WORDS[left]} and {WORDS[right]}."
            raise SchemaUnfit(sentence, "Relate columns of one kind.")
        return Relation(
            left=match[1],
            comparator=cast("Comparator", match[2]),
            right=match[3],
            severity=self._choice(keys.get("severity", "warn"), f"relation {text}, `severity`", ("warn", "fail")),
        )

    def _rule(self, name: str, entry: object) -> ColumnRule:
        keys = self._mapping(entry, f"Column {name}", _RULE_KEYS)
        where = f"column {name}, "
        if "kind" not in keys:
            raise SchemaUnfit(f"{self._path}: column {name} has no kind.", self._one_of(get_args(ColumnKind)))
        bounds = [self._number(keys[key], f"{where}`{key}`") if key in keys else None for key in ("minimum", "maximum")]
        if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
            raise SchemaUnfit(f"{self._path}: column {name} has a minimum above its maximum.", "Correct it.")
        age = (
            self._number(keys["maximum_age_days"], f"{where}`maximum_age_days`") if "maximum_age_days" in keys else None
        )
        kind = self._choice(keys["kind"], f"{where}`kind`", get_args(ColumnKind))
        for key, kinds in _ONLY_OF.items():
            if key in keys and kind not in kinds:
                sentence = f"{self._path}: column {name} can't have a `{key}`, which is for {WORDS[kinds[-1]]}."
                raise SchemaUnfit(sentence, f"Take it out; the column's kind is {kind}.")
        values = keys.get("values", [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._wrong(f"{where}`values`", "a list of values")
        return ColumnRule(
            name=name,
            kind=kind,
            required=self._truth(keys.get("required", "true"), f"{where}`required`"),
            nullable=self._truth(keys.get("nullable", "true"), f"{where}`nullable`"),
            unique=self._truth(keys.get("unique", "false"), f"{where}`unique`"),
            minimum=bounds[0],
            maximum=bounds[1],
            values=tuple(values),
            maximum_age_days=age,
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
