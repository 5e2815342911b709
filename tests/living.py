"""Whether a process still runs, asked so that its end between two questions is an answer and not an exception."""

from __future__ import annotations

import psutil


def runs(pid: int) -> bool:
    """False as well for a zombie: it holds no more than its exit code."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
