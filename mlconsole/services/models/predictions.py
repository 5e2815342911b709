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

import msgspec

from mlconsole.errors import Cancelled, Refused
from mlconsole.services.models.metrics import Kind
from mlconsole.services.processes import ChildResult, child_environment, run_child
from mlconsole.services.training.command import fill_words
from mlconsole.text import clean_line, count, listed, shorten

PREDICT_CHILD = Path(__file__).with_name("predict_child.py")
PREDICTION_COLUMNS = ("prediction", "predictions", "predicted", "y_pred", "probability", "score")
PROBABILITY_COLUMNS = ("probability", "score", *PREDICTION_COLUMNS[:-2])
Value = float | str | bool | None


class NotComparable(Refused):
    """A model can't be loaded, can't predict these rows, or predicts what can't be judged."""


class Answer(msgspec.Struct):
    """What one model predicts, a value for each row; `error` says why it could not.

    Where probabilities or scores of more than two classes are asked, they are in `scores`, a row of them for each row,
    in the order of `classes`.
    """

    label: str
    predictions: list[Value] = []
    scores: list[list[float | None]] = []
    classes: list[Value] = []
    error: str = ""


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask, and how.

    Attributes:
        python: the project's Python.
        root: the project's folder, where the children run.
        models: each model's label and file.
        rows: a Parquet file, or one of plain UTF-8 with commas.
        target: the column that the models are not shown.
        command: the project's own predict command; empty where the models have `predict`.
        classes: the distinct values of the target, in order.
        log_path: gets what the children print.
        cancelled: ends them when set.
    """

    python: Path
    root: Path
    models: Sequence[tuple[str, Path]]
    rows: Path
    target: str
    command: str
    classes: Sequence[Value]
    log_path: Path
    cancelled: threading.Event


def ask(asking: Asking, kind: Kind) -> list[Answer]:
    """What each model predicts, in the order given: values, or how likely the second of two classes is or each of more.

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
    if "which this metric needs" in error:
        return "Compare by a metric of what is predicted, such as accuracy or f1_macro, or by roc_auc of two classes."
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
    asked_for = "predict" if kind == "predict" else "probability"
    for number, (label, path) in enumerate(asking.models):
        output = folder / f"{number}.csv"
        values = {"model": str(path.absolute()), "data": str(shown), "predictions": str(output), "kind": asked_for}
        child = _run(asking, fill_words(asking.command, values, asking.python, setting="quality.predict"))
        if child.exit_code:
            raise NotComparable(
                f"quality.predict failed for {label} ({child.how}).", "Its last lines say why.", tail=child.tail
            )
        if not output.is_file():
            raise NotComparable(f"quality.predict wrote no {{predictions}} for {label}.", tail=child.tail)
        answers.append(_read_output(output, label, asking, kind))
    return answers


def _without_target(asking: Asking, folder: Path) -> Path:
    """A copy of the rows that does not tell what is to be predicted; every other text in it stays as it is."""
    import pandas

    shown = folder / ("rows.parquet" if asking.rows.suffix.lower() in (".parquet", ".pq") else "rows.csv")
    if shown.suffix == ".parquet":
        pandas.read_parquet(asking.rows).drop(columns=[asking.target]).to_parquet(shown)
        return shown
    frame = pandas.read_csv(asking.rows, dtype=str, keep_default_na=False)
    frame.drop(columns=[asking.target]).to_csv(shown, index=False)
    return shown


def _read_output(path: Path, label: str, asking: Asking, kind: Kind) -> Answer:
    """What a command wrote: a column of predictions, or where probabilities are asked perhaps one for each class."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NotComparable(f"What quality.predict wrote for {label} can't be read: {error}.") from error
    if not table:
        return Answer(label)
    if kind != "predict":
        places = _class_columns([clean_line(name).strip() for name in table[0]], asking.classes)
        if len(places) == 2 and len(asking.classes) == 2:
            return Answer(label, _column(table[1:], places[1]), classes=list(asking.classes))
        if len(asking.classes) > 2:
            if len(places) < len(asking.classes):
                raise _classes_missing(label, table[0], asking.classes)
            each = [[_number_or_none(row, place) for place in places] for row in table[1:]]
            return Answer(label, scores=each, classes=list(asking.classes))
    names = [clean_line(name).strip().lower() for name in table[0]]
    usual = PREDICTION_COLUMNS if kind == "predict" else PROBABILITY_COLUMNS
    known = [name for name in (*usual, asking.target.lower()) if name in names]
    has_header = bool(known) or (_number(table[0][0]) is None and any(_number(row[0]) is not None for row in table[1:]))
    if len(names) > 1 and not known:
        raise NotComparable(
            f"What quality.predict wrote for {label} has {count(len(names), 'column')}: {listed(names)}.",
            f"Name the one with the predictions `{usual[0]}`.",
        )
    predictions = _column(table[has_header:], names.index(known[0]) if known else 0)
    return Answer(label, predictions, classes=list(asking.classes) if kind != "predict" else [])


def _class_columns(names: Sequence[str], classes: Sequence[Value]) -> list[int]:
    """Where each class has its column, `probability_CLASS` or just its name; nothing where one of them has none."""
    found = []
    for value in classes:
        place = next((at for at, name in enumerate(names) if _means(name, value)), None)
        if place is None:
            return []
        found.append(place)
    return found


def _means(name: str, value: Value) -> bool:
    name = name.removeprefix("probability_")
    return name == clean_line(str(value)).strip() or (not isinstance(value, str) and _number(name) == value)


def _classes_missing(label: str, header: Sequence[str], classes: Sequence[Value]) -> NotComparable:
    known, there = ([shorten(clean_line(str(name)), 40) for name in names] for names in (classes, header))
    return NotComparable(
        f"What quality.predict wrote for {label} has no column for each of {listed(known)}: it has {listed(there)}.",
        f"Write the probability of each class into a column of its own: `probability_{known[0]}` and so on.",
    )


def _column(rows: Sequence[Sequence[str]], place: int) -> list[Value]:
    return [_value(row[place]) if place < len(row) else None for row in rows]


def _number_or_none(row: Sequence[str], place: int) -> float | None:
    number = _number(row[place]) if place < len(row) else None
    return number if number is not None and abs(number) != float("inf") else None


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
