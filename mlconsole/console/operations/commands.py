"""Opens the command log, and copies from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


def command_log(app: MlconsoleApp) -> None:
    """List all commands, or only the last one."""
    app.main.toggle_commands()


def copy_command(app: MlconsoleApp) -> None:
    """Copy the selected command into the terminal's clipboard (OSC 52)."""
    if text := app.main.command_log.selected:
        app.copy_to_clipboard(text)
        app.say(f"Copied: {text}")
