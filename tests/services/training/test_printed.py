"""What libraries really print while they train, as it was recorded, read for metrics, bars and the time left.

Recorded with scikit-learn 1.9, LightGBM 4.7, XGBoost 3.2, CatBoost 1.2, Keras 3.15, tqdm 4.70 and rich 15.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mlconsole.evidence.training import MetricPoint, TrainingProgress
from mlconsole.services.processes import LineSplitter
from mlconsole.services.training.output import OutputReader

PRINTED = Path(__file__).with_name("printed")


def told(name: str) -> list[MetricPoint | TrainingProgress]:
    """What a recording tells, read in pieces as a file grows, each line a tenth of a second after the one before."""
    now = [0.0]
    reader, splitter = OutputReader(clock=lambda: now[0]), LineSplitter()
    data = (PRINTED / f"{name}.log").read_bytes()
    lines = [line for start in range(0, len(data), 1000) for line in splitter.feed(data[start : start + 1000])]
    found: list[MetricPoint | TrainingProgress] = []
    for line in [*lines, *splitter.end()]:
        now[0] += 0.1
        found += reader.feed(line)
    return found


def curves(name: str) -> dict[str, list[tuple[int | None, float]]]:
    found: dict[str, list[tuple[int | None, float]]] = {}
    for seen in told(name):
        if isinstance(seen, MetricPoint):
            found.setdefault(seen.name, []).append((seen.step, seen.value))
    return found


def bars(name: str) -> list[tuple[int, str]]:
    return [(round(seen.fraction * 100), seen.message) for seen in told(name) if isinstance(seen, TrainingProgress)]


def test_scikit_learn() -> None:
    found = curves("scikit-learn")
    assert found["Train Loss"][:2] == [(1, 27.4422), (2, 23.7676)]
    assert [step for step, _ in found["Train Loss"]] == list(range(1, 11))
    assert [step for step, _ in found["val loss"]] == [1, 2, 3]
    assert [step for step, _ in found["loss"]] == [1, 2, 3]
    assert [step for step, _ in found["Avg. loss"]] == [1, 2]
    assert [step for step, _ in found["score"]] == [1, 2, 3, 4]
    assert [step for step, _ in found["inertia"]] == [0, 1]
    assert found["accuracy"] == [(None, 0.8)]
    assert found["weighted avg precision"] == [(None, 0.87)]
    assert not {"T", "NNZs", "max depth", "support"} & found.keys()
    assert {(50, "fit 2/4"), (100, "fit 4/4"), (33, "1/3"), (67, "tree 2 of 3")} <= set(bars("scikit-learn"))


def test_scikit_learn_with_a_third_column() -> None:
    found = curves("gradient-boosting")
    assert found["OOB Improve"][0] == (1, 0.1215)
    assert len(found["Train Loss"]) == len(found["OOB Improve"]) == 10


def test_lightgbm() -> None:
    found = curves("lightgbm")
    assert [step for step, _ in found["valid's l1"]] == [2, 4, 6, 6]
    assert found["valid_0's l2"] == [(1, 26.8871), (2, 24.1345)]
    assert found["valid's l2"][-2:] == [(1, 27.9955), (2, 24.7676)]
    assert found.keys() == {"train's l1", "train's l2", "valid's l1", "valid's l2", "valid_0's l2"}


def test_xgboost() -> None:
    found = curves("xgboost")
    assert found["eval-rmse"] == [(0, 4.46491), (1, 3.76676), (2, 3.2694), (3, 2.86712)]
    assert found["test-rmse"] == [(0, 4.54554), (1, 3.85676)]
    assert found.keys() == {"train-mae", "train-rmse", "eval-mae", "eval-rmse", "test-rmse"}


def test_catboost() -> None:
    found = curves("catboost")
    assert found["learn"][0] == (0, 4.1482987)
    assert [step for step, _ in found["test"]] == [0, 1, 2, 3, 4]
    assert found.keys() == {"learn", "test", "best", "bestTest"}
    shown = bars("catboost")
    assert [message for _, message in shown] == [f"tree {number}" for number in range(1, 6)]
    assert shown[-1][0] == 100
    assert [part for part, _ in shown] == sorted(part for part, _ in shown)


def test_keras() -> None:
    found = curves("keras")
    steps = [step for step, _ in found["loss"]]
    assert steps[:9] == [1, 3, 5, 7, 9, 11, 13, 15, 16]
    assert [step for step, _ in found["val_loss"]] == [16, 32]
    assert found.keys() == {"loss", "mae", "val_loss", "val_mae"}
    shown = bars("keras")
    assert shown[:3] == [(0, "Epoch 1/2"), (3, "Epoch 1/2, 1/16"), (9, "Epoch 1/2, 3/16")]
    assert (100, "Epoch 2/2, 16/16") in shown


def test_tqdm() -> None:
    shown = bars("tqdm")
    assert shown[:6] == [(0, "train 0/4")] + [(25 * done, f"train {done}/4") for done in (1, 2, 3, 4)] + [
        (100, "train 4/4")
    ]
    assert (67, "epochs 1/2, batches 1/3") in shown
    assert shown[-1] == (100, "epochs 2/2")
    inside = [part for part, _ in shown[6:]]
    assert inside == sorted(inside), "a bar inside another does not jump back"
    assert curves("tqdm") == {}


def test_rich() -> None:
    shown = bars("rich")
    assert shown[0] == (0, "Training 0%")
    assert {(45, "Training 45%"), (100, "Training 100%"), (67, "epochs 67%")} <= set(shown)
    assert curves("rich") == {"loss": [(None, 1.0), (None, 0.5), (None, pytest.approx(1 / 3))]}


@pytest.mark.parametrize("name", ["keras", "tqdm", "rich", "scikit-learn", "catboost"])
def test_a_bar_that_moves_tells_the_time_left(name: str) -> None:
    moving = [seen for seen in told(name) if isinstance(seen, TrainingProgress) and 0.2 < seen.fraction < 1]
    assert moving
    assert sum(seen.seconds_left is not None for seen in moving) >= len(moving) / 2


@pytest.mark.parametrize("path", sorted(PRINTED.glob("*.log")), ids=lambda path: path.stem)
def test_nothing_is_told_by_lines_that_are_left_out(path: Path) -> None:
    every, few = (OutputReader(clock=lambda: 0.0) for _ in range(2))
    data = path.read_bytes()
    for start in range(0, len(data), 1000):
        text = LineSplitter().feed_text(data[start : start + 1000])
        told_by_all = [told for line in text.split("\n")[:-1] for told in every.feed(line)]
        assert [told for line in few.telling(text) for told in few.feed(line)] == told_by_all
