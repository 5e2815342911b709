"""The values and bounds of differences, against scikit-learn and against what is known of them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mlconsole.errors import Cancelled
from mlconsole.services.models import bootstrap
from mlconsole.services.models.bootstrap import Difference, paired
from mlconsole.services.models.compare import verdict
from mlconsole.services.models.dependence import wider_by_chance
from mlconsole.services.models.metrics import MetricUnknown, find_metric, metric_direction


def predictions(rows: int, seed: int = 0, worse: float = 0.0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    actual = random.gamma(2, 50, rows)
    return actual, np.abs(actual + random.normal(0, 10 + worse, rows)), np.abs(actual + random.normal(0, 10, rows))


@pytest.mark.parametrize(
    "name",
    [
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "mean_absolute_percentage_error",
        "mean_squared_log_error",
        "root_mean_squared_log_error",
        "median_absolute_error",
        "r2_score",
        "explained_variance_score",
        "max_error",
    ],
)
def test_values_are_those_of_scikit_learn(name: str) -> None:
    actual, candidate, champion = predictions(300)
    found = paired(find_metric(name), actual, candidate, champion, threading.Event())
    function = getattr(sklearn_metrics, name)
    assert found.candidate == pytest.approx(function(actual, candidate))
    assert found.champion == pytest.approx(function(actual, champion))
    assert found.low <= found.difference <= found.high


@pytest.mark.parametrize("name", ["accuracy", "f1", "zero_one_loss", "balanced_accuracy", "matthews_corrcoef"])
@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_classes_may_be_words(name: str, classes: tuple[str, ...]) -> None:
    random = np.random.default_rng(1)
    actual = random.choice(classes, 250)
    candidate = np.where(random.random(250) < 0.9, actual, classes[0])
    champion = np.where(random.random(250) < 0.3, actual, classes[0])
    metric = find_metric(name)
    found = paired(metric, actual, candidate, champion, threading.Event())
    assert (found.high < 0) if metric.lower_is_better else (found.low > 0)


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "jaccard_score", "balanced_accuracy", "mcc", "accuracy"])
@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c", "d")])
def test_values_of_classes_are_those_of_scikit_learn(name: str, classes: tuple[str, ...]) -> None:
    random = np.random.default_rng(2)
    actual, guess = random.choice(classes, 200), random.choice(classes, 200)
    metric = find_metric(name)
    options: dict[str, Any] = {}
    if name in ("f1", "precision", "recall", "jaccard_score"):
        options = {"average": "macro"} if len(classes) > 2 else {"pos_label": "yes"}
    found = paired(metric, actual, guess, actual, threading.Event())
    assert found.candidate == pytest.approx(getattr(sklearn_metrics, metric.name)(actual, guess, **options))
    assert found.champion == pytest.approx(1)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", ["f1", "precision", "recall", "jaccard"])
@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c", "d")])
def test_averaged_scorers_are_those_of_scikit_learn(name: str, average: str, classes: tuple[str, ...]) -> None:
    random = np.random.default_rng(4)
    shares = np.arange(1, len(classes) + 1) / np.arange(1, len(classes) + 1).sum()
    actual, guess = random.choice(classes, 200, p=shares), random.choice(classes[1:], 200)
    found = paired(find_metric(f"{name}_{average}"), actual, guess, actual, threading.Event())
    function = getattr(sklearn_metrics, f"{name}_score")
    assert found.candidate == pytest.approx(function(actual, guess, average=average, zero_division=0))
    assert found.champion == pytest.approx(1)
    assert not metric_direction(f"{name}_{average}")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fbeta_score", "it needs a beta"),
        ("f1_samples", "several labels of each row"),
        ("ndcg", "there is no such metric"),
        ("ndcg_score", "several labels of each row"),
        ("silhouette_score", "clusters by the features alone"),
        ("hinge_loss", "judges margins"),
    ],
)
def test_a_metric_that_needs_more_than_predictions_says_so(name: str, why: str) -> None:
    with pytest.raises(MetricUnknown, match=why) as caught:
        find_metric(name)
    assert caught.value.next_step


@pytest.mark.parametrize("name", ["log_loss", "brier_score_loss", "roc_auc", "average_precision"])
def test_values_of_probabilities_are_those_of_scikit_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    random = np.random.default_rng(2)
    actual, sure, unsure = random.integers(0, 2, 200).astype(float), random.random(200), random.random(200)
    metric = find_metric(name)
    found = paired(metric, actual, sure, unsure, threading.Event())
    assert found.candidate == pytest.approx(getattr(sklearn_metrics, metric.name)(actual, sure))
    assert found.low <= found.difference <= found.high


@pytest.mark.parametrize("rows", [2_000, 50_003])
def test_the_bounds_are_those_that_theory_gives_for_a_mean_or_wider(rows: int) -> None:
    actual, candidate, champion = predictions(rows)
    found = paired(find_metric("mae"), actual, candidate, champion, threading.Event())
    losses = np.abs(candidate - actual) - np.abs(champion - actual)
    assert found.difference == pytest.approx(losses.mean())
    half = 1.96 * losses.std() / np.sqrt(len(losses))
    assert (found.high - found.low) / found.widened / 2 == pytest.approx(half, rel=0.1)
    assert found.widened >= 1


def test_independent_rows_cost_little_of_what_dependent_ones_gain() -> None:
    widened = [paired(find_metric("mae"), *predictions(300, seed), threading.Event()).widened for seed in range(60)]
    assert np.mean(widened) < 1.55  # 1.37 in the long run


def test_rows_that_go_together_are_not_taken_for_independent_ones_and_seldom_the_other_way() -> None:
    limit = wider_by_chance(0.95)
    independent = [paired(find_metric("mae"), *predictions(300, seed), threading.Event()) for seed in range(100)]
    together = [paired(find_metric("mae"), *days_that_go_together(seed), threading.Event()) for seed in range(20)]
    assert sum(found.widened > limit for found in independent) <= 4  # more than 4 of 100 once in 300 times
    assert sum(found.widened > limit for found in together) >= 10
    assert wider_by_chance(0.99) > limit


def days_that_go_together(seed: int) -> tuple[Any, Any, Any]:
    """60 days of 24 hours, and two models whose errors differ by the day, and by the season."""
    random = np.random.default_rng(seed)
    actual = random.gamma(2, 50, 1440)
    season = random.normal(0, 1, 12).repeat(120)
    by_day = random.normal(0, 3, 60).repeat(24)
    return actual, actual + 20 + by_day + season, actual + 20 + random.normal(0, 1, 1440)


def by_day(random: Any) -> Any:
    return 20 + random.normal(0, 1, 12).repeat(120) + random.normal(0, 3, 60).repeat(24) + random.normal(0, 2, 1440)


def by_day_and_heavy(random: Any) -> Any:
    return random.standard_t(3, 1440) * np.exp(random.normal(0, 0.5, 60)).repeat(24)


def drifting(random: Any) -> Any:
    """Errors that resemble those of the hours before: an autoregression of 0.95."""
    noise, found = random.normal(0, 1, 1440), np.empty(1440)
    last = 0.0
    for row in range(1440):
        last = found[row] = 0.95 * last + noise[row]
    return 10 * found + random.normal(0, 5, 1440)


def independent(random: Any) -> Any:
    return random.normal(0, 10, 1440)


@pytest.mark.parametrize("name", ["median_absolute_error", "max_error"])
@pytest.mark.parametrize("errors", [independent, by_day, by_day_and_heavy, drifting])
def test_what_is_no_mean_has_bounds_that_hold(name: str, errors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models whose errors have one distribution differ by nothing: in 95 of 100 trials the bounds say so."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 60)
    missed = one_by_one = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        actual = np.zeros(1440)
        found = paired(find_metric(name), actual, errors(random), errors(random), threading.Event())
        missed += not found.low <= 0 <= found.high
        one_by_one += abs(found.difference) > (found.high - found.low) / found.widened / 2
    assert missed <= 11  # more than 11 of 100 come about once in 200 times where 5% do
    if errors is not independent:
        assert one_by_one >= 25  # what a bootstrap of rows alone would have said


def test_bounds_are_not_wider_than_they_have_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    found = [paired(find_metric("medae"), *predictions(300, seed), threading.Event()) for seed in range(60)]
    assert np.mean([difference.widened for difference in found]) < 1.6


@pytest.mark.parametrize("name", ["mae", "rmse", "median_absolute_error"])
def test_rows_that_go_with_their_neighbours_are_not_counted_each(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 300)
    found = [paired(find_metric(name), *days_that_go_together(seed), threading.Event()) for seed in range(60)]
    surely = sum(not difference.low <= 0 <= difference.high for difference in found)
    assert surely <= 9  # of 60
    one_by_one = [abs(d.difference) > (d.high - d.low) / d.widened / 2 for d in found]
    assert sum(one_by_one) > 35
    assert np.median([difference.widened for difference in found]) > 3


def test_a_metric_that_needs_both_classes_is_bounded_where_the_first_rows_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    random = np.random.default_rng(3)
    actual = np.sort(random.integers(0, 2, 400)).astype(float)
    found = paired(find_metric("roc_auc"), actual, random.random(400), random.random(400), threading.Event())
    assert 0 < found.high - found.low < 1
    assert found.low <= found.difference <= found.high


def test_models_that_agree_in_all_rows_but_one_are_still_bounded() -> None:
    actual = np.arange(400.0) % 2
    candidate = actual.copy()
    candidate[7] = 1 - candidate[7]
    found = paired(find_metric("accuracy"), actual, candidate, actual, threading.Event())
    assert -0.02 < found.low <= found.difference <= found.high < 0.02
    same = paired(find_metric("accuracy"), actual, actual, actual, threading.Event())
    assert (same.low, same.high, same.widened) == (0, 0, 1)


def test_the_same_rows_give_the_same_bounds() -> None:
    data = predictions(300)
    metric = find_metric("rmse")
    assert paired(metric, *data, threading.Event()) == paired(metric, *data, threading.Event())


def test_equal_models_are_found_worse_seldom() -> None:
    metric = find_metric("mae")
    found = [paired(metric, *predictions(250, seed), threading.Event()) for seed in range(60)]
    outside = sum(not difference.low <= 0 <= difference.high for difference in found)
    assert outside <= 8  # 5% of 60 is 3; more than 8 comes about once in 300 runs of other seeds


def test_a_cancel_ends_it() -> None:
    cancelled = threading.Event()
    cancelled.set()
    for name in ("mae", "median_absolute_error", "max_error"):
        with pytest.raises(Cancelled):
            paired(find_metric(name), *predictions(300), cancelled)


def difference(low: float, high: float, champion: float = 10.0) -> Difference:
    middle = (low + high) / 2
    return Difference(champion + middle, champion, middle, low, high)


@pytest.mark.parametrize(
    ("low", "high", "rows", "expected"),
    [
        (0.5, 1.5, 1000, "worse"),
        (-1.5, -0.5, 1000, "better"),
        (-0.05, 0.05, 1000, "equal"),
        (0.01, 0.05, 1000, "equal"),  # worse beyond chance, but within the tolerance of 0.1
        (-0.5, 0.5, 1000, "undecided"),
        (0.01, 0.15, 1000, "undecided"),
        (-0.5, 0.05, 1000, "equal"),
        (0.5, 1.5, 199, "undecided"),
        (-1.5, -0.5, 199, "undecided"),
        (0.0, 0.0, 1000, "equal"),
    ],
)
def test_a_verdict_needs_both_size_and_certainty(low: float, high: float, rows: int, expected: str) -> None:
    found = difference(low, high)
    assert verdict(True, rows, found, found.difference / 10, 0.01) == expected
    mirrored = difference(-high, -low)
    assert verdict(False, rows, mirrored, -mirrored.difference / 10, 0.01) == expected


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("mean_absolute_error", True),
        ("mae", True),
        ("neg_root_mean_squared_error", True),
        ("log_loss", True),
        ("accuracy", False),
        ("R2", False),
        ("roc_auc_score", False),
        ("f1", False),
        ("d2_log_loss_score", False),
        ("explained_variance", False),
        ("neg_brier_score", True),
        ("mean_pinball_loss", True),
    ],
)
def test_the_direction_of_a_metric_is_known(name: str, lower: bool) -> None:
    assert metric_direction(name) is lower


@pytest.mark.parametrize(("name", "nearest"), [("mean_absolut_error", "mean_absolute_error"), ("acuracy", "accuracy")])
def test_an_unknown_metric_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(MetricUnknown, match=f"Did you mean {nearest}"):
        metric_direction(name)


@pytest.mark.parametrize("name", ["", "accuracy_scorer_of_ours", "confusion_matrix", "__name__", "os.system"])
def test_what_is_no_metric_is_a_sentence(name: str) -> None:
    with pytest.raises(MetricUnknown, match="there is no such metric"):
        metric_direction(name)
