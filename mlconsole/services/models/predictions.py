"""What models predict for rows: asked in children of the project's own Python, never here.

A model with a scikit-learn style `predict` is loaded by `predict_child.py`; anything else by a command of the
project's own, which writes its predictions to a file.
"""

from __future__ import annotations

import csv
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from mlconsole.errors import Cancelled, Refused
from mlconsole.services.processes import ChildResult, child_environment, run_child
from mlconsole.services.training.command import fill_words
from mlconsole.text import clean_line, count, listed, shorten

PREDICT_CHILD = Path(__file__).with_name("predict_child.py")
PREDICTION_COLUMNS = ("prediction", "predictions", "predicted", "y_pred", "probability", "score")
Kind = Literal["predict", "probability"]
Value = float | str | bool | None


class NotComparable(Refused):
    """A model can't be loaded, can't predict these rows, or predicts what can't be judged."""


class Answer(msgspec.Struct):
    """What one model predicts, a value for each row; `error` says why it could not."""

    label: str
    predictions: list[Value] = []
    classes: list[Value] = []
    error: str = ""


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask, and how.

    Attributes:
        python: the project's Python.
        root: the project's folder, where the children run.
        models: each model's label and file.
        rows: a CSV or Parquet file.
        target: the column that the models are not shown.
        command: the project's own predict command; empty where the models have `predict`.
        log_path: gets what the children print.
        cancelled: ends them when set.
    """

    python: Path
    root: Path
    models: Sequence[tuple[str, Path]]
    rows: Path
    target: str
    command: str
    log_path: Path
    cancelled: threading.Event


def ask(asking: Asking, kind: Kind) -> list[Answer]:
    """What each model predicts, in the order given: values, or the probability of the second of two classes.

    Raises:
        NotComparable: a model can't be asked, or can't answer.
        CommandUnusable: the project's predict command can't be run as it is written.
        Cancelled: it was cancelled.
    """
    asking.log_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="predictions-", dir=asking.log_path.parent) as name:
        folder = Path(name)
        return _ask_command(asking, kind, folder) if asking.command else _ask_child(asking, kind, folder)


def _run(asking: Asking, command: Sequence[str]) -> ChildResult:
    child = run_child(
        command,
        cwd=asking.root,
        log_path=asking.log_path,
        cancelled=asking.cancelled,
        # Threads that wait for each other by spinning take minutes where the processors are shared.
        environment=child_environment(asking.python, OMP_WAIT_POLICY="PASSIVE"),
    )
    if child.ended == "cancelled":
        raise Cancelled("The comparison was cancelled.")
    return child


def _ask_child(asking: Asking, kind: Kind, folder: Path) -> list[Answer]:
    output = folder / "predictions.jsonl"
    named = [text for label, path in asking.models for text in (label, str(path.absolute()))]
    rows = str(asking.rows.absolute())
    child = _run(asking, [str(asking.python), str(PREDICT_CHILD), rows, asking.target, str(output), kind, *named])
    answers = _read_answers(output)
    for answer in answers:
        if answer.error:
            raise NotComparable(
                f"{answer.label} can't predict the rows: {shorten(clean_line(answer.error), 300)}.",
                _advice(answer.error),
                tail=child.tail,
            )
    if child.exit_code or len(answers) < len(asking.models):
        raise _child_failed(child, asking.models, len(answers))
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
    if "has no predict()" in error:
        return "Name the project's own command: [quality] predict."
    return "Its last lines say more."


def _read_answers(path: Path) -> list[Answer]:
    answers: list[Answer] = []
    try:
        with path.open("rb") as file:
            answers.extend(msgspec.json.decode(line, type=Answer) for line in file if line.endswith(b"\n"))
    except (OSError, msgspec.MsgspecError):
        return answers
    return answers


def _ask_command(asking: Asking, kind: Kind, folder: Path) -> list[Answer]:
    """Run the project's predict command once a model; it sees the rows without the target."""
    shown = _without_target(asking, folder)
    answers = []
    for number, (label, path) in enumerate(asking.models):
        output = folder / f"{number}.csv"
        values = {"model": str(path.absolute()), "data": str(shown), "predictions": str(output), "kind": kind}
        child = _run(asking, fill_words(asking.command, values, asking.python, setting="quality.predict"))
        if child.exit_code:
            raise NotComparable(
                f"quality.predict failed for {label} ({child.how}).", "Its last lines say why.", tail=child.tail
            )
        if not output.is_file():
            raise NotComparable(f"quality.predict wrote no {{predictions}} for {label}.", tail=child.tail)
        answers.append(Answer(label=label, predictions=_read_predictions(output, label, asking.target)))
    return answers


def _without_target(asking: Asking, folder: Path) -> Path:
    """A copy of the rows that does not tell what is to be predicted; every other text in it stays as it is."""
    import pandas

    shown = folder / ("rows.parquet" if asking.rows.suffix.lower() in (".parquet", ".pq") else "rows.csv")
    if shown.suffix == ".parquet":
        pandas.read_parquet(asking.rows).drop(columns=[asking.target]).to_parquet(shown)
        return shown
    separator = "\t" if ".tsv" in asking.rows.name.lower() else ","
    frame = pandas.read_csv(asking.rows, sep=separator, dtype=str, keep_default_na=False)
    frame.drop(columns=[asking.target]).to_csv(shown, index=False)
    return shown


def _read_predictions(path: Path, label: str, target: str) -> list[Value]:
    """The predictions of a CSV file: its one column, or the one that is named as such; a header is known by words."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NotComparable(f"What quality.predict wrote for {label} can't be read: {error}.") from error
    if not table:
        return []
    names = [clean_line(name).strip().lower() for name in table[0]]
    known = [name for name in (*PREDICTION_COLUMNS, target.lower()) if name in names]
    has_header = bool(known) or (_number(table[0][0]) is None and any(_number(row[0]) is not None for row in table[1:]))
    if len(names) > 1 and not known:
        raise NotComparable(
            f"What quality.predict wrote for {label} has {count(len(names), 'column')}: {listed(names)}.",
            "Name the one with the predictions `prediction`.",
        )
    at = names.index(known[0]) if known else 0
    return [_value(row[at]) if at < len(row) else None for row in table[has_header:]]


def _value(text: str) -> Value:
    number = _number(text)
    if number is not None:
        return number if abs(number) != float("inf") else None
    return None if text.strip().lower() in ("", "nan", "none", "null") else text


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None
