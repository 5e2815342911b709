"""How a data set differs from that of an earlier version."""

from __future__ import annotations

import codecs
import threading
from pathlib import Path

from mlconsole.evidence.data import DataChange, DataFile, DataIdentity, DataProfile
from mlconsole.services.datasets.faults import unreadable
from mlconsole.services.datasets.files import digest_of_beginning


def compare(current: DataProfile, earlier: DataProfile, reference: str, *, only_added: bool) -> DataChange:
    """Say what happened to the data since an earlier profile.

    Args:
        current: the profile of the data that is there now.
        earlier: the profile to compare with; its files need not exist any more.
        reference: what to call the earlier data, such as `ml-model@v3`.
        only_added: whether rows were only appended, as `appended_from` finds out.
    """
    now = {file.path: file for file in current.identity.files}
    then = {file.path: file for file in earlier.identity.files}
    columns_now = {column.name for column in current.columns}
    columns_then = {column.name for column in earlier.columns}
    return DataChange(
        reference=reference,
        rows_before=earlier.rows,
        rows_after=current.rows,
        rows_added=current.rows - earlier.rows if only_added else None,
        files_added=tuple(path for path in now if path not in then),
        files_removed=tuple(path for path in then if path not in now),
        files_changed=tuple(path for path in now if path in then and now[path].digest != then[path].digest),
        columns_added=tuple(column.name for column in current.columns if column.name not in columns_then),
        columns_removed=tuple(column.name for column in earlier.columns if column.name not in columns_now),
    )


def appended_from(
    root: Path, current: DataIdentity, earlier: DataIdentity, *, cancelled: threading.Event | None = None
) -> dict[str, int] | None:
    """Where in each file the rows begin that were appended to earlier data: 0 for a file that is new.

    Returns:
        Byte offsets by path, without the files that are as they were; None where earlier rows changed or are gone, or
        the settings name an encoding: its bytes are not those that are read.
    """
    if current.dialect is not None and current.dialect.encoding:
        return None
    now = {file.path: file for file in current.files}
    then = {file.path: file for file in earlier.files}
    if not all(path in now and _begins_with(root, now[path], file, cancelled) for path, file in then.items()):
        return None
    starts = {path: then[path].size if path in then else 0 for path in now}
    return {path: start for path, start in starts.items() if start < now[path].size}


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
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                return False
            file.seek(then.size)
            following = file.read(1)
    except OSError as error:
        raise unreadable(now.path, error) from error
    return length == then.size and digest == then.digest and (last == b"\n" or following in (b"\n", b"\r"))
