"""Reports exactly what a training is doing to mlconsole, which runs it. Outside of mlconsole it does nothing.

    from mlconsole.report import metric, progress

    for epoch in range(10):
        metric("loss", loss, step=epoch)
        progress(epoch + 1, 10, "epoch")

A training that mlconsole started can import this, whether mlconsole is installed in its Python or not. To run the same
script where it is not, copy this file beside it and import it by its own name. It needs Python 3.8 and nothing else.
It never raises, is safe in threads and forked processes, and takes some microseconds.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

__all__ = ["metric", "metrics", "parameter", "progress"]

VARIABLE = "MLCONSOLE_REPORT"
"""Names the file that reports are appended to, or is "-": then they go to standard output."""


def metric(name: str, value: Any, step: int | None = None) -> None:
    """Report one value of a metric, such as `metric("mae", 24.1)`; `step` is the epoch or round that it is of."""
    number = _number(value)
    if number is not None:
        _send({"metric": str(name), "value": number, "step": _whole(step)})


def metrics(values: dict[str, Any], step: int | None = None) -> None:
    """Report several metrics at once: `metrics({"mae": 24.1, "r2": 0.9}, step=3)`."""
    for name, value in values.items():
        metric(name, value, step)


def progress(done: float, total: float, message: str = "") -> None:
    """Report how far the training is: `progress(3, 10, "epoch")`."""
    so_far, end = _number(done), _number(total)
    if so_far is not None and end:
        _send({"done": so_far, "total": end, "message": str(message)})


def parameter(name: str, value: Any) -> None:
    """Report a parameter that the training chose by itself, to be kept with the version: `parameter("seed", 42)`."""
    _send({"parameter": str(name), "value": str(value)})


def _number(value: Any) -> float | None:
    """A finite number, from whatever can be made one (NumPy's, a tensor of one element)."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if number - number == 0 else None


def _whole(step: Any) -> int | None:
    try:
        return None if step is None else int(step)
    except (TypeError, ValueError, OverflowError):
        return None


def _send(told: dict[str, Any]) -> None:
    target = os.environ.get(VARIABLE)
    if not target:
        return
    line = json.dumps({"mlconsole": 1, **told}) + "\n"
    try:
        if target == "-":
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        # one write in append mode stays whole beside those of other processes
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return
