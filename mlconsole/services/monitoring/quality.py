"""How good predictions were, by labels that come later: both are joined by the columns that identify a row."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlconsole.errors import WrongUse
from mlconsole.evidence.monitoring import Quality
from mlconsole.text import listed

if TYPE_CHECKING:
    import pandas

PREDICTION, VERSION = "prediction", "model_version"
FEWEST = 50
"""Labelled rows below which nothing is said."""
RESAMPLES = 400
SEED = 7


class NotJoined(WrongUse):
    """Predictions and labels lack a column, or can't be read."""


def quality_of(
    predictions: Sequence[Path], labels: Sequence[Path], key: Sequence[str], target: str, metric: str, most: int
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

    Raises:
        NotJoined: see there.
    """
    if not key:
        raise NotJoined("Labels can't be joined with predictions without a key.", "Name the columns: [data] key")
    told = _read(predictions, [*key, PREDICTION, VERSION]).drop_duplicates([*key, VERSION], keep="last")
    known = _read(labels, [*key, target]).drop_duplicates(list(key), keep="last")
    if told.empty or known.empty:
        return ()
    joined = told.merge(known.dropna(subset=[target]), on=list(key), how="inner")
    rows = ((str(version), part.tail(most)) for version, part in joined.groupby(VERSION))
    return tuple(_quality(version, part, target, metric) for version, part in rows if len(part) >= FEWEST)


def files_of(root: Path, pattern: str) -> tuple[Path, ...]:
    """The files that a path or pattern names, in order of name."""
    return tuple(Path(found) for found in sorted(glob.glob(str(root / pattern)))) if pattern else ()  # noqa: PTH207


def _read(paths: Sequence[Path], columns: list[str]) -> pandas.DataFrame:
    import pandas

    parts = []
    for path in paths:
        try:
            part = pandas.read_csv(path)
        except (OSError, ValueError) as error:
            raise NotJoined(f"{path.name} can't be read: {' '.join(str(error).split())}.") from error
        if missing := [name for name in columns if name not in part.columns]:
            raise NotJoined(f"{path.name} has no column {listed(missing)}.", "See [monitor] and [data] key.")
        parts.append(part[columns])
    return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame(columns=columns)


def _quality(version: str, rows: pandas.DataFrame, target: str, metric: str) -> Quality:
    import numpy as np

    from mlconsole.services.models.metrics import find_metric

    found = find_metric(metric)
    actual, predicted = rows[target].to_numpy(), rows[PREDICTION].to_numpy()
    size = len(rows)
    block = max(1, round(size ** (1 / 3)))
    random = np.random.default_rng(SEED)
    starts = random.integers(0, size - block + 1, (RESAMPLES, -(-size // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :size]
    values = [_value(found, actual[chosen], predicted[chosen]) for chosen in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    return Quality(
        version=version,
        metric=found.name,
        rows=size,
        value=_value(found, actual, predicted),
        low=float(low),
        high=float(high),
        lower_is_better=found.lower_is_better,
    )


def _value(metric: Any, actual: Any, predicted: Any) -> float:
    from mlconsole.services.models.metrics import by_scikit_learn

    return float(by_scikit_learn(metric.name)(actual, predicted))
