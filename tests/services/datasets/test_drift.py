"""Drift: found where it is, not found where there is none, and said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlconsole.evidence.data import ColumnDrift, DataReference, DriftReport
from mlconsole.services.datasets import appended_from, drift, identify, measures, survey, survey_appended, unseen
from mlconsole.services.datasets.distributions import of_table, reference_of
from mlconsole.services.datasets.profile import Survey

random = np.random.default_rng(7)
ROWS = 2000


def surveyed(folder: Path, name: str = "now.csv", **columns: Any) -> Survey:
    pa_csv.write_csv(pa.table(columns), folder / name)
    return survey(folder, identify(folder, name, folder / "cache"))


def reference(folder: Path, **columns: Any) -> DataReference:
    return reference_of(surveyed(folder, "before.csv", **columns).distributions)


def compared(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> DriftReport:
    return drift.compare(reference(folder, **before), surveyed(folder, **now).distributions, label="m@v1")


def one(report: DriftReport, test: str) -> ColumnDrift:
    return next(found for found in report.tests if found.test == test)


def draw(kind: str, rows: int = ROWS, **how: Any) -> Any:
    """A column of some kind; `how` says in what it differs from its usual form."""
    match kind:
        case "normal":
            return random.normal(how.get("mean", 0), how.get("deviation", 1), rows)
        case "amounts":
            values = random.lognormal(3, 1, rows)
            return np.where(random.random(rows) < how.get("zeros", 0.4), 0, values)
        case "weekday":
            return random.integers(how.get("first", 0), 7, rows)
        case "flag":
            return random.random(rows) < how.get("share", 0.3)
        case "city":
            names = np.array([f"city {n}" for n in range(30)] + list(how.get("more", ())))
            return names[random.integers(0, len(names), rows)]
        case _:
            values = pa.array(random.normal(size=rows))
            return pa.array([None if hit else v for hit, v in zip(draw("flag", rows, **how), values.to_pylist())])  # noqa: B905


@pytest.mark.parametrize(
    ("kind", "how", "test", "words"),
    [
        ("normal", {"mean": 1}, "shift", "x is higher by 1.0"),
        ("normal", {"mean": -0.4}, "shift", "x is lower by 0."),
        ("normal", {"deviation": 3}, "distribution", "x is distributed otherwise (PSI "),
        ("amounts", {"zeros": 0.8}, "distribution", "of the rows are 0, "),
        ("weekday", {"first": 3}, "categories", "x has other proportions (Cramér's V "),
        ("flag", {"share": 0.5}, "proportion", "x is true in "),
        ("city", {"more": ("Atlantis",) * 10}, "unseen values", "that were never there before: Atlantis."),
        ("gaps", {"share": 0.6}, "missing values", "x has no value in "),
    ],
)
def test_what_drifts_is_found_and_said(tmp_path: Path, kind: str, how: dict[str, Any], test: str, words: str) -> None:
    report = compared(tmp_path, {"x": draw(kind), "y": draw("normal")}, {"x": draw(kind, **how), "y": draw("normal")})
    found = one(report, test)
    assert found.level != "pass"
    assert found.effect >= found.threshold
    assert found.p_value is not None
    assert found.p_value <= drift.RATE
    assert words in found.sentence
    assert report.columns_at("warn", "fail") == ("x",)


@pytest.mark.parametrize("rows", [200, 1000, 20_000])
@pytest.mark.parametrize("kind", ["normal", "amounts", "weekday", "flag", "city", "gaps"])
def test_what_does_not_drift_is_left_alone(tmp_path: Path, kind: str, rows: int) -> None:
    report = compared(tmp_path, {"x": draw(kind), "y": [1] * ROWS}, {"x": draw(kind, rows), "y": [1] * rows})
    assert report.enough
    assert report.tests
    assert report.drifting == ()


def test_a_trivial_shift_of_many_rows_is_significant_and_no_drift(tmp_path: Path) -> None:
    found = one(compared(tmp_path, {"x": draw("normal", 100_000)}, {"x": draw("normal", 100_000, mean=0.05)}), "shift")
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.level == "pass"


def test_a_large_difference_of_few_values_is_noise_and_no_drift(tmp_path: Path) -> None:
    """Of 30 cities, 400 rows have 13 each: Cramér's V is above its limit, and chance gets there."""
    found = one(compared(tmp_path, {"x": draw("city", 400)}, {"x": draw("city", 400)}), "categories")
    assert found.effect > found.threshold
    assert found.level == "pass"


@pytest.mark.parametrize(("before", "now"), [(199, 5000), (5000, 199)])
def test_too_few_rows_are_an_answer(tmp_path: Path, before: int, now: int) -> None:
    report = compared(tmp_path, {"x": draw("normal", before)}, {"x": draw("normal", now, mean=9)})
    assert (report.enough, report.tests) == (False, ())


def test_identifiers_and_free_text_are_left_out(tmp_path: Path) -> None:
    def table(first: int) -> dict[str, Any]:
        order = np.arange(first, first + ROWS)
        return {"id": order, "note": [f"note {n}" for n in order], "x": draw("normal")}

    report = compared(tmp_path, table(0), table(ROWS))
    assert report.left_out == ("id", "note")
    assert report.drifting == ()


def test_amounts_that_never_repeat_are_no_identifiers(tmp_path: Path) -> None:
    found = reference(tmp_path, x=random.integers(0, 10**12, ROWS))
    assert found.columns[0].kind == "number"


def test_a_key_of_the_settings_is_an_identifier(tmp_path: Path) -> None:
    found = reference_of(surveyed(tmp_path, x=draw("normal")).distributions, ["x"])
    assert found.columns[0].kind == "identifier"


@pytest.mark.parametrize(("now", "level"), [("2024-02", "pass"), ("2023-12", "warn")])
def test_dates_may_not_get_older(tmp_path: Path, now: str, level: str) -> None:
    def days(month: str) -> Any:
        return np.datetime64(f"{month}-01") + random.integers(0, 28, 500)

    found = one(compared(tmp_path, {"at": days("2024-01")}, {"at": days(now)}), "dates")
    assert (found.level, found.p_value) == (level, None)
    assert f"from {now}-01" in found.sentence


def test_another_kind_of_values_is_said(tmp_path: Path) -> None:
    report = compared(tmp_path, {"x": draw("normal")}, {"x": draw("city")})
    assert [found.sentence for found in report.drifting] == [
        "x was a number and is category now: it can't be compared."
    ]


def test_truths_may_be_written_as_numbers_later(tmp_path: Path) -> None:
    report = compared(tmp_path, {"x": draw("flag")}, {"x": draw("flag").astype(int)})
    assert [found.test for found in report.tests] == ["proportion"]
    assert report.drifting == ()


def test_a_value_that_is_many_deciles_has_a_bin_of_its_own(tmp_path: Path) -> None:
    found = reference(tmp_path, x=np.where(np.arange(1000) < 900, 100.0, random.normal(0, 1, 1000))).columns[0]
    assert found.counts[-1] == 0
    assert 900 in found.counts
    assert sum(found.counts) == 1000


def test_the_reference_survives_the_journal(tmp_path: Path) -> None:
    import msgspec

    kept = reference(tmp_path, x=draw("normal"), city=draw("city"), flag=draw("flag"))
    assert msgspec.json.decode(msgspec.json.encode(kept), type=DataReference) == kept


def test_only_the_appended_rows_are_counted_again(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{n % 100 / 7},x\n" for n in range(500)))
    before = survey(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache"))
    with (tmp_path / "x.csv").open("a") as file:
        file.writelines(f'{n},"y\nz"\n' for n in range(300))
    now = survey(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache"))
    starts = appended_from(tmp_path, now.profile.identity, before.profile.identity)
    assert starts is not None
    appended = survey_appended(tmp_path, now, starts)
    assert appended.rows == 300
    assert appended.columns["a"].profile.maximum == 299
    assert [entry.value for entry in appended.columns["b"].profile.top] == ["y z"]


counts = st.lists(st.integers(0, 500), min_size=2, max_size=12).filter(lambda row: sum(row) >= 1)
Pair = tuple[list[int], list[int]]


@st.composite
def two_rows(draw_: st.DrawFn) -> Pair:
    old = draw_(counts)
    return old, draw_(st.lists(st.integers(0, 500), min_size=len(old), max_size=len(old)).filter(lambda r: sum(r) >= 1))


@settings(max_examples=100)
@given(rows=two_rows())
def test_agrees_with_scipy(rows: Pair) -> None:
    old, new = (np.array(row) for row in rows)
    table = np.array([old, new], float)[:, (old + new) > 0]
    if table.shape[1] > 1:
        theirs = stats.chi2_contingency(table, correction=False)
        assert measures.contingency(table)[1] == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
        bins = np.arange(len(old))
        ranks = stats.mannwhitneyu(
            np.repeat(bins, new), np.repeat(bins, old), use_continuity=False, method="asymptotic"
        )
        # scipy has N + 1 and the ties of N(N - 1), where this has N and N³: the same from ENOUGH rows on
        n = int(old.sum() + new.sum())
        assert measures.shift(old, new)[1] == pytest.approx(ranks.pvalue, abs=2 / n)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_correction_is_that_of_scipy(values: list[float]) -> None:
    assert measures.benjamini_hochberg(np.array(values)) == pytest.approx(stats.false_discovery_control(values))


def test_a_balanced_v_does_not_depend_on_the_sizes() -> None:
    old, new = np.array([500.0, 500.0]), np.array([800.0, 200.0])
    assert measures.contingency(np.array([old, new]))[0] == pytest.approx(
        measures.contingency(np.array([old * 50, new]))[0]
    )


@pytest.mark.parametrize(("n", "m", "values"), [(500, 5000, 400), (2000, 2000, 800), (5000, 500, 2000)])
def test_rare_values_that_come_now_and_then_are_no_news(n: int, m: int, values: int) -> None:
    from collections import Counter

    weights = 1 / np.arange(1, values + 1)
    flagged = 0
    for _ in range(200):
        old, new = (Counter(random.choice(values, rows, p=weights / weights.sum()).tolist()) for rows in (n, m))
        excess, p_value = unseen.excess(
            Counter({str(k): v for k, v in old.items()}), sum(v for k, v in new.items() if k not in old), m
        )
        flagged += excess >= 0.01 and p_value <= drift.RATE
    assert flagged <= 6


PARTS: tuple[Literal["all rows", "new rows"], ...] = ("all rows", "new rows")


@pytest.mark.parametrize("part", PARTS)
def test_the_report_says_which_rows_it_is_about(tmp_path: Path, part: Literal["all rows", "new rows"]) -> None:
    kept = reference(tmp_path, x=draw("normal"))
    report = drift.compare(kept, surveyed(tmp_path, x=draw("normal", 300)).distributions, label="m@v3", part=part)
    assert (report.part, report.reference, report.rows_before, report.rows) == (part, "m@v3", ROWS, 300)


anything = st.one_of(
    st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=60).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1).map(lambda v: pa.array(v, pa.int64())),
    st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=60).map(lambda v: pa.array(v, pa.int64())),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=60).map(
        lambda v: pa.array(v, pa.string())
    ),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=60).map(lambda v: pa.array(v, pa.bool_())),
    st.lists(st.one_of(st.none(), st.dates()), min_size=1, max_size=60).map(lambda v: pa.array(v, pa.date32())),
    st.integers(1, 60).map(pa.nulls),
)


@settings(max_examples=400)
@given(before=anything, now=anything)
@pytest.mark.filterwarnings("error")
def test_any_two_columns_can_be_compared(before: pa.Array, now: pa.Array) -> None:
    kept = reference_of(of_table(pa.table({"x": before})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "ENOUGH", 1)
        report = drift.compare(kept, of_table(pa.table({"x": now})), label="m@v1")
    for found in report.tests:
        assert np.isfinite(found.effect)
        assert found.p_value is None or 0 <= found.p_value <= 1
        assert found.sentence.startswith("x ")
