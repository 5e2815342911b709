"""Is the candidate better than the champion? Both predict the same rows, and chance is told from difference."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mlconsole.errors import Cancelled, Problem, WrongUse
from mlconsole.evidence.data import Dialect
from mlconsole.evidence.testing import Comparison
from mlconsole.services.models.aligned import aligned
from mlconsole.services.models.metrics import Kind, Metric, find_metric, full_name, metric_direction
from mlconsole.services.models.predictions import Answer, Asking, NotComparable, Value, ask
from mlconsole.services.models.segments import Segment, segments_of
from mlconsole.text import count, listed, shorten

if TYPE_CHECKING:
    from mlconsole.services.models.bootstrap import Difference

__all__ = ["FEWEST_ROWS", "NotComparable", "RowsUnusable", "compare", "metric_direction", "verdict"]

FEWEST_ROWS = 200
"""With fewer rows nothing is said of the models: chance is too large."""

CONFIDENCE = 0.95
_LARGEST_RELATIVE = 1e6


class RowsUnusable(WrongUse):
    """The rows to compare on can't be read, or lack a column that is needed."""


class _Judged(msgspec.Struct, frozen=True):
    """One metric with what happened and what both models predicted, as arrays (n,) of one kind.

    Where it judges how likely classes are, what happened is the place of a class, and predictions may be (n, c).
    """

    metric: Metric
    actual: Any
    candidate: Any
    champion: Any

    def in_order(self, rank: Any) -> _Judged:
        """The same rows in another order."""
        return _Judged(self.metric, self.actual[rank], self.candidate[rank], self.champion[rank])


def compare(
    *,
    python: Path,
    root: Path,
    candidate: Path,
    champion: Path,
    candidate_label: str,
    champion_label: str,
    rows: Path | str,
    target: str,
    metric: str,
    tolerance: float,
    log_path: Path,
    cancelled: threading.Event,
    metrics: Sequence[str] = (),
    segments: Sequence[str] = (),
    command: str = "",
    order: Sequence[str] = (),
    dialect: Dialect | None = None,
) -> tuple[Comparison, ...]:
    """Compare two models on rows that neither has seen.

    Args:
        python: the project's Python; both models are loaded in one child of it, never here.
        root: the project's folder, where that child runs.
        candidate: a model file with joblib or pickle in it, whose object has `predict`; any file, where a command is
            given.
        champion: another.
        candidate_label: what to call the candidate, such as `ml-model@v2`.
        champion_label: what to call the champion.
        rows: a CSV or Parquet file, or a folder or pattern of such, as `data.path` names them.
        target: the column that is predicted.
        metric: a name of `sklearn.metrics`, such as `mean_absolute_error`.
        tolerance: how much worse the candidate may be, as a part of the champion's value.
        log_path: gets what the child prints.
        cancelled: ends it when set.
        metrics: more metrics.
        segments: columns of the rows; the models are compared for each of their values as well.
        command: the project's own predict command, with `{model}`, `{data}` and `{predictions}`; empty: `predict`.
        order: columns that bring rows next to each other that may go together, such as a date or a customer; empty:
            they are as they stand in the file.
        dialect: how text tables are written, where the settings say so.

    Returns:
        By `metric` on all rows first; then by the others, then by each on the rows of each segment. The bounds of
        the first hold with 95% confidence, and those of all others hold together with 95% (Bonferroni).

    Raises:
        MetricUnknown: there is no such metric.
        RowsUnusable: the rows can't be read, or lack the target or a segment's column.
        NotComparable: a model can't be loaded, or its predictions can't be judged.
        Cancelled: it was cancelled.
    """
    measures = [find_metric(name) for name in dict.fromkeys(map(full_name, (metric, *metrics)))]
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rows-", dir=log_path.parent) as folder:
        plain = _plain_rows(root, str(rows), dialect, Path(folder), cancelled)
        columns = _read_columns(plain, str(rows), (target, *segments, *order))
        # Two models of one name (a version against itself) still are two.
        labels = (
            candidate_label,
            champion_label if champion_label != candidate_label else f"{champion_label} (champion)",
        )
        asking = Asking(
            python=python,
            root=root,
            models=list(zip(labels, (candidate, champion), strict=True)),
            rows=plain,
            target=target,
            command=command,
            classes=_distinct(columns[target]),
            log_path=log_path,
            cancelled=cancelled,
        )
        judged = _judge_all(asking, measures, columns[target].to_numpy())
    if order:
        rank = _rank(columns, list(dict.fromkeys(order)))
        columns, judged = columns.iloc[rank], [entry.in_order(rank) for entry in judged]
    parts = segments_of(columns, segments)
    compared = _Compared(str(rows), (candidate_label, champion_label), tolerance, cancelled)
    return tuple(compared.all(judged, parts))


class _Compared:
    """Turns predictions into comparisons of two models."""

    def __init__(self, rows: str, labels: tuple[str, str], tolerance: float, cancelled: threading.Event) -> None:
        self._rows, self._labels, self._tolerance, self._cancelled = rows, labels, tolerance, cancelled

    def all(self, judged: Sequence[_Judged], parts: Sequence[Segment]) -> Iterator[Comparison]:
        """The main comparison, then all others with bounds that hold together."""
        yield self._whole(judged[0], CONFIDENCE)
        others: list[tuple[_Judged, Segment | None]] = [(entry, None) for entry in judged[1:]]
        others += [(entry, part) for part in parts for entry in judged if _is_defined(entry, part)]
        told = sum(1 for entry, part in others if _rows_of(entry, part) >= FEWEST_ROWS)
        confidence = 1 - (1 - CONFIDENCE) / max(told, 1)
        for entry, part in others:
            if part is None:
                yield self._whole(entry, confidence)
            elif (found := self._one(entry, part, confidence)) is not None:
                yield found

    def _whole(self, judged: _Judged, confidence: float) -> Comparison:
        found = self._one(judged, None, confidence)
        if found is None:
            advice = "Compare by another metric, or on more rows."
            raise NotComparable(f"{judged.metric.name} is not defined on {self._rows}.", advice)
        return found

    def _one(self, judged: _Judged, part: Segment | None, confidence: float) -> Comparison | None:
        """Compare by one metric on all rows or a segment's; None where the metric is not defined there."""
        from mlconsole.services.models.bootstrap import paired

        metric = judged.metric
        actual, ours, theirs = (
            values if part is None else values[part.mask]
            for values in (judged.actual, judged.candidate, judged.champion)
        )
        found = paired(metric, actual, ours, theirs, self._cancelled, confidence)
        if not all(map(math.isfinite, (found.candidate, found.champion, found.low, found.high))):
            return None
        relative = _relative(metric, found)
        return Comparison(
            metric=metric.name,
            lower_is_better=metric.lower_is_better,
            rows=len(actual),
            candidate=self._labels[0],
            champion=self._labels[1],
            candidate_value=found.candidate,
            champion_value=found.champion,
            difference=found.difference,
            low=found.low,
            high=found.high,
            relative=relative,
            tolerance=self._tolerance,
            verdict=verdict(metric.lower_is_better, len(actual), found, relative, self._tolerance),
            segment=part.name if part is not None else "",
            confidence=confidence,
            widened=found.widened,
        )


def _rows_of(judged: _Judged, part: Segment | None) -> int:
    return len(judged.actual) if part is None else part.rows


def _is_defined(judged: _Judged, part: Segment) -> bool:
    """Whether a metric means the same in a segment as elsewhere: those of classes do where every class is there."""
    if judged.metric.of_classes or judged.metric.from_probabilities:
        return set(judged.actual[part.mask].tolist()) == set(judged.actual.tolist())
    return part.rows > 0


def verdict(
    lower_is_better: bool, rows: int, found: Difference, relative: float, tolerance: float
) -> Literal["better", "equal", "worse", "undecided"]:
    """Judge a difference between the bounds that chance leaves.

    Worse is a candidate whose loss is beyond the tolerance for certain, better one that gains for certain, and equal
    one whose loss stays within the tolerance for certain. Undecided is what can't be told: where the bounds lie on both
    sides of the tolerance, or there are fewer than `FEWEST_ROWS` rows. (A test for non-inferiority: where a loss had
    only to differ from none, and be beyond the tolerance as measured, one in ten retrainings with another seed would
    be called worse.)
    """
    loss_low, loss_high = (found.low, found.high) if lower_is_better else (-found.high, -found.low)
    tolerated = tolerance * abs(found.champion)
    if rows < FEWEST_ROWS:
        return "undecided"
    if loss_low > tolerated and relative > 0:
        return "worse"
    if loss_high < 0:
        return "better"
    return "undecided" if loss_high > tolerated else "equal"


def _relative(metric: Metric, found: Difference) -> float:
    """The part by which the candidate is worse; bounded, since a champion without error has no part."""
    worse = found.difference if metric.lower_is_better else -found.difference
    if worse == 0:
        return 0.0
    part = worse / abs(found.champion) if found.champion else math.copysign(math.inf, worse)
    return max(min(part, _LARGEST_RELATIVE), -_LARGEST_RELATIVE)


def _judge_all(asking: Asking, measures: Sequence[Metric], actual: Any) -> list[_Judged]:
    """What both models predict, for each metric; each kind of prediction is asked for once."""
    answers: dict[Kind, list[Answer]] = {}
    judged = []
    for measure in measures:
        kind: Kind = "probability" if asking.command and measure.kind == "score" else measure.kind
        if kind not in answers:
            if answers and asking.command and "{kind}" not in asking.command:
                raise RowsUnusable(
                    f"quality.predict writes one thing, but {measure.name} needs another than {measures[0].name}.",
                    "Put {kind} into it: it becomes predict or probability. Or name metrics of one kind.",
                )
            answers[kind] = ask(asking, kind)
        values, predictions = aligned(measure, actual, answers[kind])
        judged.append(_Judged(measure, values, *predictions))
    return judged


def _distinct(target: Any) -> list[Value]:
    """The values of the target in order, numbers before texts."""
    return sorted(target.unique().tolist(), key=lambda value: (isinstance(value, str), value))


def _plain_rows(root: Path, rows: str, dialect: Dialect | None, folder: Path, cancelled: threading.Event) -> Path:
    """The rows as one file that the project's Python reads by itself; read as the training data is."""
    from mlconsole.services.datasets.plain import plain_table, unhashed

    try:
        return plain_table(root, unhashed(root, rows, dialect), folder, cancelled)
    except Cancelled:
        raise
    except Problem as problem:
        advice = problem.next_step
        if not advice or "`path`" in advice:
            advice = "Name the file with them: [quality] holdout."
        raise RowsUnusable(f"The rows to compare on can't be read: {problem.sentence}", advice) from problem


def _read_columns(rows: Path, shown: str, names: Sequence[str]) -> Any:
    """The named columns as a data frame; the first is the one that is predicted, and has a value in every row."""
    import pandas
    import pyarrow

    wanted = list(dict.fromkeys(names))
    try:
        if rows.suffix.lower() in (".parquet", ".pq"):
            import pyarrow.parquet

            known = pyarrow.parquet.read_schema(rows).names
            frame = pandas.read_parquet(rows, columns=[name for name in wanted if name in known])
        else:
            known = list(pandas.read_csv(rows, nrows=0).columns)
            frame = pandas.read_csv(rows, usecols=[name for name in wanted if name in known], low_memory=False)
    except UnicodeDecodeError as error:
        sentence = f"The rows to compare on can't be read from {shown}: their text is not UTF-8."
        raise RowsUnusable(sentence, "Say how it is encoded: `encoding` under `[data]`.") from error
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        why = (getattr(error, "strerror", None) or " ".join(str(error).split())).rstrip(".")
        raise RowsUnusable(
            f"The rows to compare on can't be read from {shown}: {why}.", "Give a CSV or Parquet file."
        ) from error
    target = wanted[0]
    for name in wanted:
        if name not in known:
            why = "so predictions can't be judged" if name == target else "which the settings name under [quality]"
            raise RowsUnusable(
                f"{shown} has no column {name}, {why}.", f"Its columns are {shorten(', '.join(map(str, known)), 200)}."
            )
    if not len(frame):
        raise RowsUnusable(f"{shown} has no rows to compare on.")
    if missing := int(frame[target].isna().sum()):
        first = int(frame[target].isna().to_numpy().argmax()) + 1
        raise RowsUnusable(
            f"{count(missing, 'row')} of {shown} have no value in {target}, the first is row {first}.",
            "Leave them out of the file.",
        )
    return frame


def _rank(columns: Any, order: list[str]) -> Any:
    """The places of the rows, (n,), in the order in which they go together."""
    try:
        return columns.reset_index(drop=True).sort_values(order, kind="stable").index.to_numpy()
    except TypeError as error:
        sentence = f"The rows to compare on can't be brought in order by {listed(order)}: it holds what has no order."
        raise RowsUnusable(sentence, "Name a column of dates, numbers or texts alone: [quality] order.") from error
