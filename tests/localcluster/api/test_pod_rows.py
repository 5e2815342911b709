"""The columns of a pod are those that a real server printed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from mlconsole.localcluster.api.tables.durations import human_duration
from mlconsole.localcluster.api.tables.pods import pod_row

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes-recordings" / "pod_rows.jsonl"


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings of a real cluster are not beside this checkout")
def test_every_recorded_pod_prints_as_the_real_server_printed_it() -> None:
    lines = RECORDINGS.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 500
    for line in lines:
        record = json.loads(line)
        cells = pod_row(record["pod"], datetime.fromisoformat(record["observed_at"]))
        shown = dict(zip(("Ready", "Status", "Restarts", "Age"), cells[1:5], strict=True))
        assert shown == record["expected"], record["pod"]["metadata"]["name"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (28_800, "8h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ],
)
def test_durations_have_one_or_two_units(seconds: int, shown: str) -> None:
    assert human_duration(seconds) == shown
