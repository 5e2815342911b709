"""`mlconsole init`: the settings that were found, as a file with a comment for each key."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.project import Project
from mlconsole.project.settings import (
    SETTINGS_FILE,
    Section,
    Settings,
    SettingsInvalid,
    convert,
    descriptions,
    entries_of,
)


class SettingsThere(WrongUse):
    """The project has settings already."""


def as_toml(project: Project) -> str:
    """Write a project's settings as TOML: every key with what it is for and where its value was found."""
    where = {found.key: found.where for found in project.found}
    lines = _section(project.settings, "", where)
    return "\n".join([*lines, *_tables(project.settings, "", where), *_lists(type(project.settings))]) + "\n"


def _tables(section: Section, prefix: str, where: dict[str, str]) -> list[str]:
    """The tables below a section, and those below them."""
    lines = []
    for key, value in msgspec.structs.asdict(section).items():
        if isinstance(value, Section):
            name = f"{prefix}{key}"
            lines += ["", f"[{name}]", *_section(value, f"{name}.", where), *_tables(value, f"{name}.", where)]
    return lines


def _lists(section: type[Section]) -> list[str]:
    """Keys that hold lists of tables, as comments: an empty list would be in the way of a `[[key]]` below it."""
    lines = []
    for key, entry in _entries(section).items():
        told = [f"# {name}: {description}" for name, description in descriptions(entry).items()]
        lines += ["", f"# [[{key}]]", f"# {descriptions(section)[key]}", *told]
    return lines


def _entries(section: type[Section]) -> dict[str, type[Section]]:
    found = {key: entries_of(hint) for key, hint in get_type_hints(section, include_extras=True).items()}
    return {key: entry for key, entry in found.items() if entry is not None}


def _section(section: Section, prefix: str, where: dict[str, str]) -> list[str]:
    lines = []
    lists = _entries(type(section))
    for key, description in descriptions(type(section)).items():
        if key in lists:
            continue
        origin = f" Found: {where[prefix + key]}." if prefix + key in where else ""
        lines += [f"# {description}{origin}", f"{key} = {_value(getattr(section, key))}"]
    return lines


def _value(value: object) -> str:
    # a JSON string, number or list of strings is the same in TOML
    return msgspec.json.encode(value).decode()


def refuse_second(project: Project) -> None:
    """Write no settings into a project that has some.

    Raises:
        SettingsThere: it has some.
    """
    if project.settings_file is not None:
        raise SettingsThere(f"{project.settings_file.name} is there already.", "Edit it, or remove it first.")


def initialise(project: Project) -> Path:
    """Write `mlconsole.toml` into a project that has no settings.

    Raises:
        SettingsThere: it has some.
    """
    refuse_second(project)
    path = project.root / SETTINGS_FILE
    with path.open("x", encoding="utf-8") as file:
        file.write(as_toml(project))
    return path


def with_value(settings: Settings, key: str, text: str) -> Settings:
    """Settings with one of them as a person types it; several values of a list are parted by commas.

    Raises:
        SettingsInvalid: there is no such setting, or that is no value of it.
    """
    table = msgspec.to_builtins(settings)
    *above, last = key.split(".")
    place = table
    for name in above:
        place = place.get(name)
        if not isinstance(place, dict):
            break
    if not isinstance(place, dict) or isinstance(place.get(last), dict):
        raise SettingsInvalid(f"--set: there is no setting {key}.", "See: mlconsole schema")
    before = place.get(last)
    place[last] = (
        [part.strip() for part in text.split(",") if part.strip()] if isinstance(before, list | tuple) else text
    )
    if isinstance(before, bool | int | float):
        try:
            place[last] = msgspec.convert(text, type(before), strict=False)
        except msgspec.ValidationError as error:
            raise SettingsInvalid(f"--set {key}: {text!r} is no value of it.", "Mend the value.") from error
    return convert(table, Settings, Path("--set"))
