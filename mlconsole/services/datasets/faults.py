"""What can be wrong with data, in words, and where in the file it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlconsole.errors import OutsideFailed, Problem, Refused, WrongUse
from mlconsole.text import clean_line, shorten


class DataMissing(WrongUse):
    """The settings name data that is not there."""


class DataUnfit(Refused):
    """The data can't be read as one table: training on it would fail, or be worse than failing."""


class DataChanged(OutsideFailed):
    """A file was written to while it was read."""


class SchemaUnfit(WrongUse):
    """A schema file can't be used as it is."""


def unreadable(name: str, error: OSError) -> Problem:
    """The fault of a file that can't be opened or read."""
    if isinstance(error, PermissionError):
        return WrongUse(f"{name} may not be read by this user.", "Check its permissions.")
    if isinstance(error, FileNotFoundError):
        return DataMissing(f"{name} is gone.", "Put it back, or set `path` under `[data]`.")
    return OutsideFailed(f"{name} can't be read: {error.strerror or clean_line(str(error))}.", "Check the disk.")


def ragged(name: str, line: int, expected: int, found: int, example: str) -> DataUnfit:
    """The fault of a row with more or fewer fields than the header."""
    return DataUnfit(
        f"{name}, line {line:,}: {found} {'field' if found == 1 else 'fields'} where the header has {expected}: "
        f"`{shorten(clean_line(example), 80)}`.",
        "Correct that line, or quote the fields that contain the delimiter.",
    )


def unclosed(name: str, line: int) -> DataUnfit:
    """The fault of a quotation mark that is opened and never closed."""
    return DataUnfit(
        f"{name}, line {line:,}: a quotation mark opens a field and is never closed.", "Correct that line."
    )


def not_utf8(name: str, line: int) -> DataUnfit:
    """The fault of bytes that are not UTF-8."""
    return DataUnfit(
        f"{name}, line {line:,}: the text is not UTF-8.",
        'Say how it is encoded: `encoding = "latin-1"` under `[data]`, perhaps.',
    )


def nul(name: str, line: int) -> DataUnfit:
    """The fault of a NUL byte in a text file."""
    return DataUnfit(
        f"{name}, line {line:,}: there is a NUL byte, so this is not a text table, or a damaged one.",
        'Write the file again from its source; if it is UTF-16, say so: encoding = "utf-16" under `[data]`.',
    )


def different_columns(name: str, columns: Sequence[str], first: str, wanted: Sequence[str]) -> DataUnfit:
    """The fault of a file in a data set with other columns than the first file's."""
    lacking = [column for column in wanted if column not in set(columns)]
    more = [column for column in columns if column not in set(wanted)]
    said = [f"lacks {_names(lacking)}"] if lacking else []
    said += [f"has {_names(more)} besides"] if more else []
    return DataUnfit(
        f"{name} has other columns than {first}: it {' and '.join(said)}.",
        "Give all files the same columns, or name the right files under `[data]`.",
    )


def too_wide(name: str, columns: int, most: int) -> DataUnfit:
    """The fault of a table with more columns than can be looked at one by one."""
    return DataUnfit(
        f"{name} has {columns:,} columns; up to {most:,} can be profiled.",
        "Check its delimiter and which way round it is.",
    )


def check_names(name: str, columns: Sequence[str]) -> None:
    """Raise unless there are columns, and every one has a name of its own."""
    if not columns:
        raise DataUnfit(f"{name} has no columns.", "Write it again, or name another file under `[data]`.")
    for position, column in enumerate(columns, 1):
        if not column.strip():
            raise DataUnfit(
                f"{name}: column {position} has no name.",
                "Name it in the header. If pandas wrote the file, write it with `index=False`.",
            )
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            raise DataUnfit(f"{name}: two columns are called {column}.", "Rename one of them.")
        seen.add(column)


def check_target(target: str, columns: Sequence[str], setting: str = "target") -> None:
    """Raise unless a column that the settings name is there; names the nearest one."""
    if not target or target in columns:
        return
    from rapidfuzz import process

    nearest = process.extractOne(target, columns, score_cutoff=50)
    hint = f"Did you mean {_quoted(nearest[0])}?" if nearest else f"The columns are {_names(columns, 12)}."
    raise DataUnfit(
        f"The data has no column {target}, which is the {setting}.", f"{hint} Set `{setting}` under `[data]`."
    )


def _quoted(name: str) -> str:
    """A name, between marks where it begins or ends with spaces that nobody would see."""
    return name if name == name.strip() else f'"{name}"'


def _names(columns: Iterable[str], most: int = 5) -> str:
    names = list(columns)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
