"""What a person prefers, whatever the project: keys, colours, signs, mouse, the cluster to go to by default.

It is read strictly from `config.toml` in the user's configuration folder: on Linux `~/.config/mlconsole/config.toml`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from mlconsole.project.settings import Section, convert, load


def _key(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


class Preferences(Section, frozen=True, kw_only=True):
    """The settings of a person."""

    theme: Annotated[
        str, _key('Colours: "dark", "light", "high-contrast", "high-contrast-light", or a theme of Textual\'s.')
    ] = ""
    ascii: Annotated[
        bool | None, _key("Draw with ASCII characters only; not given: where the locale is not UTF-8.")
    ] = None
    mouse: Annotated[bool, _key("Take clicks and the wheel; without it the terminal selects text by itself.")] = True
    context: Annotated[str, _key("The kubeconfig context of projects that name none.")] = ""
    keys: Annotated[
        dict[str, str | tuple[str, ...]], _key('Keys of actions by their id: `next_stage = "n"`; see: mlconsole keys.')
    ] = {}


def preferences_path() -> Path:
    """Where the file is, or would be."""
    import platformdirs

    return platformdirs.user_config_path("mlconsole") / "config.toml"


def read_preferences(path: Path | None = None) -> Preferences:
    """Read the person's preferences; where there is no file, the defaults.

    Raises:
        SettingsInvalid: see there; the sentence names file and key.
    """
    path = path or preferences_path()
    return convert(load(path), Preferences, path) if path.is_file() else Preferences()
