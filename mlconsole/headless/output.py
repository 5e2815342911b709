"""Printing: blocks and problems for people, records as JSON for programs."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO

import click
import msgspec

from mlconsole.errors import Exit, OutsideFailed, Problem
from mlconsole.present import Block, Table
from mlconsole.text import clean

_MACHINE_FAULTS = {
    errno.EACCES: "Check who may read and write there.",
    errno.EPERM: "Check who may read and write there.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.ENOSPC: "Make room on the disk.",
    errno.EDQUOT: "Make room: this user's part of the disk is full.",
    errno.EIO: "Check the disk.",
    errno.ENOTDIR: "A file is where a folder has to be.",
    errno.EISDIR: "A folder is where a file has to be.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Let this user have more files open: ulimit -n",
    errno.ENFILE: "Close other programs: the machine has no more files to open.",
}
"""What of the operating system's errors is the machine's state and no defect of ours, each with its next step."""


def is_coloured(stream: TextIO | None) -> bool:
    """Whether to colour what goes to a stream: a terminal, and nobody asked for none (https://no-color.org)."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def styled(text: str, stream: TextIO | None = None, **style: Any) -> str:
    """Return `text` with a click style where the stream takes one."""
    return click.style(text, **style) if is_coloured(stream or sys.stdout) else text


def say(text: str = "") -> None:
    """Print a line of data."""
    click.echo(text)


def narrate(text: str) -> None:
    """Print a line of narration."""
    click.echo(text, err=True)


def say_json(record: object) -> None:
    """Print a record as one line of JSON."""
    click.echo(msgspec.json.encode(record).decode())


def say_blocks(blocks: tuple[Block, ...]) -> None:
    """Print blocks under their titles."""
    for block in blocks:
        say(styled(block.title, bold=True))
        for line in table_lines(block) if isinstance(block, Table) else block.lines:
            say(f"  {line}".rstrip())
        say()


def table_lines(table: Table) -> tuple[str, ...]:
    """A table as aligned lines, its columns in capitals above, as kubectl prints them."""
    cells = [tuple(column.upper() for column in table.columns), *table.rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(table.columns))]

    def line(row: tuple[str, ...]) -> str:
        padded = [
            cell.rjust(width) if index in table.numeric else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "   ".join(padded).rstrip()

    return tuple(line(row) for row in cells)


def say_problem(problem: Problem) -> None:
    """Print a problem: the sentence, the last lines of what failed, the next step."""
    narrate(f"{styled('mlconsole:', sys.stderr, fg='red', bold=True)} {problem.sentence}")
    for line in problem.tail:
        narrate(f"  | {line}")
    if problem.next_step:
        narrate(f"  {problem.next_step}")


def say_failure(error: Exception) -> int:
    """Tell of an error that is no `Problem`: a full disk and the like by what to do, all else as a defect of ours."""
    next_step = _MACHINE_FAULTS.get(error.errno or 0) if isinstance(error, OSError) else None
    if next_step is None or not isinstance(error, OSError):
        return _say_defect(error)
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    say_problem(OutsideFailed(f"{place}{error.strerror}.", next_step))
    return Exit.OUTSIDE_FAILED


def _say_defect(error: Exception) -> int:
    """Tell that something is wrong with us. The traceback goes to a file, not to the person."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="mlconsole-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
    narrate(f"mlconsole: a defect of ours: {type(error).__name__}: {clean(str(error))}")
    narrate(f"  Please report it, with {file.name}")
    return Exit.OUTSIDE_FAILED
