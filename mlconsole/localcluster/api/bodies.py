"""Reading a request's body, and holding it against the schema as the API server does when it decodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mlconsole.localcluster.api.errors import bad_request
from mlconsole.localcluster.api.registry import Resource
from mlconsole.localcluster.api.schema.shapes import Shape, shape_of

_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_QUANTITY = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
_INT_LIMITS = {"int32": 2**31, "int64": 2**63}


def load_json(body: bytes) -> Any:
    """A JSON body. Raises ApiError 400."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from None


def load_yaml(body: bytes) -> dict[str, Any]:
    """A YAML (or JSON) body that holds one object. Raises ApiError 400."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _yaml(body)
    if not isinstance(value, dict):
        kind = _JSON_NAMES.get(type(value), "null")
        raise bad_request(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: "
            f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    return value


def _yaml(body: bytes) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML without dates: the API has times as strings."""

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(body, Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else "not YAML"
        raise bad_request(f"error decoding YAML: {first}") from None


@dataclass(slots=True)
class Decoded:
    """An object that fits its kind, and the fields that its kind does not have."""

    obj: dict[str, Any]
    unknown: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """The unknown fields, as strict decoding words them."""
        return [f'unknown field "{path}"' for path in self.unknown]


def decode(value: Any, resource: Resource) -> Decoded:
    """Keeps what the resource's kind knows, with nulls left out.

    Raises:
        ApiError: 400 where a value has the wrong type.
    """
    kind = resource.kind
    prefix = f'{kind} in version "{resource.version}" cannot be handled as a {kind}: '
    if not isinstance(value, dict):
        raise bad_request(prefix + f"json: cannot unmarshal {_name(value)} into Go value of type {kind}")
    result = Decoded({})
    try:
        result.obj = _Reader(result.unknown).struct(value, shape_of(kind), "", "")
    except _WrongType as wrong:
        raise bad_request(prefix + str(wrong)) from None
    return result


class _WrongType(Exception):
    pass


class _Reader:
    """One pass over a value; collects the paths of unknown fields."""

    def __init__(self, unknown: list[str]) -> None:
        self.unknown = unknown

    def struct(self, value: Any, shape: Shape, path: str, owner: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mismatch(value, owner, path, f"v1.{shape.name}")
        known = shape.fields
        kept: dict[str, Any] = {}
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            kind = known.get(name)
            if kind is None:
                self.unknown.append(below)
            elif item is not None:
                kept[name] = self.read(item, kind, below, shape.name)
        return kept

    def read(self, value: Any, shape: Shape, path: str, owner: str) -> Any:
        if shape.form == "scalar":
            return _scalar(value, shape.name, path, owner)
        if shape.form == "struct":
            return self.struct(value, shape, path, owner)
        if shape.form == "list":
            if not isinstance(value, list):
                raise _mismatch(value, owner, path, f"[]{_go_type(shape.of)}")
            return [self.read(item, shape.of, f"{path}[{index}]", owner) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            raise _mismatch(value, owner, path, f"map[string]{_go_type(shape.of)}")
        empty = "" if shape.of.name == "string" else None
        pairs = ((key, empty if item is None else item) for key, item in value.items())
        return {key: self.read(item, shape.of, path, owner) for key, item in pairs if item is not None}


def _scalar(value: Any, name: str, path: str, owner: str) -> Any:
    if name in _INT_LIMITS:
        return _integer(value, name, path, owner)
    if name in ("string", "bytes", "Time"):
        if not isinstance(value, str):
            raise _mismatch(value, owner, path, "string")
    elif name == "bool":
        if not isinstance(value, bool):
            raise _mismatch(value, owner, path, "bool")
    elif name == "IntOrString":
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise _mismatch(value, owner, path, "int32")
    elif name == "Quantity":
        text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
        if not _QUANTITY.match(text):
            raise _WrongType(f"quantities must match the regular expression '{_QUANTITY.pattern}'")
        return text
    return value


def _integer(value: Any, name: str, path: str, owner: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(value, owner, path, name)
    if not -_INT_LIMITS[name] <= value < _INT_LIMITS[name]:
        raise _WrongType(
            f"json: cannot unmarshal number {value} into Go struct field {owner}.{_bare(path)} of type {name}"
        )
    return value


def _mismatch(value: Any, owner: str, path: str, wanted: str) -> _WrongType:
    number = f" {value}" if isinstance(value, float) else ""
    return _WrongType(
        f"json: cannot unmarshal {_name(value)}{number} into Go struct field {owner}.{_bare(path)} of type {wanted}"
    )


def _name(value: Any) -> str:
    return _JSON_NAMES.get(type(value), "null")


def _bare(path: str) -> str:
    return re.sub(r"\[\d+\]", "", path)


def _go_type(shape: Shape) -> str:
    return f"v1.{shape.name}" if shape.form == "struct" else {"any": "interface {}"}.get(shape.name, shape.name)
