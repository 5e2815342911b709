"""Every scorer that scikit-learn has: either its own number comes out, or a sentence says why none does."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import average_precision_score, get_scorer, get_scorer_names, roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from mlconsole.errors import Problem
from mlconsole.services.models import bootstrap
from mlconsole.services.models.aligned import aligned
from mlconsole.services.models.bootstrap import Difference, paired
from mlconsole.services.models.compare import verdict
from mlconsole.services.models.metrics import find_metric
from mlconsole.services.models.predict_child import answer
from mlconsole.services.models.predictions import Answer, NotComparable


class Known(NamedTuple):
    """Two models and rows that neither has seen."""

    models: list[Any]
    features: pd.DataFrame
    target: pd.Series


def known(kind: str) -> Known:
    random = np.random.default_rng(11)
    features = pd.DataFrame(random.normal(size=(900, 4)), columns=list("abcd"))
    raw = features["a"] + features["b"] * features["c"] + random.normal(0, 1, 900)
    if kind == "numbers":
        target: Any = np.exp(raw / 3) + 0.1
        models = [LinearRegression(positive=True), LinearRegression()]
        features = features.assign(e=target * random.gamma(9, 1 / 9, 900))[["e"]]
    else:
        words = {
            "two": [0, 1],
            "one and two": [1, 2],
            "two words": ["no", "yes"],
            "five": [0, 1, 2, 3, 4],
            "words": ["a", "é", "b", "c c"],
        }
        classes = np.array(words[kind])
        target = classes[np.searchsorted(np.quantile(raw, np.arange(1, len(classes)) / len(classes)), raw)]
        models = [RandomForestClassifier(9, random_state=1), DecisionTreeClassifier(max_depth=4, random_state=2)]
    target = pd.Series(target)
    for number, model in enumerate(models):
        model.fit(features[number * 300 : number * 300 + 300], target[number * 300 : number * 300 + 300])
    return Known(models, features[600:], target[600:].reset_index(drop=True))


def ours(name: str, known: Known, folder: Path) -> Difference:
    metric = find_metric(name)
    answers = []
    for number, model in enumerate(known.models):
        joblib.dump(model, folder / f"{number}.pkl")
        told = answer(f"v{number}", str(folder / f"{number}.pkl"), known.features, metric.kind)
        if "error" in told:
            raise NotComparable(told["error"], "Choose another.")
        answers.append(Answer(**told))
    actual, predictions = aligned(metric, known.target.to_numpy(), answers)
    return paired(metric, actual, *predictions, threading.Event())


def theirs(name: str, known: Known) -> list[float]:
    sign = -1 if get_scorer(name)._sign < 0 else 1
    return [sign * get_scorer(name)(model, known.features, known.target) for model in known.models]


UNLIKE_THEIRS = {("top_k_accuracy", "two"), ("top_k_accuracy", "two words"), ("top_k_accuracy", "one and two")}
"""Scikit-learn's number is 1 whatever the model does, and says so in a warning."""


@pytest.mark.parametrize("kind", ["numbers", "two", "one and two", "two words", "five", "words"])
def test_each_scorer_gives_scikit_learns_number_or_says_why_not(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 30)
    rows, computed = known(kind), []
    for name in get_scorer_names():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected: Sequence[float] | None = theirs(name, rows)
            except (ValueError, TypeError, AttributeError):
                expected = None
        try:
            found = ours(name, rows, tmp_path)
        except Problem as problem:
            assert problem.next_step, name
            no_classes = kind == "numbers" and "with fractions" in str(problem)
            assert expected is None or no_classes or (name, kind) in UNLIKE_THEIRS, (name, str(problem))
            continue
        computed.append(name)
        if expected is not None:
            assert [found.candidate, found.champion] == pytest.approx(expected, nan_ok=True), name
            assert np.isnan(found.low) or found.low <= found.difference <= found.high, name
    of_classes = {"accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovo_weighted", "average_precision", "rand_score"}
    assert set(computed) >= (of_classes if kind != "numbers" else {"r2", "neg_mean_gamma_deviance", "neg_max_error"})


def several_classes(seed: int, rows: int = 300) -> tuple[Any, Any, Any]:
    """Classes that came, some of them seldom, and the probabilities of two models that are as good as each other."""
    random = np.random.default_rng(seed)
    actual = random.choice(5, rows, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    known = random.normal(size=(rows, 5)) + 1.2 * (np.arange(5) == actual[:, None])
    ours, theirs = (np.exp(known + 0.7 * random.normal(size=(rows, 5))) for _ in range(2))
    return actual, ours / ours.sum(axis=1, keepdims=True), theirs / theirs.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["log_loss", "brier", "roc_auc_ovr_weighted", "roc_auc_ovo", "average_precision"])
def test_of_candidates_that_are_as_good_few_are_found_worse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 150)
    metric, blocked, missed = find_metric(name), 0, 0
    for seed in range(60):
        found = paired(metric, *several_classes(seed), threading.Event())
        worse = found.difference if metric.lower_is_better else -found.difference
        blocked += verdict(metric.lower_is_better, 300, found, worse / found.champion, 0.01) == "worse"
        missed += not found.low <= 0 <= found.high
    assert blocked <= 2
    assert missed <= 8  # more than 8 of 60 come about once in 300 times where 5% do


@pytest.mark.parametrize(
    "name", ["log_loss", "brier", "roc_auc_ovr", "roc_auc_ovo", "average_precision", "d2_log_loss"]
)
def test_a_model_that_is_worse_at_several_classes_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 150)
    metric = find_metric("d2_log_loss_score" if name == "d2_log_loss" else name)
    actual, ours, theirs = several_classes(3, 1000)
    shuffled = np.random.default_rng(1).permutation(ours)
    found = paired(metric, actual, shuffled, theirs, threading.Event())
    assert (found.low > 0) if metric.lower_is_better else (found.high < 0)


def test_ties_and_drawn_rows_count_as_scikit_learn_counts_them() -> None:
    random = np.random.default_rng(5)
    actual, ours, _ = several_classes(5)
    ours = ours.round(1) + 1e-9
    ours /= ours.sum(axis=1, keepdims=True)
    drawn = random.integers(0, 300, 300)
    weights = np.bincount(drawn, minlength=300).astype(float)
    for name, options in {
        "roc_auc_ovr": {"multi_class": "ovr"},
        "roc_auc_ovr_weighted": {"multi_class": "ovr", "average": "weighted"},
        "roc_auc_ovo": {"multi_class": "ovo"},
        "roc_auc_ovo_weighted": {"multi_class": "ovo", "average": "weighted"},
    }.items():
        weighed = find_metric(name).weighed
        assert weighed is not None
        assert weighed(actual, ours)(weights) == pytest.approx(roc_auc_score(actual[drawn], ours[drawn], **options))
    weighed = find_metric("average_precision").weighed
    assert weighed is not None
    assert weighed(actual, ours)(weights) == pytest.approx(average_precision_score(actual[drawn], ours[drawn]))
