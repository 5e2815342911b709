"""Metrics that measure the same share a chart, with those of earlier versions."""

from __future__ import annotations

import pytest

from mlconsole.console.curves import groups, measure_of, results
from mlconsole.console.related import PastRun
from mlconsole.evidence.training import MetricPoint


def points(name: str, *values: float, steps: bool = True) -> tuple[str, tuple[MetricPoint, ...]]:
    return name, tuple(
        MetricPoint(name=name, value=value, step=place if steps else None) for place, value in enumerate(values, 1)
    )


@pytest.mark.parametrize(
    ("name", "measure"),
    [("train_mae", "mae"), ("valid_mae", "mae"), ("loss/val", "loss"), ("r2", "r2"), ("training", "training")],
)
def test_a_measure_is_the_name_without_its_rows(name: str, measure: str) -> None:
    assert measure_of(name) == measure


def test_curves_of_one_measure_are_together_and_earlier_ones_behind_them() -> None:
    now = (points("train_mae", 3, 2), points("valid_mae", 4, 3), points("r2", 0.1, 0.2), points("mae", 3))
    past = [PastRun("v1", (points("valid_mae", 5, 4), points("other", 1, 2)))]
    found = groups(now, past)
    assert [group.measure for group in found] == ["mae", "r2"]
    assert [entry.name for entry in found[0].series] == ["train_mae", "valid_mae", "v1 valid_mae"]
    assert [entry.past for entry in found[0].series] == [False, False, True]


def test_points_without_steps_are_numbered() -> None:
    (group,) = groups((points("loss", 3, 2, 1, steps=False),))
    assert group.series[0].points == ((1.0, 3), (2.0, 2), (3.0, 1))


def test_results_stand_beside_those_of_the_last_version() -> None:
    assert results((points("mae", 3), points("loss", 2, 1)), [PastRun("v1", (points("mae", 4),))]) == (
        ("mae", 3, "v1", 4),
    )
