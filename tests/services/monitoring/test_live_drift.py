"""Drift of what a model is asked: told by column, never of too little, and not for nothing."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from mlconsole.evidence.base import now
from mlconsole.evidence.data import DataReference
from mlconsole.evidence.monitoring import Counters, DriftWindow
from mlconsole.monitor_client import Monitor
from mlconsole.services.datasets.distributions import of_table, reference_of
from mlconsole.services.monitoring.bins import bins_of
from mlconsole.services.monitoring.live_drift import compare, with_rows
from mlconsole.services.monitoring.reading import parse_scrape


def rows(count: int, warmer: float = 0.0, season: str = "") -> list[dict[str, object]]:
    """Rows that repeat one pattern: any number of whole patterns is distributed alike."""
    return [
        {"temp": (index % 97) / 97 + warmer, "season": season or str(index % 3), "holiday": index % 5 == 0, "id": index}
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def reference() -> DataReference:
    return reference_of(of_table(pa.Table.from_pylist(rows(97 * 15))))


def counted(reference: DataReference, asked: list[dict[str, object]]) -> Counters:
    monitor = Monitor(bins_of(reference, "none"))
    for row in asked:
        monitor.count(row)
    return parse_scrape("\n".join([*monitor.lines(), "# EOF", ""])).counters


def test_the_server_counts_in_the_bins_of_the_reference(reference: DataReference) -> None:
    report = compare(reference, counted(reference, rows(97 * 15)), label="m@v1")
    assert report.enough
    assert [test.effect for test in report.tests] == pytest.approx([0.0] * len(report.tests))
    assert {test.column for test in report.tests} == {"temp", "season", "holiday"}


@pytest.mark.parametrize(("asked", "columns"), [({"warmer": 0.3}, ("temp",)), ({"season": "7"}, ("season",))])
def test_what_moved_is_named_by_its_column(
    reference: DataReference, asked: dict[str, object], columns: tuple[str, ...]
) -> None:
    report = compare(reference, counted(reference, rows(485, **asked)), label="m@v1")  # type: ignore[arg-type]
    assert report.columns_at("warn", "fail") == columns


def test_nothing_is_said_of_few_rows_and_of_features_that_nobody_sends(reference: DataReference) -> None:
    few = compare(reference, counted(reference, rows(199, warmer=5.0)), label="m@v1")
    assert (few.enough, few.tests) == (False, ())
    temp_alone = [{"temp": row["temp"]} for row in rows(970)]
    assert {test.column for test in compare(reference, counted(reference, temp_alone), label="m@v1").tests} == {"temp"}


def test_a_feature_that_some_rows_lack_is_missing_there(reference: DataReference) -> None:
    asked = [row if index % 2 else {"season": row["season"]} for index, row in enumerate(rows(970))]
    report = compare(reference, counted(reference, asked), label="m@v1")
    assert {"temp has no value in 50.0% of the rows, 0.0% before."} <= {test.sentence for test in report.drifting}


def test_a_window_is_compared_as_it_grows_and_begins_anew_when_it_is_full(reference: DataReference) -> None:
    window, part = DriftWindow(version="m@v1", since=now()), counted(reference, rows(97))
    compared = []
    for _ in range(31):
        report = window.report
        window = with_rows(window, part, reference, now(), most=3000)
        if window.report is not report and window.report is not None:
            compared.append(window.report.rows)
    # twelve looks tell how blocks differ; each next has half as much again; the last is of a full window
    assert compared == [12 * 97, 18 * 97, 27 * 97, 31 * 97]
    assert (window.looks, window.counters, window.blocks) == (0, Counters(), ())
    assert window.report is not None


def test_one_client_that_repeats_itself_is_no_drift_and_what_an_earlier_window_found_does_not_stand(
    reference: DataReference,
) -> None:
    window = DriftWindow(version="m@v1", since=now())
    for _ in range(20):
        window = with_rows(window, counted(reference, rows(485, warmer=0.3)), reference, now(), most=9_700)
    assert window.report is not None
    assert window.report.columns_at("warn", "fail") == ("temp",)
    for row in random.Random(1).choices(rows(97 * 15), k=97):
        window = with_rows(window, counted(reference, [row] * 100), reference, now(), most=9_700)
    assert window.report is None
    assert window.worth is not None
    assert window.worth < 200
