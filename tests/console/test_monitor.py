"""The monitor in the Pods panel: curves by version, deploys, drift a feature, and how near the rules are."""

from __future__ import annotations

import math
from datetime import timedelta

from mlconsole.console.monitor_curves import Monitoring, monitoring_of
from mlconsole.console.monitor_lines import Monitored, monitor_lines
from mlconsole.console.widgets.monitor_chart import MonitorChart
from mlconsole.console.widgets.plot import Series, frame_of
from mlconsole.evidence.base import now
from mlconsole.evidence.data import ColumnDrift, DriftReport
from mlconsole.evidence.monitoring import (
    Counters,
    DriftWindow,
    MonitorActed,
    MonitorPoint,
    MonitorState,
    Quality,
    RuleState,
    VersionPoint,
)
from mlconsole.monitor_log import MonitorLog

from .conftest import Build, Drive


def monitored() -> Monitored:
    began = now()
    points = []
    for look in range(30):
        versions = {"m@v1": 0} if look < 20 else {"m@v1": 0, "m@v2": 30} if look < 22 else {"m@v2": 30}
        entries = (
            VersionPoint(version=version, pods=2, counters=Counters(requests=100, errors=errors, latency={0.1: 100.0}))
            for version, errors in versions.items()
        )
        points.append(MonitorPoint(at=began + timedelta(seconds=look), seconds=1, versions=tuple(entries)))
    tests = (
        ColumnDrift(
            column="temp", test="shift", effect=0.9, threshold=0.2, p_value=0, level="fail", sentence="temp is higher."
        ),
        ColumnDrift(
            column="hum", test="shift", effect=0.1, threshold=0.2, p_value=1, level="pass", sentence="hum is higher."
        ),
    )
    report = DriftReport(reference="m@v2", part="live traffic", rows_before=900, rows=800, enough=True, tests=tests)
    quality = Quality(version="m@v2", metric="mae", rows=300, value=31, low=29, high=33, promised=25)
    rules = (
        RuleState(
            rule="errors roll back", version="m@v2", value=0.3, limit=0.1, broken_since=began, sentence="30% failed."
        ),
        RuleState(rule="latency warn", version="m@v2", value=0.1, limit=0.2),
        RuleState(rule="quality warn", version="m@v2"),
    )
    act = MonitorActed(at=began, rule="errors", version="m@v2", act="roll back", sentence="m@v2: 30% failed.")
    windows = (DriftWindow(version="m@v2", since=began, report=report),)
    state = MonitorState(at=began, windows=windows, quality=(quality,), rules=rules, acts=(act,))
    return Monitored(state, tuple(points))


def test_all_that_is_known_is_said_in_the_width_that_there_is() -> None:
    for width in (60, 100, 160):
        lines = [content.plain for content in monitor_lines(monitored(), width)]
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        for words in ("1 feature drifts", "temp is higher.", "not enough", "0.1 of 0.2"):
            assert words in text, words
        assert "shift 0.1 of 0.2" in text
        assert "roll back: m@v2: 30% failed." in text
    assert monitor_lines(Monitored(), 80) == []


def test_curves_have_a_gap_where_a_version_did_not_serve_and_a_mark_where_one_came_in() -> None:
    found = monitoring_of(monitored().points)
    assert [group.measure for group in found.groups] == ["requests/s", "failed, %", "95% within, s"]
    first, second = found.groups[1].series
    assert (first.name, second.name) == ("v1", "v2")
    assert [math.isnan(value) for _, value in first.points] == [False] * 22 + [True] * 8
    assert [value for _, value in second.points if not math.isnan(value)] == [30.0] * 10
    ((moment, tag),) = found.deploys
    assert (moment, tag) == (second.points[20][0], "v2")
    assert monitoring_of(()) == Monitoring()


def test_a_rate_is_drawn_from_zero_on_also_where_all_are_zero() -> None:
    chart, found = MonitorChart(), monitoring_of(monitored().points)
    chart.show_monitoring(found)
    for measure, top in ((0, 100.0), (1, 30.0)):
        chart.action_turn(measure)
        frame = frame_of(chart._series())
        assert frame is not None
        assert -0.1 * top < frame.bottom < 0 < top < frame.top < 1.1 * top
    quiet = found.groups[1]._replace(series=(Series("v1", ((1.0, 0.0), (2.0, 0.0))),))
    chart.show_monitoring(Monitoring((quiet,)))
    frame = frame_of(chart._series())
    assert frame is not None
    assert -0.1 < frame.bottom < 0 < 1 < frame.top


async def test_it_stands_in_the_pods_panel_and_the_cursor_reads_values(build: Build, drive: Drive) -> None:
    built = build("done")
    found = monitored()
    assert found.state is not None
    for point in found.points:
        MonitorLog(built.journal).save(point, found.state)
    for size in ((160, 50), (80, 24)):
        async with drive(built.project.root, size=size) as console:
            await console.press("6")
            await console.shows("requests/s", "▲v2", "errors roll back")
            chart = console.app.screen.query_one(MonitorChart)
            assert chart.size.height >= 6
            chart.focus()
            await console.press("down")
            await console.shows("failed, %", "v1 –", "v2 30")
            await console.press("home")
            await console.shows("v1 0", "v2 –")
