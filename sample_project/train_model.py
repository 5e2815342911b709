"""Train the model that predicts how many bikes are rented in an hour.

    python train_model.py --data data/training.csv --output models/model_v1.pkl

The file it writes is a scikit-learn pipeline of its own: ``joblib.load(path).predict(frame)`` takes a data frame with
the raw columns and needs nothing of this project.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass, fields
from pathlib import Path

# A few thousand rows: a second thread costs more than it brings, and one gives the same model on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import joblib
import pandas as pd
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

TARGET = "bikers"
# Month and day are left out: a model that has learnt the date cannot answer for a month that it has not seen.
CATEGORIES = ["season", "weathersit"]
NUMBERS = ["hr", "holiday", "weekday", "workingday", "temp", "atemp", "hum", "windspeed"]
FEATURES = CATEGORIES + NUMBERS
# Whole days of the training data judge the epochs.
VALIDATION_EVERY, VALIDATION_DAY = 6, 3


class Unusable(Exception):
    """What the person gave cannot be trained with; the message says why."""


@dataclass(frozen=True)
class Parameters:
    """The settings of a training, as params.yaml holds them."""

    epochs: int = 20
    trees_per_epoch: int = 50
    learning_rate: float = 0.02
    max_leaf_nodes: int = 15
    min_samples_leaf: int = 20
    l2_regularization: float = 1.0
    random_state: int = 7


def read_parameters(path: Path) -> Parameters:
    """Parameters from a YAML file; those that it does not name keep their defaults."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise Unusable(f"there is no parameter file {path}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Unusable(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise Unusable(f"{path} must hold lines of the form 'name: value'")
    known = {field.name: type(field.default) for field in fields(Parameters)}
    for name, value in given.items():
        if name not in known:
            raise Unusable(f"{path} names an unknown parameter '{name}'; known are {', '.join(known)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (known[name] is int and not isinstance(value, int)):
            raise Unusable(f"{path}: '{name}' must be a number like {getattr(Parameters, name)}, not {value!r}")
        if value < (0 if name in ("random_state", "l2_regularization") else 1e-9):
            raise Unusable(f"{path}: '{name}' must be greater than zero, not {value!r}")
    return Parameters(**given)


def read_data(path: Path) -> pd.DataFrame:
    """The training rows, with every column that is needed."""
    try:
        data = pd.read_csv(path)
    except FileNotFoundError:
        raise Unusable(f"there is no data file {path}") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} cannot be read as CSV: {' '.join(str(error).split())}") from None
    missing = [name for name in (*FEATURES, "day", TARGET) if name not in data.columns]
    if missing:
        raise Unusable(f"{path} has no column {', '.join(missing)}")
    if data.empty:
        raise Unusable(f"{path} has no rows")
    for name in (*NUMBERS, "day", TARGET):
        if not pd.api.types.is_numeric_dtype(data[name]):
            raise Unusable(f"{path}: the column {name} holds something that is not a number")
    if data[TARGET].isna().any() or (data[TARGET] < 0).any():
        raise Unusable(f"{path}: the column {TARGET} must be zero or more in every row")
    return data


def build(parameters: Parameters) -> Pipeline:
    """The untrained pipeline. Its Poisson loss has a log link, so that no prediction is negative."""
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
            ("numbers", "passthrough", NUMBERS),
        ]
    )
    trees = HistGradientBoostingRegressor(
        loss="poisson",
        learning_rate=parameters.learning_rate,
        max_leaf_nodes=parameters.max_leaf_nodes,
        min_samples_leaf=parameters.min_samples_leaf,
        l2_regularization=parameters.l2_regularization,
        random_state=parameters.random_state,
        early_stopping=False,
        warm_start=True,
    )
    return Pipeline([("columns", columns), ("trees", trees)])


def fit(model: Pipeline, data: pd.DataFrame, parameters: Parameters) -> tuple[float, float]:
    """Fit in epochs, each of which adds trees; returns mean absolute error and R² of the validation days."""
    judged = data["day"] % VALIDATION_EVERY == VALIDATION_DAY
    train, valid = data[~judged], data[judged]
    if len(train) < 2 or len(valid) < 2:
        raise Unusable(f"{len(data)} rows are too few to train with: there must be several days")
    print(f"{len(train)} rows to train, {len(valid)} to validate", flush=True)
    for epoch in range(1, parameters.epochs + 1):
        model.set_params(trees__max_iter=epoch * parameters.trees_per_epoch)
        model.fit(train[FEATURES], train[TARGET])
        predicted = model.predict(valid)
        train_mae = mean_absolute_error(train[TARGET], model.predict(train))
        valid_mae = mean_absolute_error(valid[TARGET], predicted)
        print(f"epoch {epoch}/{parameters.epochs} train_mae={train_mae:.3f} valid_mae={valid_mae:.3f}", flush=True)
    return valid_mae, r2_score(valid[TARGET], predicted)


def make_folder(path: Path) -> None:
    """Make the folder that a file is to be written to, before the work rather than after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {error.strerror}") from None


def save(model: Pipeline, path: Path) -> None:
    """Write the model whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {error.strerror}") from None
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            joblib.dump(model, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the model that predicts bike rentals per hour.")
    parser.add_argument("--data", type=Path, required=True, help="a CSV file of past hours")
    parser.add_argument("--output", type=Path, required=True, help="the model file to write")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        parameters = read_parameters(arguments.params)
        data = read_data(arguments.data)
        make_folder(arguments.output)
        print(f"data: {arguments.data}, {len(data)} rows", flush=True)
        model = build(parameters)
        with warnings.catch_warnings():
            # A category that only the validation days have is no fault.
            warnings.filterwarnings("ignore", "Found unknown categories")
            error, score = fit(model, data, parameters)
        save(model, arguments.output)
    except Unusable as problem:
        print(f"train_model.py: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_model.py: interrupted, no model was written", file=sys.stderr)
        return 130
    print(f"mean_absolute_error: {error:.3f}")
    print(f"r2: {score:.4f}")
    print(f"model: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
