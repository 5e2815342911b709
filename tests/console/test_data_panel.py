"""A column beside the champion's, what drifts in words, the rows that break a rule."""

from __future__ import annotations

import msgspec
import pytest

from mlconsole.console.column_lines import chance_words, column_lines
from mlconsole.console.panels.data import column_rows, values_of
from mlconsole.evidence.base import Reason, Verdict
from mlconsole.evidence.data import ColumnDrift, DataEvidence, DriftReport, Histogram, ValueCount, Violation

from .builder import NASTY, data_evidence
from .conftest import Build, Drive


def drifting() -> DataEvidence:
    """Data of which one column drifts and breaks a rule."""
    evidence = data_evidence()
    season, hour, temp, bikers = evidence.profile.columns
    temp = msgspec.structs.replace(temp, histogram=Histogram(edges=(0.0, 0.5, 1.0), counts=(1_000, 2_536)))
    profile = msgspec.structs.replace(evidence.profile, columns=(season, hour, temp, bikers))
    test = ColumnDrift(
        column="temp", test="distribution", effect=0.31, threshold=0.1, p_value=1e-20, level="fail",
        sentence="temp is distributed otherwise (PSI 0.31).",
    )  # fmt: skip
    report = DriftReport(
        reference="ml-model@v1", part="all rows", rows_before=2_804, rows=3_548, enough=True, tests=(test,)
    )
    broken = Violation(
        rule="range", column="temp", sentence="temp is out of range in 2 rows.", level="warn", count=2,
        examples=("row 7: 0.93", f"row 9: {NASTY}"),
    )  # fmt: skip
    return msgspec.structs.replace(evidence, profile=profile, drift=(report,), violations=(broken,))


def text_of(evidence: DataEvidence, name: str, before: DataEvidence | None = None, width: int = 100) -> str:
    column = next(found for found in evidence.profile.columns if found.name == name)
    return "\n".join(part.plain for part in column_lines(column, evidence, before, "ml-model@v1", width))


def test_a_column_tells_its_drift_by_effect_and_chance() -> None:
    text = text_of(drifting(), "temp")
    assert "! temp is distributed otherwise (PSI 0.31)." in text
    assert "effect 0.31, far beyond the 0.1 that matters; chance shows as much less than once in 10^20 cases" in text


def test_rows_that_break_a_rule_are_shown_as_plain_text() -> None:
    text = text_of(drifting(), "temp")
    assert "row 7: 0.93" in text
    assert "a [/oops] b [red]c[/red]" in text
    assert "\x1b" not in text


def test_values_stand_beside_those_of_the_champions_data() -> None:
    now, before = data_evidence(), data_evidence()
    season = msgspec.structs.replace(before.profile.columns[0], top=(ValueCount(value="winter", count=3_548),))
    profile = msgspec.structs.replace(before.profile, columns=(season, *before.profile.columns[1:]))
    text = text_of(now, "season", msgspec.structs.replace(before, profile=profile))
    assert "ml-model@v1" in text
    (winter,) = [row for row in text.splitlines() if row.startswith("winter")]
    assert winter.split()[1] == "0.0%"
    assert winter.endswith("100.0%")


def test_a_row_has_the_worst_finding_and_whether_it_drifts() -> None:
    rows = {row.key: row for row in column_rows(drifting(), None)}
    assert rows["temp"].cells[0] == "! temp"
    assert rows["temp"].cells[-1] == "strongly"
    assert rows["temp"].cells[5] == "▃▇"
    assert rows["bikers"].cells[0].strip() == "bikers (target)"
    assert values_of(data_evidence().profile.columns[0]) == "spring 56%, summer 44%"


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (None, "nothing is left to chance"),
        (0.3, "chance alone shows as much in 30% of cases"),
        (0.001, "chance shows as much once in 1,000 cases"),
        (0.0, "chance does not explain it"),
    ],
)
def test_chance_is_said_in_words(p_value: float | None, words: str) -> None:
    assert chance_words(p_value) == words


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 50)])
async def test_findings_come_first_and_enter_opens_a_column(build: Build, drive: Drive, size: tuple[int, int]) -> None:
    builder = build()
    release = builder.begin()
    reasons = [Reason(level="warn", sentence="temp is out of range in 2 rows.")]
    builder.stage(release, "data", "done", drifting(), verdict=Verdict.of(reasons))
    builder.end(release, "paused")
    async with drive(builder.project.root, size) as console:
        await console.press("2")
        await console.shows("temp is out of range in 2 rows.", "strongly")
        await console.press("enter", "j", "j", "enter")
        await console.shows("Column temp", "Distribution")
