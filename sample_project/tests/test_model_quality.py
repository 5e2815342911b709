"""May this model be released? Judged on days that no training has read.

The model is the file that MODEL_PATH names, else the newest models/model_v*.pkl.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

# As in serve.py: the latency of one thread is what a pod will have.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import Pipeline

PROJECT = Path(__file__).resolve().parents[1]
TARGET = "bikers"
RUSH_HOURS, NIGHT_HOURS = [8, 17, 18], [1, 2, 3, 4]

Record = Callable[[str, object], None]


@pytest.fixture(scope="session")
def model() -> Pipeline:
    given = os.environ.get("MODEL_PATH")
    if given:
        assert Path(given).is_file(), f"MODEL_PATH names {given}, but there is no such file"
        return joblib.load(given)
    found = {
        int(version.group(1)): path
        for path in (PROJECT / "models").glob("model_v*.pkl")
        if (version := re.fullmatch(r"model_v(\d+)\.pkl", path.name))
    }
    assert found, "there is no model to test: train one, or name a file in MODEL_PATH"
    return joblib.load(found[max(found)])


@pytest.fixture(scope="session")
def holdout() -> pd.DataFrame:
    return pd.read_csv(PROJECT / "data" / "holdout.csv")


@pytest.fixture(scope="session")
def predicted(model: Pipeline, holdout: pd.DataFrame) -> np.ndarray:
    return model.predict(holdout)


def test_mean_absolute_error_is_low(predicted: np.ndarray, holdout: pd.DataFrame, record_property: Record) -> None:
    error = mean_absolute_error(holdout[TARGET], predicted)
    record_property("mean_absolute_error", round(error, 3))
    assert error < 45


def test_explains_most_of_the_variance(predicted: np.ndarray, holdout: pd.DataFrame, record_property: Record) -> None:
    score = r2_score(holdout[TARGET], predicted)
    record_property("r2", round(score, 4))
    assert score > 0.7


def test_is_far_better_than_the_mean(predicted: np.ndarray, holdout: pd.DataFrame, record_property: Record) -> None:
    baseline = (holdout[TARGET] - holdout[TARGET].mean()).abs().mean()
    factor = baseline / mean_absolute_error(holdout[TARGET], predicted)
    record_property("times_better_than_mean", round(factor, 2))
    assert factor > 2.2


def test_is_not_far_off_on_average(predicted: np.ndarray, holdout: pd.DataFrame, record_property: Record) -> None:
    bias = predicted.mean() / holdout[TARGET].mean() - 1
    record_property("relative_bias", round(bias, 4))
    assert abs(bias) < 0.25


def test_every_prediction_is_a_number_from_zero(predicted: np.ndarray) -> None:
    assert np.isfinite(predicted).all()
    assert (predicted >= 0).all()


def test_rush_hour_is_busier_than_the_night(predicted: np.ndarray, holdout: pd.DataFrame) -> None:
    working = holdout["workingday"] == 1
    rush = predicted[working & holdout["hr"].isin(RUSH_HOURS)].mean()
    night = predicted[working & holdout["hr"].isin(NIGHT_HOURS)].mean()
    assert rush > 10 * night


def test_rain_keeps_people_at_home(model: Pipeline, holdout: pd.DataFrame) -> None:
    dry = model.predict(holdout.assign(weathersit="clear")).mean()
    wet = model.predict(holdout.assign(weathersit="light rain/snow")).mean()
    assert wet < dry


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_an_unseen_category_is_no_obstacle(model: Pipeline, holdout: pd.DataFrame) -> None:
    rows = holdout.head(24).assign(weathersit="sandstorm")
    answers = model.predict(rows)
    assert np.isfinite(answers).all()
    assert answers.max() < 3 * holdout[TARGET].max()


def test_the_order_of_rows_does_not_matter(model: Pipeline, holdout: pd.DataFrame, predicted: np.ndarray) -> None:
    assert np.allclose(model.predict(holdout[::-1])[::-1], predicted)


def test_one_row_is_predicted_fast(model: Pipeline, holdout: pd.DataFrame, record_property: Record) -> None:
    row = holdout.head(1)
    times = []
    for _ in range(15):
        started = time.perf_counter()
        model.predict(row)
        times.append(time.perf_counter() - started)
    # The fastest, because the others measure what else the machine was doing.
    record_property("latency_ms", round(1000 * min(times), 2))
    assert min(times) < 0.1
