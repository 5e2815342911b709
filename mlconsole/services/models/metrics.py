"""The metrics that models are compared by: their names, which way is better, and what they are computed from.

Names are those of `sklearn.metrics` and of its scorers. The common ones are written as sums over rows (`sums`) or by
running sums in the scores' order (`ranking`), so that thousands of resamples cost little; any other is asked of
scikit-learn, resample by resample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mlconsole.errors import WrongUse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Kind = Literal["predict", "probability", "score"]
"""What models are asked for: values, probabilities of classes, or any scores of how likely they are."""

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
    "brier": "brier_score_loss",
    "top_k_accuracy": "top_k_accuracy_score",
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
    "negative_likelihood_ratio",
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
    "roc_auc_ovr",
    "roc_auc_ovr_weighted",
    "roc_auc_ovo",
    "roc_auc_ovo_weighted",
    "average_precision_score",
    "top_k_accuracy_score",
    "d2_log_loss_score",
    "d2_brier_score",
    "positive_likelihood_ratio",
)
PROBABILITIES = (
    "log_loss",
    "brier_score_loss",
    "d2_log_loss_score",
    "d2_brier_score",
    "roc_auc_ovr",
    "roc_auc_ovr_weighted",
    "roc_auc_ovo",
    "roc_auc_ovo_weighted",
)
SCORES = ("roc_auc_score", "average_precision_score", "top_k_accuracy_score")
"""Scikit-learn asks for the decision function here, and for probabilities only where there is none."""
AVERAGED = tuple(
    f"{name}_{average}"
    for name in ("f1", "precision", "recall", "jaccard")
    for average in ("macro", "micro", "weighted")
)
"""Scorers of scikit-learn that are no functions of `sklearn.metrics`: what is counted per class, over all classes."""
OF_CLUSTERS = (
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "completeness_score",
    "fowlkes_mallows_score",
    "homogeneity_score",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "rand_score",
    "v_measure_score",
)
"""Whether rows are together that belong together, whatever the groups are called."""
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
    "positive_likelihood_ratio",
    "negative_likelihood_ratio",
    *OF_CLUSTERS,
)
WITH_ONE_CLASS_MEANT = ("f1_score", "precision_score", "recall_score", "jaccard_score", "average_precision_score")
"""Of two classes these judge one: 1 where there is such a class, else the last."""
OF_TWO_CLASSES = ("roc_auc_score", "positive_likelihood_ratio", "negative_likelihood_ratio")
OF_EVERY_CLASS = (
    *(name for name in PROBABILITIES if name.startswith("roc_auc")),
    "roc_auc_score",
    "average_precision_score",
)
"""What is not defined where no row is of some class."""

_SEVERAL_LABELS = "judges several labels of each row, and the target is one column", "Compare by f1_macro or accuracy."
_CLUSTERS = "judges clusters by the features alone, and not what is predicted", "Compare by what the target tells."
REFUSED = {
    **{f"{name}_samples": _SEVERAL_LABELS for name in ("f1", "precision", "recall", "jaccard")},
    "coverage_error": _SEVERAL_LABELS,
    "label_ranking_average_precision_score": _SEVERAL_LABELS,
    "label_ranking_loss": _SEVERAL_LABELS,
    "dcg_score": _SEVERAL_LABELS,
    "ndcg_score": _SEVERAL_LABELS,
    "consensus_score": _CLUSTERS,
    "calinski_harabasz_score": _CLUSTERS,
    "davies_bouldin_score": _CLUSTERS,
    "silhouette_score": _CLUSTERS,
    "fbeta_score": ("needs a beta, which the settings can't tell it", "Compare by f1, precision or recall."),
    "hinge_loss": ("judges margins, which few models tell", "Compare by log_loss or roc_auc."),
}
"""What scikit-learn has, and models can't be compared by here: why, and by what instead."""


class MetricUnknown(WrongUse):
    """The metric in the settings is none that models can be compared by."""


class Metric(msgspec.Struct, frozen=True):
    """A metric by its name in `sklearn.metrics`, or among its scorers.

    `columns` turns actual and predicted values (n,) into what is summed over rows (n, k), and `value` turns sums
    (…, k) and the number of rows into the metric (…). `weighed` turns them into a function of the rows' weights (n,).
    All are None where scikit-learn has to be asked.
    """

    name: str
    lower_is_better: bool
    columns: Callable[[Any, Any], Floats] | None = None
    value: Callable[[Floats, Any], Floats] | None = None
    weighed: Callable[[Any, Any], Callable[[Floats], float]] | None = None

    @property
    def kind(self) -> Kind:
        """What it judges: predictions, probabilities of classes, or any scores of them."""
        return "probability" if self.name in PROBABILITIES else "score" if self.name in SCORES else "predict"

    @property
    def from_probabilities(self) -> bool:
        """Whether it judges how likely classes are rather than predictions."""
        return self.kind != "predict"

    @property
    def of_classes(self) -> bool:
        """Whether it judges classes rather than numbers."""
        return self.name in OF_CLASSES

    @property
    def of_clusters(self) -> bool:
        """Whether it judges which rows are of one class, but not what the classes are called."""
        return self.name in OF_CLUSTERS

    def on_classes(self, classes: list[Any]) -> Metric:
        """The same where values are places in a list that `ordered` made; only metrics of classes need it."""
        from mlconsole.services.models.sums import counts_of, of_counts

        value = of_counts().get(self.name)
        if value is None:
            return self
        return Metric(self.name, self.lower_is_better, counts_of(len(classes)), value)

    def ordered(self, classes: list[Any]) -> list[Any]:
        """Distinct classes in the order in which this metric takes the last of two as the one that is meant."""
        if self.name in WITH_ONE_CLASS_MEANT and len(classes) == 2 and classes[0] == 1:
            return classes[::-1]
        return classes


def full_name(metric: str) -> str:
    """The name in `sklearn.metrics` of a metric as people write it: `mae`, `neg_mean_absolute_error`, `f1_macro`.

    Raises:
        MetricUnknown: there is none, and the nearest is named; or models can't be compared by it, and why.
    """
    name = metric.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("neg_")
    name = ALIASES.get(name, name)
    known = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER, *AVERAGED)
    if name in REFUSED:
        why, instead = REFUSED[name]
        raise MetricUnknown(f"Models can't be compared by {name}: it {why}.", instead)
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
    from mlconsole.services.models.ranking import of_rankings
    from mlconsole.services.models.sums import of_sums

    name = full_name(metric)
    columns, value = of_sums().get(name, (None, None))
    return Metric(name, metric_direction(name), columns, value, of_rankings().get(name))


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
