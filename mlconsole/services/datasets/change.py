"""How a data set differs from that of an earlier version."""

from __future__ import annotations

import threading
from pathlib import Path

from mlconsole.evidence.data import DataChange, DataFile, DataProfile
from mlconsole.services.datasets.faults import unreadable
from mlconsole.services.datasets.files import digest_of_beginning


def compare(
    root: Path,
    current: DataProfile,
    earlier: DataProfile,
    reference: str,
    *,
    cancelled: threading.Event | None = None,
) -> DataChange:
    """Say what happened to the data since an earlier profile.

    Where every earlier file is still there, as it was or as the beginning of what it is now, only rows were added,
    and their number is known. That is found out by hashing the beginnings of the present files.

    Args:
        root: the project's folder.
        current: the profile of the data that is there now.
        earlier: the profile to compare with; its files need not exist any more.
        reference: what to call the earlier data, such as `ml-model@v3`.
        cancelled: ends the work.
    """
    now = {file.path: file for file in current.identity.files}
    then = {file.path: file for file in earlier.identity.files}
    kept = all(path in now and _begins_with(root, now[path], file, cancelled) for path, file in then.items())
    columns_now = {column.name for column in current.columns}
    columns_then = {column.name for column in earlier.columns}
    return DataChange(
        reference=reference,
        rows_before=earlier.rows,
        rows_after=current.rows,
        rows_added=current.rows - earlier.rows if kept else None,
        files_added=tuple(path for path in now if path not in then),
        files_removed=tuple(path for path in then if path not in now),
        files_changed=tuple(path for path in now if path in then and now[path].digest != then[path].digest),
        columns_added=tuple(column.name for column in current.columns if column.name not in columns_then),
        columns_removed=tuple(column.name for column in earlier.columns if column.name not in columns_now),
    )


def _begins_with(root: Path, now: DataFile, then: DataFile, cancelled: threading.Event | None) -> bool:
    """Is the earlier content the beginning of the present one, and does it end where a row ends?"""
    if now.digest == then.digest:
        return True
    if now.size <= then.size:
        return False
    path = root / now.path
    try:
        digest, length, last = digest_of_beginning(path, then.size, cancelled=cancelled)
        with path.open("rb") as file:
            file.seek(then.size)
            following = file.read(1)
    except OSError as error:
        raise unreadable(now.path, error) from error
    return length == then.size and digest == then.digest and (last == b"\n" or following in (b"\n", b"\r"))
