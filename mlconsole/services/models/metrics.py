"""The metrics that models are compared by: their names, which way is better, and their values over many resamples.

Names are those of `sklearn.metrics`. The common ones are written as sums over rows, so that thousands of resamples
cost one matrix operation; any other is asked of scikit-learn, resample by resample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from mlconsole.errors import WrongUse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALIASES = {
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_log_error",
    "medae": "median_absolute_error",
    "r2": "r2_score",
    "accuracy": "accuracy_score",
    "balanced_accuracy": "balanced_accuracy_score",
    "f1": "f1_score",
    "precision": "precision_score",
    "recall": "recall_score",
    "roc_auc": "roc_auc_score",
    "auc": "roc_auc_score",
    "average_precision": "average_precision_score",
    "logloss": "log_loss",
    "mcc": "matthews_corrcoef",
    "explained_variance": "explained_variance_score",
    "jaccard": "jaccard_score",
    "brier_score": "brier_score_loss",
}

LOWER_IS_BETTER = (
    "mean_absolute_error",
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_absolute_percentage_error",
    "mean_squared_log_error",
    "root_mean_squared_log_error",
    "median_absolute_error",
    "max_error",
    "mean_poisson_deviance",
    "mean_gamma_deviance",
    "mean_tweedie_deviance",
    "mean_pinball_loss",
    "log_loss",
    "brier_score_loss",
    "hamming_loss",
    "zero_one_loss",
    "hinge_loss",
)
HIGHER_IS_BETTER = (
    "r2_score",
    "explained_variance_score",
    "d2_absolute_error_score",
    "d2_pinball_score",
    "d2_tweedie_score",
    "accuracy_score",
    "balanced_accuracy_score",
    "f1_score",
    "precision_score",
    "recall_score",
    "jaccard_score",
    "matthews_corrcoef",
    "cohen_kappa_score",
    "roc_auc_score",
    "average_precision_score",
)
FROM_PROBABILITIES = ("roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss")
AVERAGED = tuple(
    f"{name}_{average}"
    for name in ("f1", "precision", "recall", "jaccard")
    for average in ("macro", "micro", "weighted")
)
"""Scorers of scikit-learn that are no functions of `sklearn.metrics`: what is counted per class, over all classes."""
OF_CLASSES = (
    *AVERAGED,
    "accuracy_score",
    "balanced_accuracy_score",
    "f1_score",
    "precision_score",
    "recall_score",
    "jaccard_score",
    "matthews_corrcoef",
    "cohen_kappa_score",
    "hamming_loss",
    "zero_one_loss",
)


class MetricUnknown(WrongUse):
    """The metric in the settings is none that models can be compared by."""


class Metric(msgspec.Struct, frozen=True):
    """A metric by its name in `sklearn.metrics`.

    `columns` turns actual and predicted values (n,) into what is summed over rows (n, k), and `value` turns sums
    (…, k) and the number of rows into the metric (…). Both are None where scikit-learn has to be asked.
    """

    name: str
    lower_is_better: bool
    columns: Callable[[Any, Any], Floats] | None = None
    value: Callable[[Floats, Any], Floats] | None = None

    @property
    def from_probabilities(self) -> bool:
        """Whether it judges the probability of a class rather than a prediction."""
        return self.name in FROM_PROBABILITIES

    @property
    def of_classes(self) -> bool:
        """Whether it judges classes rather than numbers."""
        return self.name in OF_CLASSES


def full_name(metric: str) -> str:
    """The name in `sklearn.metrics` of a metric as people write it: `mae`, `neg_mean_absolute_error`, `f1_macro`.

    Raises:
        MetricUnknown: there is none; the nearest is named.
    """
    name = metric.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("neg_")
    name = ALIASES.get(name, name)
    known = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER, *AVERAGED)
    if name in known:
        return name
    from sklearn import metrics

    if name in metrics.__all__ and name.endswith(("_score", "_error", "_loss", "_deviance")):
        return name
    from rapidfuzz import process

    nearest = process.extractOne(name, (*known, *ALIASES), score_cutoff=50)
    raise MetricUnknown(
        f"Models can't be compared by {metric or 'an empty metric'}: there is no such metric.",
        f"Did you mean {nearest[0]}?" if nearest else "Give a name of sklearn.metrics, such as mean_absolute_error.",
    )


def metric_direction(metric: str) -> bool:
    """Whether lower values of a metric are better.

    By the convention of `sklearn.metrics`: what ends in `_error`, `_loss` or `_deviance` is to be small.

    Raises:
        MetricUnknown: there is no such metric.
    """
    name = full_name(metric)
    return name in LOWER_IS_BETTER or (name not in HIGHER_IS_BETTER and name.endswith(("_error", "_loss", "_deviance")))


def find_metric(metric: str) -> Metric:
    """A metric by its name, ready to be computed.

    Raises:
        MetricUnknown: there is no such metric.
    """
    name = full_name(metric)
    columns, value = _by_sums().get(name, (None, None))
    return Metric(name, metric_direction(name), columns, value)


def _by_sums() -> dict[str, tuple[Callable[[Any, Any], Floats], Callable[[Floats, Any], Floats]]]:
    import numpy as np

    def mean(sums: Floats, rows: Any) -> Floats:
        return np.asarray(sums[..., 0] / rows, dtype=np.float64)

    def root(sums: Floats, rows: Any) -> Floats:
        return np.sqrt(mean(sums, rows))

    def one(losses: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Floats]:
        return lambda actual, predicted: np.asarray(losses(actual, predicted), dtype=np.float64)[:, None]

    def relative(actual: Any, predicted: Any) -> Any:
        return np.abs(predicted - actual) / np.maximum(np.abs(actual), np.finfo(np.float64).eps)

    absolute = one(lambda actual, predicted: np.abs(predicted - actual))
    squared = one(lambda actual, predicted: np.square(predicted - actual))
    logarithmic = one(lambda actual, predicted: np.square(np.log1p(predicted) - np.log1p(actual)))
    return {
        "mean_absolute_error": (absolute, mean),
        "mean_squared_error": (squared, mean),
        "root_mean_squared_error": (squared, root),
        "mean_absolute_percentage_error": (one(relative), mean),
        "mean_squared_log_error": (logarithmic, mean),
        "root_mean_squared_log_error": (logarithmic, root),
        "accuracy_score": (one(lambda actual, predicted: actual == predicted), mean),
        "zero_one_loss": (one(lambda actual, predicted: actual != predicted), mean),
        "log_loss": (one(_surprise), mean),
        "brier_score_loss": (squared, mean),
        "r2_score": (_squares, _explained),
        **{name: (_counts, value) for name, value in _of_counts().items()},
    }


def _surprise(actual: Any, probability: Any) -> Any:
    """What a probability of the class that came is worth, in nats; the bounds are those of scikit-learn."""
    import numpy as np

    smallest = np.finfo(np.float64).eps
    return -np.log(np.clip(np.where(actual == 1, probability, 1 - probability), smallest, 1))


def _counts(actual: Any, predicted: Any) -> Floats:
    """Per class whether a row was rightly found, was predicted, and was of it: three columns for each class."""
    import numpy as np

    columns = []
    for label in np.union1d(actual, predicted):
        columns += [(actual == label) & (predicted == label), predicted == label, actual == label]
    return np.stack(columns, axis=1).astype(np.float64)


def _of_counts() -> dict[str, Callable[[Floats, Any], Floats]]:
    """The metrics that `_counts` is enough for: of the last of two classes, else the mean over all classes."""
    import numpy as np

    def split(sums: Floats) -> tuple[Floats, Floats, Floats]:
        return sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]

    def each(
        part: Callable[[Floats, Floats, Floats], tuple[Floats, Floats]], average: str = ""
    ) -> Callable[[Floats, Any], Floats]:
        def value(sums: Floats, rows: Any) -> Floats:
            right, found, real = split(sums)
            above, below = part(right, found, real)
            if average == "micro":
                return np.asarray(above.sum(axis=-1) / np.maximum(below.sum(axis=-1), 1), dtype=np.float64)
            scores = np.where(found + real > 0, above / np.maximum(below, 1), np.nan)
            if average == "weighted":
                return np.asarray(np.nansum(scores * real, axis=-1) / rows, dtype=np.float64)
            if scores.shape[-1] <= 2 and not average:
                return np.asarray(np.nan_to_num(scores[..., -1]), dtype=np.float64)
            return np.asarray(np.nanmean(scores, axis=-1), dtype=np.float64)

        return value

    def balanced(sums: Floats, _rows: Any) -> Floats:
        right, _found, real = split(sums)
        return np.asarray(
            np.nanmean(np.where(real > 0, right / np.maximum(real, 1), np.nan), axis=-1), dtype=np.float64
        )

    def correlation(sums: Floats, rows: Any) -> Floats:
        right, found, real = split(sums)
        rows = np.asarray(rows, dtype=np.float64)
        agreed = right.sum(axis=-1) * rows - (found * real).sum(axis=-1)
        spread = (rows**2 - (found**2).sum(axis=-1)) * (rows**2 - (real**2).sum(axis=-1))
        return np.asarray(np.where(spread > 0, agreed / np.sqrt(np.maximum(spread, 1)), 0.0), dtype=np.float64)

    parts: dict[str, Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]] = {
        "f1": lambda right, found, real: (2 * right, found + real),
        "precision": lambda right, found, real: (right, found),
        "recall": lambda right, found, real: (right, real),
        "jaccard": lambda right, found, real: (right, found + real - right),
    }
    return {
        **{f"{name}_score": each(part) for name, part in parts.items()},
        **{name: each(parts[name.partition("_")[0]], name.partition("_")[2]) for name in AVERAGED},
        "balanced_accuracy_score": balanced,
        "matthews_corrcoef": correlation,
    }


def _squares(actual: Any, predicted: Any) -> Floats:
    """Squared error, value and squared value; values are taken from their mean, so that no digits are lost."""
    import numpy as np

    centred = actual - actual.mean()
    return np.stack([np.square(predicted - actual), centred, np.square(centred)], axis=1)


def _explained(sums: Floats, rows: Any) -> Floats:
    import numpy as np

    spread = sums[..., 2] - np.square(sums[..., 1]) / rows
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(spread > 0, 1 - sums[..., 0] / spread, np.nan), dtype=np.float64)


def by_scikit_learn(name: str) -> Callable[[Any, Any], float]:
    """A function of actual and predicted values (n,) that asks `sklearn.metrics`; not a number where it can't say."""
    import warnings

    from sklearn import metrics

    function = getattr(metrics, name)

    def value(actual: Any, predicted: Any) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return float(function(actual, predicted))
            except (ValueError, TypeError):  # it needs more than these two, such as a beta
                return float("nan")

    return value
