"""The parameters of a training run, from the file that the project keeps them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.training import Parameter
from mlconsole.text import clean_line, size

LARGEST_FILE = 4 * 1024 * 1024
MOST_PARAMETERS = 5_000
DEEPEST = 32


class ParametersUnreadable(WrongUse):
    """The parameter file can't be read, or does not hold parameters."""


def read(path: Path) -> tuple[Parameter, ...]:
    """Read the parameters of a YAML, JSON or TOML file in its order, nested names joined by dots.

    Values are text: numbers and words as they are read, `true`, `false`, `null`, and lists of plain values as JSON.

    Raises:
        ParametersUnreadable: the file is not there, is broken, or holds something else.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ParametersUnreadable(f"{path} has {size(path.stat().st_size)}: that is not a file of parameters.")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParametersUnreadable(f"{path} is not a text file in UTF-8.") from error
    except OSError as error:
        raise ParametersUnreadable(
            f"The parameters can't be read from {path}: {error.strerror}.", "Check `parameters` in the settings."
        ) from error
    content = _parse(path, text)
    if content is None:
        return ()
    if not isinstance(content, Mapping):
        raise ParametersUnreadable(f"{path} does not hold names with values.", "Write a line such as `epochs: 10`.")
    found: list[Parameter] = []
    for parameter in _flatten("", content, 0, path):
        found.append(parameter)
        if len(found) > MOST_PARAMETERS:
            raise ParametersUnreadable(f"{path} holds more than {MOST_PARAMETERS:,} parameters.")
    return tuple(found)


def write_varied(path: Path, changes: tuple[Parameter, ...], target: Path) -> None:
    """Write the parameters of a file anew with other values, in the same format.

    Args:
        path: a YAML or JSON file of parameters.
        changes: their new values, nested names joined by dots.
        target: where to write to.

    Raises:
        ParametersUnreadable: the file can't be read, has no such parameter, or is of a format that can't be written.
    """
    if path.suffix.lower() == ".toml":
        raise ParametersUnreadable(
            f"{path.name} can't be written with other values.", "Keep them in YAML or JSON, or put them in the command."
        )
    content = _parse(path, path.read_text("utf-8-sig"))
    for change in changes:
        *above, last = change.name.split(".")
        place = content
        for name in above:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise ParametersUnreadable(f"{path.name} has no parameter {change.name}.", "Check [train.sweep].")
        place[last] = _value(change.value)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".json":
        target.write_bytes(msgspec.json.encode(content))
    else:
        import yaml

        target.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")


def _value(text: str) -> object:
    """A value as YAML reads it from a command line: a number, `true`, or the text."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _parse(path: Path, text: str) -> object:
    try:
        match path.suffix.lower():
            case ".json":
                return msgspec.json.decode(text) if text.strip() else None
            case ".toml":
                import tomllib

                return tomllib.loads(text)
            case _:
                import yaml

                # The C loader is ten times as fast and is as safe.
                loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
                return yaml.load(text, Loader=loader)
    except RecursionError as error:
        raise ParametersUnreadable(f"{path} is nested too deeply.") from error
    except Exception as error:
        raise ParametersUnreadable(f"{path} can't be read: {_why(error)}.") from error


def _why(error: Exception) -> str:
    """A parser's error on one line, with its place where it has one."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'not valid YAML'}"
    return clean_line(" ".join(str(error).split())).rstrip(".")


def _flatten(prefix: str, value: object, depth: int, path: Path) -> Iterator[Parameter]:
    if depth > DEEPEST:
        raise ParametersUnreadable(f"{path} is nested too deeply.")
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else str(name), inner, depth + 1, path)
    elif isinstance(value, list) and any(isinstance(inner, Mapping | list) for inner in value):
        for position, inner in enumerate(value):
            yield from _flatten(f"{prefix}.{position}", inner, depth + 1, path)
    else:
        yield Parameter(name=clean_line(prefix), value=clean_line(_text(value)))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(_text(inner) for inner in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
