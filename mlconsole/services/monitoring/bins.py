"""The bins of the training data, as a server is told them (see `monitor_client`)."""

from __future__ import annotations

from typing import Any

import msgspec

from mlconsole.evidence.data import ColumnReference, DataReference

LONGEST = 32 * 1024
"""Bytes of an environment variable: what all of them may take together is limited by the system."""


def bins_of(reference: DataReference, target: str) -> str:
    """The bins as JSON; columns that do not fit in any more are left out.

    Args:
        reference: of the data that the model was trained on.
        target: the column that it predicts: its bins are those of the predictions.
    """
    features: dict[str, Any] = {}
    prediction: dict[str, Any] = {}
    left = LONGEST
    for column in reference.columns:
        bins = _bins(column)
        left -= len(msgspec.json.encode(bins)) + len(column.name.encode()) + 8
        if not bins or left < 0:
            continue
        if column.name == target:
            prediction = bins if column.edges else {}
        else:
            features[column.name] = bins
    return msgspec.json.encode({"features": features, "prediction": prediction}).decode()


def _bins(column: ColumnReference) -> dict[str, Any]:
    if column.kind == "number" and column.edges:
        return {"edges": column.edges}
    if column.kind in ("category", "boolean") and column.categories:
        return {"values": [entry.value for entry in column.categories]}
    return {}
