"""What tests need where others are at work beside them: waiting, and removing what is written meanwhile."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def until(condition: Callable[[], Found], seconds: float = 90) -> Found:
    """Ask again and again until the answer is true, and return it; so long as a busy machine may take for it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come about within {seconds:g} s"
        time.sleep(0.01)
    return found


def removed(folder: Path) -> bool:
    """Remove a folder in which others may be writing at the moment; whether it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
