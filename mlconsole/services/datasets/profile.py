"""The profile of a data set: one pass over its rows, in memory that does not grow with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.evidence.data import DataIdentity, DataProfile
from mlconsole.services.datasets.faults import DataChanged, DataUnfit, check_target

if TYPE_CHECKING:
    from mlconsole.services.datasets.tables import Tables, Types


def profile(
    root: Path,
    identity: DataIdentity,
    *,
    target: str = "",
    report: Callable[[int], None] = lambda done: None,
    cancelled: threading.Event | None = None,
) -> DataProfile:
    """Profile every column of a data set.

    A column has the narrowest type that holds all of its values. Exact over all rows: rows, missing values (what
    pandas reads as missing), extremes, mean and deviation (of a sample: n − 1), the counts of the histogram, and, up
    to 10,000 different values, their number and the 20 most frequent. Beyond that, `distinct` is a lower bound and
    the quantiles (1, 5, 25, 50, 75, 95 and 99 %) come from up to 100,000 rows drawn at random with a fixed seed: the
    standard error of their rank is at most 0.16 %. Infinite numbers count as values, but not in any of the measures.

    Args:
        root: the project's folder.
        identity: the files, as `files.identify` gives them.
        target: the column to be predicted, or empty.
        report: gets the number of bytes read so far, of `identity.size`; starts again where a second pass is needed.
        cancelled: ends the work.

    Raises:
        DataUnfit: the files are no table that one could train on; says where and why.
        DataChanged: a file is not what it was when its digest was taken.
        Cancelled.
    """
    from mlconsole.services.datasets.csv_file import NeedsWiderTypes, StartAgain
    from mlconsole.services.datasets.passes import find_types, profile_rows
    from mlconsole.services.datasets.tables import Tables
    from mlconsole.text import clean_line

    _check_unchanged(root, identity)
    tables = Tables(root, identity, report, cancelled)
    check_target(target, [clean_line(column) for column in tables.columns])
    types: Types = tables.first_types()
    while True:
        try:
            rows, columns = profile_rows(tables, types)
            break
        except NeedsWiderTypes:
            types = _wider(tables, types, find_types)
        except StartAgain:
            continue
    _check_unchanged(root, identity)
    if not rows:
        raise DataUnfit(f"{tables.files[0].name} has a header, but no rows.", "Put the data there.")
    return DataProfile(identity=identity, rows=rows, columns=columns, target=target)


def _wider(tables: Tables, types: Types, find_types: Callable[[Tables], Types]) -> Types:
    """The types over all rows. Where they are no wider than those that failed, text holds everything."""
    from mlconsole.services.datasets.csv_file import StartAgain

    while True:
        try:
            found = find_types(tables)
            break
        except StartAgain:
            continue
    if all(found[column].equals(types[column]) for column in tables.columns):
        import pyarrow as pa

        return {column: pa.string() for column in tables.columns}
    return found


def _check_unchanged(root: Path, identity: DataIdentity) -> None:
    for file in identity.files:
        try:
            size = (root / file.path).stat().st_size
        except OSError as error:
            raise DataChanged(f"{file.path} is gone since it was identified.", "Try again.") from error
        if size != file.size:
            raise DataChanged(f"{file.path} changed while it was read.", "Wait until it is written whole, then retry.")
