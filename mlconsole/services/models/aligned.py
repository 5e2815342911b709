"""What happened and what models answered, as arrays that a metric can judge, or why it can't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlconsole.services.models.metrics import OF_EVERY_CLASS, OF_TWO_CLASSES, Metric
from mlconsole.services.models.predictions import Answer, NotComparable
from mlconsole.text import clean_line, count, listed, shorten

ROUNDED = 0.005
"""By how much the probability of each class may be off: it may be written with two digits."""


def aligned(metric: Metric, actual: Any, answers: Sequence[Answer]) -> tuple[Any, list[Any]]:
    """Actual and predicted values as arrays of one kind, for one metric.

    Where it judges how likely classes are, the former are the places of classes, (n,), and the latter are the
    probability or score of the second of two, (n,), or of each, (n, c).

    Raises:
        NotComparable: a model's answer is not whole, or of another kind than what is to be judged.
    """
    import numpy as np

    for answer in answers:
        _check_whole(answer, len(actual))
    if metric.from_probabilities:
        return _likelihoods(metric, actual.tolist(), answers)
    words = actual.dtype.kind not in "biuf"
    predictions = [_array(answer, words, metric) for answer in answers]
    actual = actual.astype(str) if words else actual.astype(np.float64)
    if metric.of_classes:
        _refuse_fractions(metric, actual, predictions)
    if metric.name in OF_TWO_CLASSES:
        classes = set(actual.tolist()).union(*(found.tolist() for found in predictions))
        if len(classes) != 2:
            raise _needs_two(metric, len(classes))
    return actual, predictions


def _check_whole(answer: Answer, rows: int) -> None:
    found = answer.scores or answer.predictions
    if len(found) != rows:
        raise NotComparable(
            f"{answer.label} made {count(len(found), 'prediction')} for {count(rows, 'row')}.",
            "A model has to answer every row, in order.",
        )
    if missing := sum(None in value if isinstance(value, list) else value is None for value in found):
        raise NotComparable(
            f"{answer.label} predicted no number for {count(missing, 'row')} of {rows:,}.",
            "Look for missing values in these rows, and at how the model treats them.",
        )


def _likelihoods(metric: Metric, actual: list[Any], answers: Sequence[Answer]) -> tuple[Any, list[Any]]:
    classes = list(dict.fromkeys(value for answer in answers for value in answer.classes))
    if metric.kind == "score" and any(answer.classes != classes for answer in answers):
        raise NotComparable(
            f"The two models tell different classes apart{_differing(*(answer.classes for answer in answers))}.",
            f"Compare by log_loss, accuracy or f1_macro instead of {metric.name}.",
        )
    if len(classes) > 2 and metric.name in OF_TWO_CLASSES:
        raise _needs_two(metric, len(classes))
    if len(classes) == 2 and metric.name == "top_k_accuracy_score":
        raise NotComparable(f"{metric.name} is always 1 for two classes: it looks at two.", "Compare by accuracy.")
    places = _places(actual, classes)
    came = set(places.tolist())
    if metric.name in OF_EVERY_CLASS and len(came) < len(classes):
        absent = listed([_shown(value) for place, value in enumerate(classes) if place not in came])
        raise NotComparable(
            f"{metric.name} needs rows of every class, and the rows to compare on have none of {absent}.",
            "Add some, or compare by log_loss.",
        )
    predictions = [_numbers(answer) for answer in answers]
    if metric.kind == "probability":
        for answer, found in zip(answers, predictions, strict=True):
            _refuse_no_probabilities(answer.label, found)
        pairs = zip(answers, predictions, strict=True)
        predictions = [_of_all(classes, answer.classes, found) for answer, found in pairs]
    if metric.ordered(classes) != classes:
        return 1 - places, [-found for found in predictions]
    return places, predictions


def _of_all(classes: Sequence[Any], known: Sequence[Any], found: Any) -> Any:
    """The probabilities of all classes by a model that may not know them all: it never expects the others."""
    import numpy as np

    if list(known) == list(classes):
        return found
    each = np.column_stack([1 - found, found]) if found.ndim == 1 else found
    spread = np.zeros((len(each), len(classes)))
    spread[:, [classes.index(value) for value in known]] = each
    return spread[:, 1] if len(classes) == 2 else spread


def _needs_two(metric: Metric, classes: int) -> NotComparable:
    instead = "roc_auc_ovr or roc_auc_ovo" if metric.from_probabilities else "balanced_accuracy or f1_macro"
    return NotComparable(f"{metric.name} needs two classes, and there are {classes:,}.", f"Compare by {instead}.")


def _differing(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """The classes that only one of two models knows."""
    odd = [_shown(value) for value in (*ours, *theirs) if (value in ours) != (value in theirs)]
    return f": only one knows {listed(odd)}" if odd else ", or the same ones in another order"


def _shown(value: Any) -> str:
    return shorten(clean_line(str(value)), 40)


def _places(actual: Sequence[Any], classes: Sequence[Any]) -> Any:
    """The place of each row's class, (n,); 1 is 1.0 whichever the file or the model has."""
    import numpy as np

    written = {str(value): place for place, value in enumerate(classes)}
    numbers = {float(value): place for place, value in enumerate(classes) if isinstance(value, bool | int | float)}
    found = [
        written.get(str(value), numbers.get(value) if isinstance(value, bool | int | float) else None)
        for value in actual
    ]
    if None in found:
        known = listed([_shown(value) for value in classes])
        raise NotComparable(
            f"The target holds {_shown(actual[found.index(None)])}, and the models tell {known} apart.",
            "Train on rows of each class, or leave these rows out of the hold-out.",
        )
    return np.array(found, dtype=np.intp)


def _numbers(answer: Answer) -> Any:
    import numpy as np

    if any(isinstance(value, str) for value in answer.predictions):
        raise NotComparable(
            f"{answer.label} gives words where probabilities are asked for.",
            "Where {kind} is probability, quality.predict has to write the probabilities.",
        )
    return np.array(answer.scores or answer.predictions, dtype=np.float64)


def _refuse_no_probabilities(label: str, found: Any) -> None:
    import numpy as np

    outside = ((found < 0) | (found > 1)).reshape(len(found), -1).any(axis=1)
    if outside.any():
        raise NotComparable(
            f"{label} gives no probabilities: those of row {int(outside.argmax()) + 1:,} are not between 0 and 1.",
            "Compare by accuracy or f1_macro, or let the model give probabilities.",
        )
    if found.ndim == 2:
        odd = np.abs(found.sum(axis=1) - 1) > ROUNDED * found.shape[1] + 1e-9
        if odd.any():
            row = int(odd.argmax())
            raise NotComparable(
                f"{label} gives probabilities that do not add up to 1: those of row {row + 1:,} to"
                f" {found[row].sum():.4g}.",
                "Write the probabilities of all classes, and with more digits.",
            )


def _array(answer: Answer, words: bool, metric: Metric) -> Any:
    import numpy as np

    predicted_words = any(isinstance(value, str) for value in answer.predictions)
    if metric.of_clusters:
        return np.array(list(map(str, answer.predictions)) if predicted_words else answer.predictions)
    if words and not metric.of_classes:
        raise NotComparable(f"{metric.name} compares numbers, but the target holds text.", "Compare by accuracy.")
    if predicted_words != words:
        kinds = ("text", "numbers") if predicted_words else ("numbers", "text")
        raise NotComparable(f"{answer.label} predicts {kinds[0]}, but the target holds {kinds[1]}.")
    return np.array(answer.predictions, dtype=str if words else np.float64)


def _refuse_fractions(metric: Metric, actual: Any, predictions: Sequence[Any]) -> None:
    """What judges classes would call each number with a fraction a class of its own: no two are ever the same."""
    for what, values in (("the target holds", actual), *(("a model predicts", entry) for entry in predictions)):
        if values.dtype.kind == "f" and (values != values.round()).any():
            advice = "Compare by mean_absolute_error or another metric of numbers."
            raise NotComparable(f"{metric.name} judges classes, but {what} numbers with fractions.", advice)
