"""A sweep: one training for each combination of values, and the best of them."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from mlconsole.errors import WrongUse
from mlconsole.evidence.training import MetricPoint, Parameter, SweepRun
from mlconsole.services.models.metrics import ALIASES, HIGHER_IS_BETTER, LOWER_IS_BETTER
from mlconsole.text import listed

MOST_RUNS = 500
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
_OF_UNSEEN_ROWS = ("test", "holdout", "val", "valid", "validation", "eval", "dev", "cv", "final", "best", "mean", "avg")
"""What may stand before a metric's name: the sooner it does here, the rather it is the one that is meant."""
_SHORT = {"acc": "accuracy", "auroc": "roc_auc", "r_2": "r2", "rsquared": "r2", "mean_abs_error": "mae"}
_LOW_IS_GOOD = re.compile(
    r"loss|err|mae|mse|rmse|mape|deviance|perplexity|\bll\b|nll|distance|wer\b|cer\b", re.IGNORECASE
)


class SweepUnusable(WrongUse):
    """The sweep in the settings can't be run."""


def grid(values: Mapping[str, Sequence[str | int | float | bool]]) -> tuple[tuple[Parameter, ...], ...]:
    """Every combination of the values, the last parameter's changing fastest.

    Raises:
        SweepUnusable: a parameter has no values, or there are too many combinations.
    """
    empty = [name for name, several in values.items() if not several]
    if empty:
        raise SweepUnusable(f"train.sweep: {listed(empty)} has no values.", "Give each parameter a list of values.")
    combinations = math.prod(len(several) for several in values.values())
    if combinations > MOST_RUNS:
        raise SweepUnusable(
            f"train.sweep has {combinations:,} combinations; {MOST_RUNS} runs are the most.", "Give fewer values."
        )
    texts = [[Parameter(name=name, value=as_text(value)) for value in several] for name, several in values.items()]
    return tuple(itertools.product(*texts))


def as_text(value: str | int | float | bool) -> str:
    """A value as a command, YAML and JSON take it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def threads_of_each(jobs: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that give each of several runs its share of the processors, where the person has not set them."""
    share = max((os.cpu_count() or 1) // max(jobs, 1), 1)
    return {name: str(share) for name in _THREADS if jobs > 1 and name not in environment}


def score_of(metrics: Iterable[MetricPoint], metric: str) -> float | None:
    """The value of a metric among those that a run told, by whatever name people give it: `mae`, `Test MAE`, `val/mae`.

    Returns:
        None where the run told no such metric.
    """
    ranked = [(rank, point.value) for point in metrics if (rank := _rank(point.name, metric)) is not None]
    return min(ranked, key=lambda found: found[0])[1] if ranked else None


def _rank(name: str, metric: str) -> int | None:
    """How sure it is that a name means a metric: 0 for the name itself, None where it means another."""
    if name == metric:
        return 0
    wanted, words = _plain(metric), _plain(name)
    if words == wanted or _known(words) == _known(wanted):
        return 1
    for position, prefix in enumerate(_OF_UNSEEN_ROWS):
        for rest in (words.removeprefix(f"{prefix}_"), words.removesuffix(f"_{prefix}")):
            if rest != words and (rest == wanted or _known(rest) == _known(wanted)):
                return 2 + position
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9²]+", "_", name.lower()).strip("_").replace("²", "2")


def _known(name: str) -> str:
    """The name in `sklearn.metrics` of a metric that is known by a shorter one, else the name itself."""
    name = _SHORT.get(name, name).removeprefix("neg_")
    return ALIASES.get(name, name)


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better: by its name where it is none of the usual ones."""
    name = _known(_plain(metric))
    if name in HIGHER_IS_BETTER:
        return False
    return name in LOWER_IS_BETTER or _LOW_IS_GOOD.search(metric) is not None


def best_of(runs: Sequence[SweepRun], metric: str) -> SweepRun:
    """The run with the best score; the earliest of several.

    Raises:
        SweepUnusable: no run that ended well told the metric.
    """
    scored = [run for run in runs if run.state == "done" and run.score is not None]
    if not scored:
        told = dict.fromkeys(point.name for run in runs for point in run.metrics)
        hint = (
            f'Choose by one that they told: [train] best = "{next(iter(told))}".' if told else f"Print one: {metric}=…"
        )
        what = f"they told {listed(list(told))}" if told else "they told no metric"
        raise SweepUnusable(f"The best run can't be told: no run told {metric}, {what}.", hint)
    sign = 1 if lower_is_better(metric) else -1
    return min(scored, key=lambda run: (sign * (run.score or 0.0), run.number))
