"""A sweep's combinations, and the metric that its best run is chosen by, whatever people call it."""

from __future__ import annotations

import pytest

from mlconsole.evidence.training import MetricPoint, Parameter, SweepRun
from mlconsole.services.training.sweep import (
    SweepUnusable,
    best_of,
    grid,
    lower_is_better,
    score_of,
    threads_of_each,
)


def points(**values: float) -> list[MetricPoint]:
    return [MetricPoint(name=name.replace("__", " "), value=value) for name, value in values.items()]


def test_each_combination_is_a_run() -> None:
    found = grid({"depth": [1, 2], "fast": [True, False], "kind": ["a"]})
    assert [tuple(parameter.value for parameter in run) for run in found] == [
        ("1", "true", "a"), ("1", "false", "a"), ("2", "true", "a"), ("2", "false", "a"),
    ]  # fmt: skip


def test_too_many_combinations_are_a_sentence() -> None:
    with pytest.raises(SweepUnusable, match="has 10,000 combinations; 500 runs are the most"):
        grid({"a": list(range(100)), "b": list(range(100))})


@pytest.mark.parametrize(
    ("told", "metric", "score"),
    [
        (points(mae=1), "mean_absolute_error", 1),
        (points(MAE=1), "mae", 1),
        (points(train_mae=9, val_mae=1), "mae", 1),
        (points(val_mae=2, test_mae=1), "mae", 1),
        (points(Mean__Absolute__Error=1), "mae", 1),
        (points(Test__MAE=1, mape=3), "mean_absolute_error", 1),
        (points(val_acc=0.5), "accuracy", 0.5),
        (points(val_loss=0.5, loss=0.25), "val_loss", 0.5),
        (points(train_loss=0.5), "mae", None),
        (points(), "mae", None),
    ],
)
def test_a_metric_is_found_by_any_of_its_names(told: list[MetricPoint], metric: str, score: float | None) -> None:
    assert score_of(told, metric) == score


@pytest.mark.parametrize(
    ("metric", "lower"),
    [("mae", True), ("r2", False), ("accuracy", False), ("val_loss", True), ("perplexity", True), ("bleu", False)],
)
def test_which_way_is_better_is_known_by_the_name(metric: str, lower: bool) -> None:
    assert lower_is_better(metric) is lower


def test_the_best_is_that_of_the_runs_that_ended_well_and_the_earliest_of_equals() -> None:
    scores = [("done", 0.5), ("failed", None), ("done", 0.9), ("done", 0.9), ("running", 1.0)]
    runs = [
        SweepRun(number=number, parameters=(Parameter(name="n", value=str(number)),), state=state, score=score)  # type: ignore[arg-type]
        for number, (state, score) in enumerate(scores, 1)
    ]
    assert best_of(runs, "accuracy").number == 3
    assert best_of(runs, "loss").number == 1


def test_runs_side_by_side_share_the_cores_unless_a_person_said_otherwise() -> None:
    assert threads_of_each(1, {}) == {}
    assert set(threads_of_each(64, {}).values()) == {"1"}
    assert "OMP_NUM_THREADS" not in threads_of_each(2, {"OMP_NUM_THREADS": "4"})
