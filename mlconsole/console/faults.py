"""Errors of background work as sentences: what is known is told, what is not is written down for us as well."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.errors import Problem
from mlconsole.evidence.release import ProblemRecord
from mlconsole.text import clean_line, shorten

if TYPE_CHECKING:
    from mlconsole.project import Project

MOST_LOG_BYTES = 1_000_000


def as_record(error: BaseException, log_path: Path | None = None) -> ProblemRecord:
    """Say an error as a record that a panel shows; one that is a defect of ours goes to `log_path` in full."""
    if isinstance(error, Problem):
        return ProblemRecord.of(error)
    words = shorten(clean_line(str(error)), 300)
    written = log_path is not None and write_down(error, log_path)
    return ProblemRecord(
        sentence=f"Something unexpected went wrong ({type(error).__name__}: {words}).",
        next_step=f"The details are in {log_path}. The rest goes on working." if written else "The rest goes on.",
    )


def write_down(error: BaseException, log_path: Path) -> bool:
    """Append an error with its traceback to the console's log; tell whether that was possible."""
    text = "".join(traceback.format_exception(error))
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        fresh = log_path.exists() and log_path.stat().st_size > MOST_LOG_BYTES
        with log_path.open("w" if fresh else "a", encoding="utf-8", errors="replace") as file:
            stamp = logging.Formatter().formatTime(logging.makeLogRecord({}))
            file.write(f"{stamp} {text}\n")
    except OSError:
        return False
    return True


def console_log(project: Project) -> Path:
    """Where a project's console writes what it did not expect."""
    return project.state / "console.log"
