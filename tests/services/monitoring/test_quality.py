"""Quality by labels that come later, joined by key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlconsole.evidence.data import Dialect
from mlconsole.services.monitoring.quality import NotJoined, files_of, quality_of

KEY = ("day", "hr")


def write(folder: Path, name: str, **columns: object) -> Path:
    path = folder / name
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Version v1 is off by about 2, v2 by about 10; a row that was asked twice counts as it was answered last."""
    n = np.arange(200)
    frame = {"day": n // 24, "hr": n % 24, "prediction": 100 + n + 2 * (-1) ** n, "model_version": ["v1"] * 200}
    again = {"day": n // 24, "hr": n % 24, "prediction": 100 + n + 10.0, "model_version": ["v2"] * 200}
    both = {name: [*frame[name], *again[name]] for name in frame}
    both = {
        name: [0 if name in ("day", "hr") else 10**6 if name == "prediction" else "v2", *both[name]] for name in both
    }
    return write(tmp_path, "predictions.csv", **both)


def test_each_version_has_its_metric_with_an_interval(tmp_path: Path, predictions: Path) -> None:
    n = np.arange(150)
    labels = write(
        tmp_path, "labels.csv", day=n // 24, hr=n % 24, y=100 + n + np.random.default_rng(1).normal(0, 1, 150)
    )
    first, second = quality_of([predictions], [labels], KEY, "y", "mae", 1000)
    assert (first.version, second.version) == ("v1", "v2")
    assert (first.metric, first.rows, first.lower_is_better) == ("mean_absolute_error", 150, True)
    assert first.low < first.value < first.high
    assert first.value == pytest.approx(2, abs=0.4)
    assert second.value == pytest.approx(10, abs=0.4)


def test_only_the_latest_rows_count_and_few_say_nothing(tmp_path: Path, predictions: Path) -> None:
    n = np.arange(200)
    labels = write(tmp_path, "labels.csv", day=n // 24, hr=n % 24, y=np.where(n < 100, 0, 100 + n))
    found = quality_of([predictions], [labels], KEY, "y", "mae", 100)
    assert [entry.value for entry in found] == [2, 10]
    few = write(tmp_path, "few.csv", day=n[:20] // 24, hr=n[:20] % 24, y=n[:20])
    assert quality_of([predictions], [few], KEY, "y", "mae", 100) == ()


def test_what_can_not_be_joined_is_said(tmp_path: Path, predictions: Path) -> None:
    labels = write(tmp_path, "labels.csv", day=[1], y=[1])
    with pytest.raises(NotJoined, match=r"labels\.csv has no column hr"):
        quality_of([predictions], [labels], KEY, "y", "mae", 100)
    with pytest.raises(NotJoined, match="without a key"):
        quality_of([predictions], [labels], (), "y", "mae", 100)
    assert files_of(tmp_path, "*.csv") == (labels, predictions)
    assert files_of(tmp_path, "") == ()


def labelled(
    folder: Path, labels: list[object], predicted: list[object], **written: str
) -> tuple[list[Path], list[Path]]:
    """Predictions of one version and their labels, of which only the latter are written otherwise than usual."""
    rows = range(len(labels))
    told = write(folder, "told.csv", day=rows, hr=rows, prediction=predicted, model_version=["v1"] * len(labels))
    pd.DataFrame({"day": rows, "hr": rows, "y": labels}).to_csv(folder / "late.csv", index=False, **written)
    return [told], [folder / "late.csv"]


@pytest.mark.parametrize(
    ("metric", "value"), [("f1_macro", 0.4), ("accuracy", 2 / 3), ("balanced_accuracy", 0.5), ("jaccard_micro", 0.5)]
)
def test_labels_are_read_as_the_data_and_classes_may_be_words(tmp_path: Path, metric: str, value: float) -> None:
    words: list[object] = ["groß", "groß", "klein"] * 40
    told = labelled(tmp_path, words, ["groß"] * 120, sep=";", encoding="latin-1")
    found = quality_of(*told, KEY, "y", metric, 1000, Dialect(encoding="latin-1"))
    assert [entry.value for entry in found] == [pytest.approx(value)]
    with pytest.raises(NotJoined, match=r"late\.csv can't be read: .*not UTF-8"):
        quality_of(*told, KEY, "y", metric, 1000)


@pytest.mark.parametrize(
    ("metric", "predicted", "words"),
    [
        ("log_loss", ["groß"], "log_loss needs the probability of the second of two classes"),
        ("roc_auc_ovr", [7], "roc_auc_ovr needs the probability of the second of two classes"),
        ("mae", ["groß"], "mean_absolute_error judges numbers, and v1 or the labels tell words"),
    ],
)
def test_a_metric_that_late_labels_can_not_tell_is_said(
    tmp_path: Path, metric: str, predicted: list[object], words: str
) -> None:
    with pytest.raises(NotJoined, match=words):
        quality_of(*labelled(tmp_path, ["groß", "klein"] * 50, predicted * 100), KEY, "y", metric, 1000)


def test_probabilities_are_judged_by_late_labels_of_two_classes(tmp_path: Path) -> None:
    told = labelled(tmp_path, [0, 1] * 50, [0.2, 0.9] * 50)
    (found,) = quality_of(*told, KEY, "y", "roc_auc", 1000)
    assert (found.value, found.low, found.high) == (1, 1, 1)
