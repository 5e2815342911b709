"""What a server counts is what is read from it, in bounded memory and microseconds."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole import monitor_client
from mlconsole.evidence.monitoring import Counters
from mlconsole.monitor_client import Monitor
from mlconsole.services.monitoring.reading import parse_scrape

BINS = {
    "features": {"temp": {"edges": [0.2, 0.5]}, "season": {"values": ["1", "2"]}, "holiday": {"values": ["0", "1"]}},
    "prediction": {"edges": [100.0]},
}


def read(monitor: Monitor):  # type: ignore[no-untyped-def]
    return parse_scrape("\n".join([*monitor.lines(), "# EOF", ""])).counters


def test_features_and_predictions_are_counted_in_the_bins_of_the_training_data() -> None:
    monitor = Monitor(json.dumps(BINS))
    for temp in (0.1, 0.2, 0.3, None, math.nan, 9.0, "warm"):
        monitor.count({"temp": temp, "season": 1, "holiday": True}, 50)
    monitor.count({"season": "3", "holiday": 0.0, "other": 1}, 200)
    monitor.count({"season": None}, None)
    found = read(monitor)
    assert found.rows == 9
    temp = found.features["temp"]
    assert (temp.bounds, temp.counts, temp.missing) == ((0.2, 0.5), (2, 1, 1), 3)
    season = found.features["season"]
    assert (season.values, season.unseen, season.missing) == ({"1": 7, "2": 0}, 1, 1)
    assert found.features["holiday"].values == {"0": 1, "1": 7}
    assert found.predictions == {100.0: 7, math.inf: 1}
    assert msgspec.json.decode(msgspec.json.encode(found), type=Counters) == found


@pytest.mark.parametrize("reference", ["", "{", "[1]", "null"])
def test_without_a_reference_rows_and_predictions_are_counted(reference: str) -> None:
    monitor = Monitor(reference, predictions=(10,))
    monitor.count({"temp": 1}, 5)
    assert read(monitor).rows == 1
    assert read(monitor).features == {}


@given(st.dictionaries(st.sampled_from(["temp", "season"]), st.none() | st.text() | st.floats() | st.lists(st.none())))
def test_no_value_of_a_row_ends_a_request(row: dict[str, object]) -> None:
    monitor = Monitor(json.dumps(BINS))
    monitor.count(row, 1.0)
    assert sum(entry.total for entry in read(monitor).features.values()) == len(row)


@given(st.text(min_size=1))
def test_any_name_and_value_comes_through(name: str) -> None:
    monitor = Monitor(json.dumps({"features": {"f": {"values": [name]}}}))
    monitor.count({"f": name})
    assert sum(read(monitor).features["f"].values.values()) == 1


def test_a_request_costs_less_than_20_microseconds() -> None:
    bins = {f"number {n}": {"edges": [k / 10 for k in range(1, 10)]} for n in range(9)}
    values = {f"word {n}": {"values": ["a", "b", "c"]} for n in range(4)}
    monitor = Monitor(json.dumps({"features": bins | values, "prediction": {"edges": [1, 2, 3]}}))
    row = dict.fromkeys(bins, 0.35) | dict.fromkeys(values, "b")

    def of_a_thousand() -> float:
        began = time.thread_time()
        for _ in range(1000):
            monitor.count(row, 2.5)
        return (time.thread_time() - began) / 1000

    assert min(of_a_thousand() for _ in range(20)) < 20e-6


def test_the_sample_has_the_same_file() -> None:
    own = Path(monitor_client.__file__)
    assert (own.parent.parent / "sample_project" / own.name).read_bytes() == own.read_bytes()
