"""The profile of a data set: one pass over its rows, in memory that does not grow with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mlconsole.evidence.data import DataIdentity, DataProfile
from mlconsole.services.datasets.faults import DataChanged, DataUnfit, check_target

if TYPE_CHECKING:
    from mlconsole.services.datasets.distributions import Distributions
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
    return survey(root, identity, target=target, report=report, cancelled=cancelled).profile


class Survey(NamedTuple):
    """A profile, and what the pass found beyond it: the types and distributions of the columns."""

    profile: DataProfile
    distributions: Distributions
    types: Types


def survey(
    root: Path,
    identity: DataIdentity,
    *,
    target: str = "",
    report: Callable[[int], None] = lambda done: None,
    cancelled: threading.Event | None = None,
) -> Survey:
    """Profile a data set and keep its columns' distributions, for `distributions` and `drift`: see `profile`."""
    from mlconsole.services.datasets.tables import Tables
    from mlconsole.text import clean_line

    stamps = _stamps(identity, root)
    try:
        tables = Tables(root, identity, report, cancelled)
        check_target(target, [clean_line(column) for column in tables.columns])
        found, types = _profile(tables)
    except DataUnfit as fault:
        # half a row is no fault of the data where somebody writes it at this moment
        _check_still(identity, root, stamps, fault)
        raise
    _check_still(identity, root, stamps)
    if not found.rows:
        raise DataUnfit(f"{tables.files[0].name} has a header, but no rows.", "Put the data there.")
    columns = tuple(column.profile for column in found.columns.values())
    if len(tables.files) > 1:
        # a column of one type in all files has that type as a whole: only texts may be several things
        columns = tuple(
            msgspec.structs.replace(profile, mixed=tables.mixed(name)) if profile.type == "string" else profile
            for name, profile in zip(tables.columns, columns, strict=True)
        )
    return Survey(DataProfile(identity=identity, rows=found.rows, columns=columns, target=target), found, types)


def survey_appended(
    root: Path,
    whole: Survey,
    starts: Mapping[str, int],
    *,
    cancelled: threading.Event | None = None,
) -> Distributions:
    """Find the distributions of the rows that were appended, reading only these.

    Args:
        root: the project's folder.
        whole: the survey of all rows, whose types hold here, too.
        starts: the byte in each file from which on its rows are new; see `change.appended_from`.
        cancelled: ends the work.
    """
    from mlconsole.services.datasets.csv_file import StartAgain
    from mlconsole.services.datasets.passes import profile_rows
    from mlconsole.services.datasets.tables import Tables

    identity = whole.profile.identity
    files = tuple(file for file in identity.files if file.path in starts)
    tables = Tables(root, msgspec.structs.replace(identity, files=files), lambda done: None, cancelled, starts)
    while True:
        try:
            return profile_rows(tables, whole.types)
        except StartAgain:
            continue


def _profile(tables: Tables) -> tuple[Distributions, Types]:
    """Profile the rows by the types that the first of them have, and if those don't hold, by types that do."""
    from mlconsole.services.datasets.csv_file import NeedsWiderTypes, StartAgain
    from mlconsole.services.datasets.passes import find_types, profile_rows

    types: Types = tables.first_types()
    searched = False
    while True:
        try:
            return profile_rows(tables, types), types
        except NeedsWiderTypes as error:
            types = _as_text(tables, types, error.column) if searched else _searched(tables, find_types)
            searched = True
        except StartAgain:
            continue


def _searched(tables: Tables, find_types: Callable[[Tables], Types]) -> Types:
    from mlconsole.services.datasets.csv_file import StartAgain

    while True:
        try:
            return find_types(tables)
        except StartAgain:
            continue


def _as_text(tables: Tables, types: Types, column: str) -> Types:
    """The types with a column as text that no narrower type holds: dates too far apart for one unit, for example."""
    import pyarrow as pa

    narrow = [name for name in tables.columns if not types[name].equals(pa.string())]
    if not narrow:
        raise DataUnfit(f"{tables.files[0].name} has values that can't be read.", "Write the file again.")
    return {**types, **dict.fromkeys([column] if column in narrow else narrow, pa.string())}


def _check_still(
    identity: DataIdentity, root: Path, stamps: Sequence[tuple[int, int]], cause: Exception | None = None
) -> None:
    """Raise where the files are not what they were before they were read."""
    if _stamps(identity, root) != stamps:
        raise DataChanged(
            "The data changed while it was read.", "Wait until it is written whole, then try again."
        ) from cause


def _stamps(identity: DataIdentity, root: Path) -> list[tuple[int, int]]:
    """Sizes and times of the files, which have to have the sizes that they had when they were identified."""
    stamps = []
    for file in identity.files:
        try:
            stat = (root / file.path).stat()
        except OSError as error:
            raise DataChanged(f"{file.path} is gone since it was identified.", "Try again.") from error
        if stat.st_size != file.size:
            raise DataChanged(f"{file.path} changed since it was identified.", "Wait until it is written, then retry.")
        stamps.append((stat.st_size, stat.st_mtime_ns))
    return stamps
