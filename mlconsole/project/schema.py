"""JSON Schemas of the settings, for editors that check and complete TOML."""

from __future__ import annotations

from typing import Any

import msgspec

from mlconsole.project.preferences import Preferences
from mlconsole.project.settings import Section, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def project_schema() -> str:
    """The schema of `mlconsole.toml`, as JSON text."""
    return _schema(Settings, "mlconsole.toml: the settings of a project")


def preferences_schema() -> str:
    """The schema of a person's `config.toml`, as JSON text."""
    return _schema(Preferences, "config.toml: what a person prefers")


def _schema(kind: type[Section], title: str) -> str:
    made: dict[str, Any] = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
