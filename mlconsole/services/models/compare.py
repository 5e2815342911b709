"""Is the candidate better than the champion? Both predict the same rows, and chance is told from difference."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mlconsole.errors import Cancelled, Refused, WrongUse
from mlconsole.evidence.testing import Comparison
from mlconsole.services.models.metrics import Metric, find_metric, metric_direction
from mlconsole.services.processes import ChildResult, child_environment, run_child
from mlconsole.text import clean_line, count, shorten

if TYPE_CHECKING:
    from mlconsole.services.models.bootstrap import Difference

__all__ = ["FEWEST_ROWS", "NotComparable", "RowsUnusable", "compare", "metric_direction", "verdict"]

PREDICT_CHILD = Path(__file__).with_name("predict_child.py")
FEWEST_ROWS = 200
"""With fewer rows nothing is said of the models: chance is too large."""

_LARGEST_RELATIVE = 1e6


class RowsUnusable(WrongUse):
    """The rows to compare on can't be read, or lack what was to be predicted."""


class NotComparable(Refused):
    """A model can't be loaded, can't predict these rows, or predicts what can't be judged."""


class _Answer(msgspec.Struct):
    label: str
    predictions: list[float | str | bool | None] = []
    classes: list[float | str | bool | None] = []
    error: str = ""


def compare(
    *,
    python: Path,
    root: Path,
    candidate: Path,
    champion: Path,
    candidate_label: str,
    champion_label: str,
    rows: Path,
    target: str,
    metric: str,
    tolerance: float,
    log_path: Path,
    cancelled: threading.Event,
) -> Comparison:
    """Compare two models on rows that neither has seen.

    Args:
        python: the project's Python; both models are loaded in one child of it, never here.
        root: the project's folder, where that child runs.
        candidate: a model file with joblib or pickle in it, whose object has `predict`.
        champion: another.
        candidate_label: what to call the candidate, such as `ml-model@v2`.
        champion_label: what to call the champion.
        rows: a CSV or Parquet file.
        target: the column that is predicted.
        metric: a name of `sklearn.metrics`, such as `mean_absolute_error`.
        tolerance: how much worse the candidate may be, as a part of the champion's value.
        log_path: gets what the child prints.
        cancelled: ends it when set.

    Raises:
        MetricUnknown: there is no such metric.
        RowsUnusable: the rows can't be read or lack the target.
        NotComparable: a model can't be loaded, or its predictions can't be judged.
        Cancelled: it was cancelled.
    """
    measure = find_metric(metric)
    actual = _read_target(rows, target)
    # Two models of one name (a version against itself) still are two.
    labels = (candidate_label, champion_label if champion_label != candidate_label else f"{champion_label} (champion)")
    models = list(zip(labels, (candidate, champion), strict=True))
    answers = _predict(python, root, models, rows, target, measure, log_path, cancelled)
    actual, predictions = _aligned(measure, actual, answers)

    from mlconsole.services.models.bootstrap import paired

    found = paired(measure, actual, predictions[0], predictions[1], cancelled)
    if not all(map(math.isfinite, (found.candidate, found.champion, found.low, found.high))):
        raise NotComparable(
            f"{measure.name} is not defined on {rows.name}.", "Compare by another metric, or on more rows."
        )
    relative = _relative(measure, found)
    return Comparison(
        metric=measure.name,
        lower_is_better=measure.lower_is_better,
        rows=len(actual),
        candidate=candidate_label,
        champion=champion_label,
        candidate_value=found.candidate,
        champion_value=found.champion,
        difference=found.difference,
        low=found.low,
        high=found.high,
        relative=relative,
        tolerance=tolerance,
        verdict=verdict(measure.lower_is_better, len(actual), found, relative, tolerance),
    )


def verdict(
    lower_is_better: bool, rows: int, found: Difference, relative: float, tolerance: float
) -> Literal["better", "equal", "worse", "undecided"]:
    """Judge a difference: only one that chance does not explain counts, and a loss only beyond the tolerance.

    Undecided is what can't be told: fewer than `FEWEST_ROWS` rows, or bounds that reach beyond the tolerance.
    """
    loss_low, loss_high = (found.low, found.high) if lower_is_better else (-found.high, -found.low)
    if rows < FEWEST_ROWS:
        return "undecided"
    if loss_low > 0 and relative > tolerance:
        return "worse"
    if loss_high < 0:
        return "better"
    return "undecided" if loss_high > tolerance * abs(found.champion) else "equal"


def _relative(metric: Metric, found: Difference) -> float:
    """The part by which the candidate is worse; bounded, since a champion without error has no part."""
    worse = found.difference if metric.lower_is_better else -found.difference
    if worse == 0:
        return 0.0
    part = worse / abs(found.champion) if found.champion else math.copysign(math.inf, worse)
    return max(min(part, _LARGEST_RELATIVE), -_LARGEST_RELATIVE)


def _read_target(rows: Path, target: str) -> Any:
    """The column that is predicted, as an array (n,)."""
    import pandas
    import pyarrow

    try:
        if rows.suffix.lower() in (".parquet", ".pq"):
            import pyarrow.parquet

            known = pyarrow.parquet.read_schema(rows).names
            column = pandas.read_parquet(rows, columns=[target])[target] if target in known else None
        else:
            separator = "\t" if ".tsv" in rows.name.lower() else ","
            known = list(pandas.read_csv(rows, sep=separator, nrows=0).columns)
            column = pandas.read_csv(rows, sep=separator, usecols=[target])[target] if target in known else None
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RowsUnusable(
            f"The rows to compare on can't be read from {rows}: {why}.", "Give a CSV or Parquet file."
        ) from error
    if column is None:
        raise RowsUnusable(
            f"{rows} has no column {target}, so predictions can't be judged.",
            f"Its columns are {shorten(', '.join(map(str, known)), 200)}.",
        )
    if not len(column):
        raise RowsUnusable(f"{rows} has no rows to compare on.")
    if missing := int(column.isna().sum()):
        first = int(column.isna().to_numpy().argmax()) + 1
        raise RowsUnusable(
            f"{count(missing, 'row')} of {rows} have no value in {target}, the first is row {first}.",
            "Leave them out of the file.",
        )
    return column.to_numpy()


def _predict(
    python: Path,
    root: Path,
    models: Sequence[tuple[str, Path]],
    rows: Path,
    target: str,
    metric: Metric,
    log_path: Path,
    cancelled: threading.Event,
) -> list[_Answer]:
    """What each model predicts, in the order given."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="predictions-", dir=log_path.parent) as folder:
        output = Path(folder, "predictions.jsonl")
        kind = "probability" if metric.from_probabilities else "predict"
        named = [text for label, path in models for text in (label, str(path.absolute()))]
        child = run_child(
            [str(python), str(PREDICT_CHILD), str(rows.absolute()), target, str(output), kind, *named],
            cwd=root,
            log_path=log_path,
            cancelled=cancelled,
            # Threads that wait for each other by spinning take minutes where the processors are shared.
            environment=child_environment(python, OMP_WAIT_POLICY="PASSIVE"),
        )
        if child.ended == "cancelled":
            raise Cancelled("The comparison was cancelled.")
        answers = _read_answers(output)
    for answer in answers:
        if answer.error:
            raise NotComparable(
                f"{answer.label} can't predict the rows: {shorten(clean_line(answer.error), 300)}.",
                _advice(answer.error),
                tail=child.tail,
            )
    if child.exit_code or len(answers) < len(models):
        raise _child_failed(child, models, len(answers))
    return answers


def _child_failed(child: ChildResult, models: Sequence[tuple[str, Path]], answered: int) -> NotComparable:
    if child.exit_code in (-9, 137):
        advice = "Perhaps the machine ran out of memory."
    elif any("No module named" in line for line in child.tail):
        advice = "Install pandas and joblib in the project's Python."
    else:
        advice = "Its last lines say why."
    which = models[answered][0] if answered and answered < len(models) else "The models"
    return NotComparable(f"{which} could not be asked to predict ({child.how}).", advice, tail=child.tail)


def _advice(error: str) -> str:
    if "__main__" in error:
        return "It was saved with a class of the training script itself: put that class into a module of its own."
    if "No module named" in error:
        return "Install that module in the project's Python."
    return "Its last lines say more."


def _read_answers(path: Path) -> list[_Answer]:
    answers: list[_Answer] = []
    try:
        with path.open("rb") as file:
            answers.extend(msgspec.json.decode(line, type=_Answer) for line in file if line.endswith(b"\n"))
    except (OSError, msgspec.MsgspecError):
        return answers
    return answers


def _aligned(metric: Metric, actual: Any, answers: Sequence[_Answer]) -> tuple[Any, list[Any]]:
    """Actual and predicted values as arrays (n,) of one kind, numbers or texts."""
    import numpy as np

    for answer in answers:
        if len(answer.predictions) != len(actual):
            raise NotComparable(
                f"{answer.label} made {count(len(answer.predictions), 'prediction')} for {count(len(actual), 'row')}.",
                "A model has to answer every row, in order.",
            )
        if missing := sum(value is None for value in answer.predictions):
            raise NotComparable(
                f"{answer.label} predicted no number for {count(missing, 'row')} of {len(actual):,}.",
                "Look for missing values in these rows, and at how the model treats them.",
            )
    if metric.from_probabilities:
        classes = answers[0].classes
        if any(answer.classes != classes for answer in answers):
            raise NotComparable("The two models tell different classes apart.")
        actual = np.array([str(value) == str(classes[1]) for value in actual.tolist()], dtype=np.int64)
    words = actual.dtype.kind not in "biuf"
    predictions = [_array(answer, words, metric) for answer in answers]
    return (actual.astype(str) if words else actual.astype(np.float64)), predictions


def _array(answer: _Answer, words: bool, metric: Metric) -> Any:
    import numpy as np

    predicted_words = any(isinstance(value, str) for value in answer.predictions)
    if words and not metric.of_classes:
        raise NotComparable(f"{metric.name} compares numbers, but the target holds text.", "Compare by accuracy.")
    if predicted_words != words:
        kinds = ("text", "numbers") if predicted_words else ("numbers", "text")
        raise NotComparable(f"{answer.label} predicts {kinds[0]}, but the target holds {kinds[1]}.")
    return np.array(answer.predictions, dtype=str if words else np.float64)
