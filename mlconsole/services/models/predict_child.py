"""Let models predict rows. A program of its own, run by the project's Python, with only what the project has.

    python predict_child.py ROWS TARGET OUTPUT (predict|probability|score) LABEL MODEL [LABEL MODEL ...]

Runs in the project's folder. OUTPUT gets one JSON line per model: `{"label", "predictions", "scores", "classes"}`,
where a prediction is a number, a text or null (none, or not a number), or `{"label", "error"}`, the error in one line.
Of two classes, `predictions` are the probabilities or scores of the second; of more, `scores` has a list for each row.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any


def load(path: str) -> Any:
    """Load a model with skops where it is such a file, else with joblib, or with pickle where there is no joblib."""
    if Path(path).is_dir():
        raise TypeError("it is a folder, which has no predict()")
    if path.endswith(".skops"):
        from skops import io

        # what it names was judged before: the scan told it, and the project's settings say what is trusted
        return io.load(path, trusted=io.get_untrusted_types(file=path))
    try:
        import joblib
    except ImportError:
        with open(path, "rb") as file:  # noqa: PTH123
            model = pickle.load(file)
    else:
        model = joblib.load(path)
    if isinstance(model, dict):
        inside = [value for value in model.values() if hasattr(value, "predict")]
        if len(inside) == 1:
            return inside[0]
    if not hasattr(model, "predict"):
        raise TypeError(f"it holds a {type(model).__name__}, which has no predict()")
    return model


def read_rows(path: str, target: str) -> Any:
    """The rows to predict, without the target: of Parquet, or of plain UTF-8 with commas."""
    import pandas

    read = pandas.read_parquet if path.lower().endswith((".parquet", ".pq")) else pandas.read_csv
    frame = read(path)
    return frame.drop(columns=[target], errors="ignore")


def features_of(model: Any, frame: Any) -> Any:
    """The columns that a model was fitted on, in that order, where it tells them; else all."""
    names = getattr(model, "feature_names_in_", None)
    if names is not None and all(name in frame.columns for name in names):
        return frame[list(names)]
    return frame


def flat(values: Any) -> list[Any]:
    """Predictions as a list of plain values, one a row."""
    values = values.to_numpy() if hasattr(values, "to_numpy") else values
    shape: tuple[int, ...] = getattr(values, "shape", (len(values),))
    if len(shape) == 2 and shape[1] == 1:
        values = values[:, 0]
    elif len(shape) > 1:
        raise ValueError(f"it predicts {shape[1]} values for each row, not one")
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [plain(value) for value in listed]


def plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None


def judged(model: Any, frame: Any, kind: str) -> dict[str, Any]:
    """How likely each class is: its probability, or where `score` is asked the decision function, if there is one."""
    import numpy as np

    methods = [name for name in ("decision_function", "predict_proba") if hasattr(model, name)]
    if kind == "probability" or not methods:
        methods = ["predict_proba"]
    for name in (methods[0], "classes_"):
        if not hasattr(model, name):
            raise TypeError(f"its {type(model).__name__} has no {name}, which this metric needs")
    classes = flat(model.classes_)
    found = np.asarray(getattr(model, methods[0])(frame), dtype=float)
    if len(classes) < 2:
        raise ValueError("it knows one class only")
    if found.ndim == 2 and len(classes) == 2 and found.shape[1] in (1, 2):
        found = found[:, -1]
    if found.ndim == 1 and len(classes) == 2:
        return {"predictions": flat(found), "classes": classes}
    if found.ndim != 2 or found.shape[1] != len(classes):
        raise ValueError(f"its {methods[0]} gives an array {found.shape} for {len(classes)} classes")
    scores = found.tolist() if np.isfinite(found).all() else [[plain(value) for value in row] for row in found]
    return {"scores": scores, "classes": classes}


def answer(label: str, path: str, frame: Any, kind: str) -> dict[str, Any]:
    """One model's predictions; whatever goes wrong in it becomes an error in words."""
    try:
        model = load(path)
        rows = features_of(model, frame)
        if kind != "predict":
            return {"label": label, **judged(model, rows, kind)}
        return {"label": label, "predictions": flat(model.predict(rows))}
    except Exception as error:  # noqa: BLE001 (whatever the project's code raises)
        traceback.print_exc()
        return {"label": label, "error": f"{type(error).__name__}: {error}"}


def main(rows: str, target: str, output: str, kind: str, models: list[str]) -> int:
    """Write every model's answer; see the module."""
    # The folder of this file must not hide the project's own modules.
    sys.path[0] = os.getcwd()  # noqa: PTH109
    sys.path.insert(1, str(Path.cwd() / "src"))
    frame = read_rows(rows, target)
    with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123
        for label, path in zip(models[::2], models[1::2]):  # noqa: B905 (the project's Python may be older)
            file.write(json.dumps(answer(label, path, frame, kind)) + "\n")
            file.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]))
