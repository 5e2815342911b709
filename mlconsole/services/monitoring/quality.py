"""How good predictions were, by labels that come later: both are joined by the columns that identify a row."""

from __future__ import annotations

import glob
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlconsole.errors import Problem, WrongUse
from mlconsole.evidence.data import Dialect
from mlconsole.evidence.monitoring import Quality
from mlconsole.text import listed

if TYPE_CHECKING:
    import pandas

    from mlconsole.services.models.metrics import Metric

PREDICTION, VERSION = "prediction", "model_version"
FEWEST = 50
"""Labelled rows below which nothing is said."""
RESAMPLES = 400
SEED = 7


ANOTHER_METRIC = "Name a metric of what is predicted first: [quality] metric."


class NotJoined(WrongUse):
    """Predictions and labels lack a column, or can't be read."""


def quality_of(
    predictions: Sequence[Path],
    labels: Sequence[Path],
    key: Sequence[str],
    target: str,
    metric: str,
    most: int,
    dialect: Dialect | None = None,
) -> tuple[Quality, ...]:
    """The metric of each version over its latest rows that have a label, in the order of the versions' names.

    The interval is that of a bootstrap of blocks of n^⅓ neighbouring rows, for those resemble each other. Of a row
    that was predicted, or labelled, several times, the last counts.

    Args:
        predictions: CSV files with the key, `prediction` and `model_version`, oldest first.
        labels: CSV files with the key and the target.
        key: the columns that identify a row.
        target: the column that was predicted.
        metric: a metric by its name in sklearn.metrics.
        most: how many of the latest rows.
        dialect: how the labels are written, where the settings say it of the data.

    Raises:
        NotJoined: see there.
    """
    if not key:
        raise NotJoined("Labels can't be joined with predictions without a key.", "Name the columns: [data] key")
    told = _read(predictions, [*key, PREDICTION, VERSION]).drop_duplicates([*key, VERSION], keep="last")
    known = _read(labels, [*key, target], dialect).drop_duplicates(list(key), keep="last")
    if told.empty or known.empty:
        return ()
    joined = told.merge(known.dropna(subset=[target]), on=list(key), how="inner")
    rows = ((str(version), part.tail(most)) for version, part in joined.groupby(VERSION))
    return tuple(_quality(version, part, target, metric) for version, part in rows if len(part) >= FEWEST)


def files_of(root: Path, pattern: str) -> tuple[Path, ...]:
    """The files that a path or pattern names, in order of name."""
    return tuple(Path(found) for found in sorted(glob.glob(str(root / pattern)))) if pattern else ()  # noqa: PTH207


def _read(paths: Sequence[Path], columns: list[str], dialect: Dialect | None = None) -> pandas.DataFrame:
    import pandas

    from mlconsole.services.datasets.plain import plain_table, unhashed

    parts = []
    for path in paths:
        try:
            with tempfile.TemporaryDirectory() as folder:
                identity = unhashed(path.parent, path.name, dialect)
                part = pandas.read_csv(plain_table(path.parent, identity, Path(folder), threading.Event()))
        except Problem as problem:
            raise NotJoined(f"{path.name} can't be read: {problem.sentence}", problem.next_step) from problem
        except (OSError, ValueError) as error:
            raise NotJoined(f"{path.name} can't be read: {' '.join(str(error).split())}.") from error
        if missing := [name for name in columns if name not in part.columns]:
            raise NotJoined(f"{path.name} has no column {listed(missing)}.", "See [monitor] and [data] key.")
        parts.append(part[columns])
    return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame(columns=columns)


def _quality(version: str, rows: pandas.DataFrame, target: str, metric: str) -> Quality:
    import numpy as np

    from mlconsole.services.models.bootstrap import value_of
    from mlconsole.services.models.metrics import find_metric

    found = find_metric(metric)
    actual, predicted = _comparable(found, version, rows[target], rows[PREDICTION])
    size = len(rows)
    block = max(1, round(size ** (1 / 3)))
    random = np.random.default_rng(SEED)
    starts = random.integers(0, size - block + 1, (RESAMPLES, -(-size // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :size]
    values = np.array([value_of(found, actual[chosen], predicted[chosen]) for chosen in drawn])
    value, values = value_of(found, actual, predicted), values[np.isfinite(values)]
    if not np.isfinite(value) or not len(values):
        raise NotJoined(f"{found.name} is not defined on the labelled rows of {version}.", ANOTHER_METRIC)
    low, high = np.quantile(values, [0.025, 0.975])
    return Quality(
        version=version,
        metric=found.name,
        rows=size,
        value=value,
        low=float(low),
        high=float(high),
        lower_is_better=found.lower_is_better,
    )


def _comparable(metric: Metric, version: str, actual: pandas.Series, predicted: pandas.Series) -> tuple[Any, Any]:
    """What came and what was predicted as arrays (n,) that the metric takes: numbers, or else texts of classes.

    Raises:
        NotJoined: the metric judges numbers and these are words, or it judges probabilities of several classes.
    """
    import numpy as np
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    numbers = all(is_numeric_dtype(values) or is_bool_dtype(values) for values in (actual, predicted))
    if metric.from_probabilities:
        classes, places = np.unique(actual.astype(str), return_inverse=True)
        if len(classes) > 2 or not is_numeric_dtype(predicted) or not predicted.between(0, 1).all():
            raise NotJoined(f"{metric.name} needs the probability of the second of two classes.", ANOTHER_METRIC)
        return places, predicted.to_numpy(dtype=np.float64)
    if numbers:
        return actual.to_numpy(dtype=np.float64), predicted.to_numpy(dtype=np.float64)
    if not metric.of_classes:
        raise NotJoined(f"{metric.name} judges numbers, and {version} or the labels tell words.", ANOTHER_METRIC)
    return actual.astype(str).to_numpy(dtype=str), predicted.astype(str).to_numpy(dtype=str)
