"""Candidate against champion, with real models in a real child process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss

from mlconsole.errors import Cancelled
from mlconsole.evidence.data import Dialect
from mlconsole.services.models import bootstrap
from mlconsole.services.models.bootstrap import Difference
from mlconsole.services.models.compare import NotComparable, RowsUnusable, verdict
from mlconsole.services.models.metrics import MetricUnknown
from mlconsole.services.models.segments import segments_of
from mlconsole.services.training.command import CommandUnusable
from tests.services.models.compare_bench import Bench


def test_a_better_candidate_is_told_from_a_worse_one(bench: Bench, good: Path, bad: Path) -> None:
    better = bench(good, bad)
    assert (better.verdict, better.rows, better.lower_is_better) == ("better", 400, True)
    assert better.high < 0 > better.relative
    assert better.candidate_value == pytest.approx(4, abs=1)
    worse = bench(bad, good)
    assert worse.verdict == "worse"
    assert worse.difference == pytest.approx(-better.difference)
    assert not list((bench.root / "logs").glob("predictions-*"))


def test_models_of_scikit_learn_get_the_columns_that_they_were_fitted_on(bench: Bench, frame: pd.DataFrame) -> None:
    line = bench.put("line.pkl", LinearRegression().fit(frame[["temp", "hour"]], frame["bikers"]))
    mean = bench.put("mean.pkl", DummyRegressor().fit(frame[["hour"]], frame["bikers"]))
    assert bench(line, mean, metric="r2").verdict == "better"


def test_a_model_is_equal_to_itself(bench: Bench, good: Path) -> None:
    found = bench(good, good)
    assert (found.verdict, found.difference, found.low, found.high, found.relative) == ("equal", 0, 0, 0, 0)


def test_rows_may_be_parquet(bench: Bench, frame: pd.DataFrame, good: Path, bad: Path) -> None:
    rows = bench.root / "holdout.parquet"
    frame.to_parquet(rows)
    assert bench(good, bad, rows=rows) == bench(good, bad)


@pytest.mark.parametrize("name", ["holdout.csv", "holdout.csv.gz", "holdout.csv.xz", "holdout.tsv.zip", "rows"])
@pytest.mark.parametrize("command", ["", "python places.py {data} {predictions}"])
def test_rows_are_read_as_the_data_is(bench: Bench, good: Path, name: str, command: str) -> None:
    place = np.where(np.arange(len(bench.frame)) % 2, "München; Mitte", 'Köln "Ost"')
    frame = bench.frame.assign(place=place)
    frame.to_csv(bench.rows, index=False)
    expected = bench.all(good, good, segments=["place"])
    bench.rows.unlink()
    (bench.root / "places.py").write_text(PLACES)
    several = [frame[:100], frame[100:]] if name == "rows" else [frame]
    (bench.root / "rows").mkdir()
    for number, part in enumerate(several):
        path = bench.root / (f"rows/{number}.csv" if name == "rows" else name)
        part.to_csv(path, index=False, sep=";", encoding="latin-1")
    found = bench.all(
        good, good, segments=["place"], rows=name, dialect=Dialect(encoding="latin-1", delimiter=";"), command=command
    )
    assert {entry.segment for entry in found} == {"", "place = München; Mitte", 'place = Köln "Ost"'}
    assert found == expected
    with pytest.raises(RowsUnusable, match=r"The rows to compare on can't be read: .*not UTF-8.* `encoding = "):
        bench(good, good, rows=name)


PLACES = """
import csv, sys
data, output = sys.argv[1:]
with open(data, encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))
assert {row["place"] for row in rows} == {"München; Mitte", 'Köln "Ost"'}, rows[:2]
with open(output, "w") as file:
    print(*[3 * float(row["hour"]) + 2 * float(row["temp"]) for row in rows], sep=chr(10), file=file)
"""


def test_a_folder_of_parquet_files_is_one_table(bench: Bench, frame: pd.DataFrame, good: Path, bad: Path) -> None:
    (bench.root / "rows").mkdir()
    frame[:250].assign(hour=frame["hour"][:250].astype("float64")).to_parquet(bench.root / "rows" / "a.parquet")
    frame[250:].to_parquet(bench.root / "rows" / "b.parquet")
    assert bench(good, bad, rows="rows") == bench(good, bad)
    frame.drop(columns="temp").to_parquet(bench.root / "rows" / "c.parquet")
    with pytest.raises(RowsUnusable, match=r"c\.parquet"):
        bench(good, bad, rows="rows")


def test_few_rows_decide_nothing(bench: Bench, frame: pd.DataFrame, good: Path, bad: Path) -> None:
    frame[:150].to_csv(bench.rows, index=False)
    assert bench(bad, good).verdict == "undecided"


@pytest.mark.parametrize("metric", ["f1", "log_loss", "roc_auc"])
def test_classes_are_compared_too(bench: Bench, metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    sharp, blunt = bench.helper("Chance", 0.5), bench.helper("Chance", -0.001)
    found = bench(sharp, blunt, target="busy", metric=metric)
    assert found.verdict == "better"
    assert found.lower_is_better is (metric == "log_loss")


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_numbers_with_fractions_are_no_classes(bench: Bench, good: Path, bad: Path, metric: str) -> None:
    with pytest.raises(NotComparable, match=r"judges classes, but the target holds numbers with fractions"):
        bench(good, bad, metric=metric)
    bench.frame.assign(bikers=bench.frame["bikers"].round()).to_csv(bench.rows, index=False)
    with pytest.raises(NotComparable, match=r"judges classes, but a model predicts numbers with fractions"):
        bench(good, bad, metric=metric)


def test_a_class_is_the_same_whether_it_is_written_with_a_fraction_or_not(
    bench: Bench, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    busy = (frame["busy"] == "yes").astype(int)
    models = [
        bench.put(f"{kind}.pkl", LogisticRegression().fit(frame[["temp", "hour"]], busy.astype(kind)))
        for kind in (int, float)
    ]
    for kind in (int, float, bool):
        frame.assign(busy=busy.astype(kind)).to_csv(bench.rows, index=False)
        found = bench(models[0], models[1], target="busy", metric="log_loss")
        expected = log_loss(busy, joblib.load(models[0]).predict_proba(frame[["temp", "hour"]])[:, 1])
        assert (found.verdict, found.candidate_value) == ("equal", pytest.approx(expected))


def test_a_class_that_the_models_do_not_know_is_told(bench: Bench, frame: pd.DataFrame) -> None:
    frame.assign(busy=np.where(frame.index == 7, "perhaps", frame["busy"])).to_csv(bench.rows, index=False)
    model = bench.helper("Chance", 0.5)
    with pytest.raises(NotComparable, match="The target holds perhaps, and the models tell no and yes apart"):
        bench(model, model, target="busy", metric="roc_auc")


def test_a_segment_where_the_candidate_is_worse_is_found(bench: Bench, frame: pd.DataFrame, good: Path) -> None:
    random = np.random.default_rng(5)
    place = np.where(random.random(1200) < 0.3, "hills", "sea")
    wide = pd.concat([frame] * 3, ignore_index=True).assign(place=place)
    wide.loc[:3, "place"] = "moon"
    wide.to_csv(bench.rows, index=False)
    found = bench.all(bench.helper("Coast"), good, segments=["place"], metrics=["r2"])
    verdicts = {(entry.segment, entry.metric): entry.verdict for entry in found}
    assert list(verdicts)[:2] == [("", "mean_absolute_error"), ("", "r2_score")]
    assert verdicts["place = hills", "mean_absolute_error"] == verdicts["place = hills", "r2_score"] == "worse"
    assert verdicts["place = sea", "mean_absolute_error"] == "equal"
    assert verdicts["place = moon", "mean_absolute_error"] == "undecided"
    assert found[0].confidence == 0.95
    # r2 on all rows, and both metrics by the sea and in the hills: the bounds of five hold together
    assert {round(entry.confidence, 9) for entry in found[1:]} == {0.99}
    assert sum(entry.rows for entry in found if entry.segment and entry.metric == "r2_score") == 1200


def test_a_metric_that_is_named_twice_is_compared_once(bench: Bench, good: Path) -> None:
    found = bench.all(good, good, metric="mae", metrics=["neg_mean_absolute_error", "mean_absolute_error", "r2"])
    assert [entry.metric for entry in found] == ["mean_absolute_error", "r2_score"]


def test_a_column_of_many_numbers_is_cut_at_its_quartiles(bench: Bench, good: Path) -> None:
    found = bench.all(good, good, segments=["temp"])
    assert len(found) == 5
    assert [entry.rows for entry in found[1:]] == [100] * 4
    assert all(" … " in entry.segment for entry in found[1:])


def segment_columns() -> dict[str, Any]:
    """Columns as Parquet files hold them, of 400 rows."""
    numbers = np.random.default_rng(7).normal(size=400)
    return {
        "lists": [[row % 3] for row in range(400)],
        "numbers with holes": pd.array([None if row % 7 == 0 else row for row in range(400)], dtype="Int64"),
        "numbers without bounds": np.where(numbers > 1, np.inf, np.where(numbers < -1, -np.inf, numbers)),
        "truths with holes": pd.array([None if row % 5 == 0 else row % 2 == 0 for row in range(400)], dtype="boolean"),
        "skewed": np.where(numbers < 1, 0, numbers),
        "nothing": [None] * 400,
        "texts and numbers": [row % 3 if row % 2 else "x" for row in range(400)],
    }


@pytest.mark.parametrize("name", segment_columns())
@pytest.mark.filterwarnings("error")
def test_every_row_is_in_one_segment_of_whatever_a_column_holds(name: str) -> None:
    parts = segments_of(pd.DataFrame({"a": pd.Series(segment_columns()[name])}), ["a"])
    assert (np.stack([part.mask for part in parts]).sum(axis=0) == 1).all()
    assert not any("nan" in part.name or "inf" in part.name for part in parts)


def test_what_has_no_order_can_not_order_the_rows(bench: Bench, good: Path) -> None:
    bench.frame.assign(at=[{"a": 1}] * len(bench.frame)).to_parquet(bench.root / "holdout.parquet")
    with pytest.raises(RowsUnusable, match="can't be brought in order by at: it holds what has no order"):
        bench(good, good, rows=bench.root / "holdout.parquet", order=["at"])


def test_a_segment_that_is_no_column_is_told(bench: Bench, good: Path) -> None:
    with pytest.raises(RowsUnusable, match=r"has no column wether, which the settings name under"):
        bench(good, good, segments=["wether"])


def test_rows_are_compared_in_the_order_in_which_they_go_together(bench: Bench, good: Path) -> None:
    mixed = np.random.default_rng(3).permutation(len(bench.frame))
    bench.frame["place"] = np.where(np.arange(len(bench.frame)) % 40 < 20, "hills", "coast")
    bench.frame["day"] = np.arange(len(bench.frame)) // 20
    bench.frame.iloc[mixed].to_csv(bench.rows, index=False)
    coast = bench.helper("Coast")
    as_they_are, by_day = bench(coast, good), bench(coast, good, order=["day"])
    assert (by_day.difference, by_day.rows) == (pytest.approx(as_they_are.difference), as_they_are.rows)
    assert by_day.widened > 1.2 > as_they_are.widened
    with pytest.raises(RowsUnusable, match="has no column date"):
        bench(coast, good, order=["date"])


def test_a_class_that_a_segment_lacks_leaves_it_out(bench: Bench, frame: pd.DataFrame) -> None:
    frame.assign(half=np.where(frame["busy"] == "yes", "upper", "lower")).to_csv(bench.rows, index=False)
    model = bench.helper("Chance", 0.5)
    assert len(bench.all(model, model, target="busy", metric="f1", segments=["half"])) == 1


PREDICT = """
import csv, json, sys
model, data, output, kind = sys.argv[1:]
rows = list(csv.DictReader(open(data)))
assert "bikers" not in rows[0], "the target is not to be seen"
factor = json.load(open(model))["factor"]
with open(output, "w") as file:
    HEADER
    for row in rows:
        print(factor * (3 * float(row["hour"]) + 2 * float(row["temp"])), file=file)
"""


@pytest.mark.parametrize("header", ["pass", "print('prediction', file=file)", "print('what', file=file)"])
def test_a_project_may_predict_by_a_command_of_its_own(bench: Bench, header: str) -> None:
    (bench.root / "predict.py").write_text(PREDICT.replace("HEADER", header))
    models = []
    for name, factor in (("new.json", 1.0), ("old.json", 1.5)):
        (bench.root / name).write_text(f'{{"factor": {factor}}}')
        models.append(bench.root / name)
    command = "python predict.py {model} {data} {predictions} {kind}"
    found = bench(models[0], models[1], command=command)
    assert (found.verdict, found.rows) == ("better", 400)
    assert found.candidate_value == pytest.approx(4, abs=1)
    assert bench(models[1], models[0], command=command).verdict == "worse"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise SystemExit('no weights')", r"quality\.predict failed for ml-model@v2 \(exit code 1\)"),
        ("pass", "quality.predict wrote no {predictions} for ml-model@v2"),
        ("import sys; open(sys.argv[1], 'w').write('1\\n2\\n')", "made 2 predictions for 400 rows"),
        ("import sys; open(sys.argv[1], 'w').write('a,b\\n1,2\\n')", "has 2 columns: a and b"),
    ],
)
def test_a_command_that_does_not_predict_is_a_sentence(bench: Bench, good: Path, script: str, words: str) -> None:
    (bench.root / "predict.py").write_text(script)
    with pytest.raises(NotComparable, match=words):
        bench(good, good, command="python predict.py {predictions}")


def test_a_command_with_an_unknown_placeholder_is_told(bench: Bench, good: Path) -> None:
    with pytest.raises(CommandUnusable, match=r"quality\.predict uses {modle}, which is not known"):
        bench(good, good, command="python predict.py {modle}")
    with pytest.raises(RowsUnusable, match=r"quality\.predict writes one thing"):
        bench(
            good,
            good,
            target="busy",
            metric="accuracy",
            metrics=["roc_auc"],
            command="python -c \"print(*['yes'] * 400, sep=chr(10), file=open('{predictions}', 'w'))\"",
        )


def test_the_models_classes_come_from_the_project(bench: Bench, good: Path) -> None:
    with pytest.raises(NotComparable, match="made 399 predictions for 400 rows"):
        bench(bench.helper("Short"), good)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Holes", r"ml-model@v2 predicted no number for 3 rows of 400\."),
        ("Wide", r"ml-model@v2 can't predict the rows: ValueError: it predicts 2 values for each row"),
        ("Angry", r"ml-model@v2 can't predict the rows: RuntimeError: no such column"),
        ("Deadly", r"The models could not be asked to predict \(signal 9\)\. Perhaps the machine ran out of memory\."),
        ("Words", r"ml-model@v2 predicts text, but the target holds numbers\."),
        ("Gone", r"ml-model@v2 can't predict the rows: AttributeError: .*Gone"),
    ],
)
def test_a_candidate_that_can_not_be_judged_is_a_sentence(bench: Bench, good: Path, name: str, words: str) -> None:
    with pytest.raises(NotComparable, match=words) as caught:
        bench(bench.helper(name), good)
    assert "\x1b" not in str(caught.value) + "".join(caught.value.tail)


def test_the_one_that_fails_is_named(bench: Bench, good: Path) -> None:
    with pytest.raises(NotComparable, match=r"ml-model@v1 can't predict the rows"):
        bench(good, bench.helper("Angry"))
    with pytest.raises(NotComparable, match=r"ml-model@v1 could not be asked to predict"):
        bench(good, bench.helper("Deadly"))


def test_a_model_that_can_not_be_loaded_is_a_sentence(bench: Bench, good: Path) -> None:
    broken = bench.root / "broken.pkl"
    broken.write_bytes(b"no pickle")
    with pytest.raises(NotComparable, match=r"ml-model@v2 can't predict the rows: ") as caught:
        bench(broken, good)
    assert any("Traceback" in line or "Error" in line for line in caught.value.tail)
    with pytest.raises(NotComparable, match="it holds a list, which has no predict"):
        bench(bench.put("list.pkl", [1]), good)


def test_a_class_of_the_script_itself_gets_advice(bench: Bench, good: Path) -> None:
    path = bench.root / "main.pkl"
    path.write_bytes(b"\x80\x02c__main__\nMyModel\n)\x81.")
    with pytest.raises(NotComparable) as caught:
        bench(path, good)
    assert "module of its own" in caught.value.next_step


def test_a_model_inside_a_dictionary_is_found(bench: Bench, bad: Path) -> None:
    wrapped = bench.put(
        "wrapped.pkl", {"model": DummyRegressor(strategy="constant", constant=60.0).fit([[0]], [60.0]), "cut": 1}
    )
    assert bench(wrapped, bad).verdict == "equal"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hour,temp\n1,2\n", "has no column bikers"),
        ("hour,temp,bikers\n", "has no rows"),
        ("hour,temp,bikers\n1,2,3\n1,2,\n", "1 row of .* have no value in bikers, the first is row 2"),
        ("", "can't be read"),
        ('a,bikers\n"', "can't be read"),
    ],
)
def test_rows_that_can_not_be_used_are_a_sentence(bench: Bench, good: Path, content: str, words: str) -> None:
    bench.rows.write_text(content)
    with pytest.raises(RowsUnusable, match=words):
        bench(good, good)


def test_rows_that_are_not_there_are_a_sentence(bench: Bench, good: Path) -> None:
    with pytest.raises(RowsUnusable, match=r"There is no .*gone\.csv"):
        bench(good, good, rows=bench.root / "gone.csv")
    (bench.root / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(RowsUnusable, match="can't be read"):
        bench(good, good, rows=bench.root / "broken.parquet")


def test_an_unknown_metric_is_told_before_anything_runs(bench: Bench, good: Path) -> None:
    with pytest.raises(MetricUnknown, match="Did you mean mean_absolute_error"):
        bench(good, good, metric="mean_absolute_eror")
    assert not (bench.root / "logs").exists()


def test_words_and_numbers_do_not_mix(bench: Bench, good: Path) -> None:
    with pytest.raises(NotComparable, match="compares numbers, but the target holds text"):
        bench(good, good, target="busy")
    with pytest.raises(NotComparable, match="predicts numbers, but the target holds text"):
        bench(good, good, target="busy", metric="accuracy")


def test_a_comparison_can_be_cancelled(bench: Bench, good: Path) -> None:
    log = bench.root / "logs" / "compare.log"

    def cancel_when_it_predicts() -> None:
        while not (log.exists() and b"predicting" in log.read_bytes()):
            if bench.cancelled.wait(0.02):
                return
        bench.cancelled.set()

    watcher = threading.Thread(target=cancel_when_it_predicts)
    watcher.start()
    try:
        with pytest.raises(Cancelled):
            bench(bench.helper("Slow"), good)
    finally:
        bench.cancelled.set()
        watcher.join()


def test_no_model_is_loaded_in_our_process(bench: Bench, good: Path) -> None:
    path = bench.root / "telling.pkl"
    path.write_bytes(b"\x80\x02cos\ngetpid\n)Rcbuiltins\nprint\nX\x03\x00\x00\x00pid\x85R0.")
    with pytest.raises(NotComparable, match="it holds a int, which has no predict"):
        bench(path, good)
    assert "pid" in (bench.root / "logs" / "compare.log").read_text()


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "expected"),
    [
        (1.5, 3.0, True, "worse"),
        (0.5, 3.0, True, "undecided"),
        (-0.5, 0.9, True, "equal"),
        (0.1, 0.9, True, "equal"),
        (-3.0, -0.1, True, "better"),
        (-3.0, -1.5, False, "worse"),
        (-3.0, -0.5, False, "undecided"),
        (0.1, 3.0, False, "better"),
    ],
)
def test_worse_is_only_what_is_beyond_the_tolerance_for_certain(
    low: float, high: float, lower_is_better: bool, expected: str
) -> None:
    found = Difference(100 + (low + high) / 2, 100, (low + high) / 2, low, high)
    worse = found.difference / 100 if lower_is_better else -found.difference / 100
    assert verdict(lower_is_better, 1000, found, worse, 0.01) == expected
    assert verdict(lower_is_better, 100, found, worse, 0.01) == "undecided"
