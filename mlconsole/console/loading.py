"""What is imported when: nothing before the first frame, then what the screen needs, then what keys will need."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlconsole.console.actions import Action
    from mlconsole.console.app import MlconsoleApp


def load(stop: threading.Event) -> None:
    """Import what the first frame did without; where the app ends meanwhile, the rest is left out."""
    for name in ("view", "watching", "screens.main", "keymap"):
        if not stop.is_set():
            importlib.import_module(f"mlconsole.console.{name}")


def warm(stop: threading.Event) -> None:
    """Import what keys will need, so that no first key press waits for it."""
    import pkgutil

    for found in pkgutil.iter_modules(importlib.import_module("mlconsole.console.operations").__path__):
        if not stop.is_set():
            importlib.import_module(f"mlconsole.console.operations.{found.name}")
    for name in ("regex", "pygments.lexers.data"):
        importlib.import_module(name)


def operation_of(action: Action) -> Callable[[MlconsoleApp], Awaitable[None] | None]:
    """What carries an action out: a coroutine where it waits for something."""
    module = importlib.import_module(f"mlconsole.console.operations.{action.operations}")
    operation: Callable[[MlconsoleApp], Awaitable[None] | None] = getattr(module, action.id)
    return operation
