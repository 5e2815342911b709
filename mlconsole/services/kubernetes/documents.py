"""Manifests as text: strict YAML and JSON in, YAML that `kubectl apply -f` takes out.

Strict means what a person would want to know before the cluster does: duplicate keys, a missing kind or name, with
file, document, line and column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Record
from mlconsole.text import clean_line

MOST_VALUES = 200_000
"""A document that unfolds (by YAML aliases) to more values than this is refused."""

FROM_TEXT = "manifests"
"""The source of manifests that are from no file."""

Body = dict[str, Any]
Lines = dict[tuple[str, ...], int]


class ManifestInvalid(WrongUse):
    """A manifest can't be read, or lacks what every object has."""


class Manifest(Record, frozen=True, kw_only=True):
    """One object of the manifests.

    Attributes:
        source: the file that it is from.
        document: its place in the file, from 1.
        body: the parsed object; never changed in place.
        lines: in which line of the file each of its fields is, by the names and places that lead there.
    """

    source: str
    document: int
    body: Body
    lines: Lines = {}

    @property
    def kind(self) -> str:
        """Such as `Deployment`."""
        return str(self.body["kind"])

    @property
    def api_version(self) -> str:
        """Such as `apps/v1`."""
        return str(self.body["apiVersion"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The namespace that it names; empty where it names none."""
        return str(self.body["metadata"].get("namespace") or "")

    @property
    def title(self) -> str:
        """`Deployment ml-model`."""
        return f"{self.kind} {clean_line(self.name)}"


def read_documents(text: str, source: str) -> tuple[Manifest, ...]:
    """Read all objects of a file's text; lists are expanded, empty documents left out.

    Raises:
        ManifestInvalid: with file, document, line and column.
    """
    bodies = _json(text, source) if source.endswith(".json") else _yaml(text, source)
    found: list[Manifest] = []
    for number, body, lines in bodies:
        found.extend(_objects(body, source, number, lines))
    return tuple(found)


def to_yaml(manifests: Sequence[Manifest]) -> str:
    """Write manifests as one YAML text that `kubectl apply -f` takes."""
    return yaml.dump_all(
        [manifest.body for manifest in manifests],
        Dumper=_Dumper,
        explicit_start=True,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=10_000,
    )


def from_yaml(text: str) -> tuple[Manifest, ...]:
    """Read what `to_yaml` wrote."""
    return read_documents(text, FROM_TEXT)


def invalid(source: str, number: int, sentence: str, mark: Any = None, next_step: str = "") -> ManifestInvalid:
    """Say what is wrong, and where."""
    place = f"{source}, document {number}" + (f", line {mark.line + 1}, column {mark.column + 1}" if mark else "")
    return ManifestInvalid(f"{place}: {sentence}", next_step or "Correct the manifest.")


class _Loader(yaml.SafeLoader):
    """Safe, refuses duplicate keys, and leaves dates as the text that they are in JSON."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key has to be a plain value", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return {_key(key): value for key, value in super().construct_mapping(node, deep=deep).items()}


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _yaml(text: str, source: str) -> Iterator[tuple[int, Any, Lines]]:
    number = 1
    try:
        loader: Any = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                body = loader.construct_document(node)
                _bounded(body, source, number)
                yield number, body, _lines_of(node)
                number += 1
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        problem = clean_line(error.problem or error.context or "not valid YAML")
        raise invalid(source, number, f"{problem}.", error.problem_mark or error.context_mark) from error
    except (yaml.YAMLError, ValueError) as error:
        raise invalid(source, number, f"it is not valid YAML: {clean_line(str(error).splitlines()[0])}.") from error
    except RecursionError as error:
        raise invalid(source, number, "it is nested too deeply.") from error


def _lines_of(root: yaml.Node) -> Lines:
    """In which line each field is; what is there by an alias has the line of the anchor's first use."""
    found: Lines = {}
    seen: set[int] = set()
    rest: list[tuple[tuple[str, ...], yaml.Node]] = [((), root)]
    while rest:
        path, node = rest.pop()
        found.setdefault(path, node.start_mark.line + 1)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = (*path, str(key.value))
                found[name] = key.start_mark.line + 1
                rest.append((name, value))
        elif isinstance(node, yaml.SequenceNode):
            rest.extend(((*path, str(index)), value) for index, value in enumerate(node.value))
    return found


class _Duplicate(ValueError):
    pass


def _json(text: str, source: str) -> Iterator[tuple[int, Any, Lines]]:
    def unique(pairs: list[tuple[str, Any]]) -> Body:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _Duplicate(f"the key {twice!r} is there twice")
        return dict(pairs)

    try:
        body = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ManifestInvalid(f"{source}, {place}: {error.msg}.", "Correct the manifest.") from error
    except _Duplicate as error:
        raise invalid(source, 1, f"{error}.") from error
    except RecursionError as error:
        raise invalid(source, 1, "it is nested too deeply.") from error
    yield 1, body, _lines_of_json(text)


def _lines_of_json(text: str) -> Lines:
    """JSON is YAML, but for what is odd in it: then there are no lines."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return _lines_of(node) if node is not None else {}


def _bounded(body: object, source: str, number: int) -> None:
    """Refuse what YAML aliases blow up, or make endless."""
    count, rest = 0, [body]
    while rest:
        value = rest.pop()
        count += 1
        if count > MOST_VALUES:
            raise invalid(source, number, "it unfolds to more than can be handled (YAML aliases).")
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)


def _objects(body: object, source: str, number: int, lines: Lines, place: tuple[str, ...] = ()) -> Iterator[Manifest]:
    if body is None or body == {}:
        return
    if not isinstance(body, dict):
        raise invalid(source, number, "it is no object, but a plain value or a list.")
    for name in ("apiVersion", "kind"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise invalid(source, number, f"{name} is missing.", next_step=f"Add {name} at its top.")
    items = body.get("items")
    if str(body["kind"]).endswith("List") and (items is None or isinstance(items, list)):
        for index, item in enumerate(items or ()):
            yield from _objects(item, source, number, lines, (*place, "items", str(index)))
        return
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        hint = "Give it a name; generateName can't be applied again."
        raise invalid(source, number, f"metadata.name of the {clean_line(body['kind'])} is missing.", next_step=hint)
    own = {path[len(place) :]: line for path, line in lines.items() if path[: len(place)] == place}
    yield Manifest(source=source, document=number, body=body, lines=own)


_LOOKS_TYPED = re.compile(r"^(?:[-+.]?\d|y$|n$|yes$|no$|on$|off$|true$|false$|null$|nan$|[-+]?\.(?:inf|nan)$|~$)", re.I)

_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """Without anchors; strings that another YAML library might take for a number (`12e4567`) in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quoted = _LOOKS_TYPED.match(text) or _OTHER_BREAKS.search(text)
    style = '"' if quoted else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)
