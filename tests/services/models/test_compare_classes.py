"""Candidate against champion by the probabilities of classes, with real models in a real child process."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss, get_scorer, log_loss, roc_auc_score
from sklearn.svm import LinearSVC

from mlconsole.services.models import bootstrap
from mlconsole.services.models.predictions import NotComparable
from tests.services.models.compare_bench import Bench


@pytest.fixture
def sizes(bench: Bench, frame: pd.DataFrame) -> dict[str, Path]:
    """Models of three classes, in the hold-out's column size: a good one, a bad one, and ones that are not as asked."""
    size = np.array(["groß", "klein", "mittel"])[np.digitize(frame["bikers"], frame["bikers"].quantile([0.3, 0.7]))]
    frame.assign(size=size).to_csv(bench.rows, index=False)
    features = frame[["temp", "hour"]]
    models = {
        "good": LogisticRegression(max_iter=1000).fit(features, size),
        "bad": DummyClassifier(strategy="prior").fit(features, size),
        "margins": LinearSVC().fit(features, size),
        "two": LogisticRegression(max_iter=1000).fit(features[size != "klein"], size[size != "klein"]),
        "numbers": LinearRegression().fit(features, frame["bikers"]),
    }
    return {name: bench.put(f"{name}.pkl", model) for name, model in models.items()}


def test_probabilities_of_several_classes_are_compared(
    bench: Bench, sizes: dict[str, Path], frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    names = ("log_loss", "brier", "roc_auc_ovr", "roc_auc_ovo_weighted", "top_k_accuracy", "average_precision")
    found = bench.all(sizes["good"], sizes["bad"], target="size", metric=names[0], metrics=names[1:])
    assert [entry.verdict for entry in found] == ["better"] * len(names)
    features, size = frame[["temp", "hour"]], pd.read_csv(bench.rows)["size"]
    for name, entry in zip(("neg_log_loss", "neg_brier_score", *names[2:]), found, strict=True):
        assert entry.candidate_value == pytest.approx(abs(get_scorer(name)(joblib.load(sizes["good"]), features, size)))


@pytest.mark.parametrize(
    ("candidate", "metric", "words"),
    [
        (
            "good",
            "roc_auc",
            r"roc_auc_score needs two classes, and there are 3\. Compare by roc_auc_ovr or roc_auc_ovo",
        ),
        ("good", "positive_likelihood_ratio", r"needs two classes, and there are 3\. Compare by balanced_accuracy"),
        (
            "margins",
            "log_loss",
            r"ml-model@v2 can't predict the rows: .*LinearSVC has no predict_proba, which this metric",
        ),
        ("numbers", "log_loss", r"LinearRegression has no predict_proba.* Compare by a metric of what"),
        (
            "two",
            "average_precision",
            r"different classes apart: only one knows klein\. Compare by log_loss, accuracy or f1_macro instead",
        ),
    ],
)
def test_what_can_not_judge_several_classes_says_what_can(
    bench: Bench, sizes: dict[str, Path], candidate: str, metric: str, words: str
) -> None:
    with pytest.raises(NotComparable, match=words):
        bench(sizes[candidate], sizes["good"], target="size", metric=metric)


def test_a_class_that_only_one_model_knows_is_never_expected_by_the_other(
    bench: Bench, sizes: dict[str, Path], frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    found = bench.all(sizes["good"], sizes["two"], target="size", metric="log_loss", metrics=["brier", "roc_auc_ovr"])
    assert found[0].verdict == found[1].verdict == "better"
    known = joblib.load(sizes["two"]).predict_proba(frame[["temp", "hour"]])
    spread = np.stack([known[:, 0], np.zeros(400), known[:, 1]], axis=1)
    labels, size = ["groß", "klein", "mittel"], pd.read_csv(bench.rows)["size"]
    expected = [log_loss(size, spread, labels=labels), brier_score_loss(size, spread, labels=labels)]
    assert [entry.champion_value for entry in found[:2]] == pytest.approx(expected)
    assert found[2].champion_value == pytest.approx(roc_auc_score(size, spread, multi_class="ovr"))
    back = bench(sizes["two"], sizes["good"], target="size", metric="log_loss")
    assert (back.verdict, back.difference) == ("worse", pytest.approx(-found[0].difference))


def test_margins_are_enough_where_scikit_learn_takes_them(
    bench: Bench, sizes: dict[str, Path], frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    found = bench(sizes["margins"], sizes["bad"], target="size", metric="average_precision")
    margins = joblib.load(sizes["margins"])
    expected = get_scorer("average_precision")(margins, frame[["temp", "hour"]], pd.read_csv(bench.rows)["size"])
    assert found.candidate_value == pytest.approx(expected)


def test_a_class_without_rows_is_told(bench: Bench, sizes: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    rows = pd.read_csv(bench.rows)
    rows[rows["size"] != "klein"].to_csv(bench.rows, index=False)
    with pytest.raises(NotComparable, match=r"roc_auc_ovo needs rows of every class, .* none of klein"):
        bench(sizes["good"], sizes["bad"], target="size", metric="roc_auc_ovo")
    assert bench(sizes["good"], sizes["bad"], target="size", metric="log_loss").verdict == "better"


CLASSES = """
import sys
data, output, kind = sys.argv[1:]
rows = len(open(data, encoding="utf-8").readlines()) - 1
header, line = {CONTENT!r}
with open(output, "w", encoding="utf-8") as file:
    print(header, *[line] * rows, sep=chr(10), file=file)
"""


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        ("probability_klein,probability_mittel,probability_groß", "0.2,0.3,0.5", ""),
        ("mittel,groß,klein,prediction", "0.3,0.5,0.2,groß", ""),
        ("klein,mittel,groß", "0.2,0.305,0.5", ""),
        ("klein,mittel", "0.5,0.5", r"no column for each of gro.*, klein and mittel: it has klein and mittel"),
        ("prediction", "0.5", r"Write the probability of each class into a column of its own: `probability_gro"),
        ("klein,mittel,groß", "0.2,0.3,0.4", r"do not add up to 1: those of row 1 to 0\.9"),
        ("klein,mittel,groß", "20,30,50", r"gives no probabilities: those of row 1 are not between 0 and 1"),
        ("klein,mittel,groß", "0.2,,0.8", r"predicted no number for 400 rows of 400"),
    ],
)
def test_a_command_writes_a_column_for_each_class(
    bench: Bench, sizes: dict[str, Path], header: str, line: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    (bench.root / "predict.py").write_text(CLASSES.replace("{CONTENT!r}", repr((header, line))), encoding="utf-8")
    command, model = "python predict.py {data} {predictions} {kind}", sizes["good"]
    if words:
        with pytest.raises(NotComparable, match=words):
            bench(model, model, target="size", metric="log_loss", command=command)
        return
    found = bench(model, model, target="size", metric="log_loss", metrics=["top_k_accuracy"], command=command)
    shares = pd.read_csv(bench.rows)["size"].value_counts(normalize=True)
    written = dict(zip(header.split(","), line.split(","), strict=True))
    probability = {name: float(written.get(f"probability_{name}") or written[name]) for name in shares.index}
    assert found.candidate_value == pytest.approx(
        -sum(shares[name] * np.log(probability[name]) for name in shares.index)
    )


@pytest.mark.parametrize(
    ("header", "line", "right"),
    [
        ("prediction,probability", "no,0.75", True),
        ("probability_no,probability_yes", "0.25,0.75", True),
        ("prediction", "yes", False),
    ],
)
def test_of_two_classes_the_probability_is_taken_and_not_the_prediction(
    bench: Bench, good: Path, header: str, line: str, right: bool
) -> None:
    (bench.root / "predict.py").write_text(CLASSES.replace("{CONTENT!r}", repr((header, line))), encoding="utf-8")
    command = "python predict.py {data} {predictions} {kind}"
    if not right:
        with pytest.raises(NotComparable, match="gives words where probabilities are asked for"):
            bench(good, good, target="busy", metric="log_loss", command=command)
        return
    found = bench(good, good, target="busy", metric="log_loss", command=command)
    assert found.candidate_value == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
