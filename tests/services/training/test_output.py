"""What training prints, as metrics and progress."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.evidence.training import MetricPoint, TrainingProgress
from mlconsole.services.training.output import OutputReader


def metrics(line: str) -> list[tuple[str, float, int | None]]:
    return [(told.name, told.value, told.step) for told in OutputReader().feed(line) if isinstance(told, MetricPoint)]


def progress(line: str) -> tuple[float, str] | None:
    told = [told for told in OutputReader().feed(line) if isinstance(told, TrainingProgress)]
    assert len(told) <= 1
    return (round(told[0].fraction, 4), told[0].message) if told else None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("accuracy=0.91", [("accuracy", 0.91, None)]),
        ("accuracy = 0.91", [("accuracy", 0.91, None)]),
        ("Accuracy: 0.91", [("Accuracy", 0.91, None)]),
        ("Accuracy: 91.2%", [("Accuracy", 91.2, None)]),
        ("Accuracy: 0.91.", [("Accuracy", 0.91, None)]),
        ("Accuracy: 0.91 on the test set", [("Accuracy", 0.91, None)]),
        ("Final test accuracy: 0.91 ± 0.02", [("Final test accuracy", 0.91, None)]),
        ("Mean Absolute Error: 34.512", [("Mean Absolute Error", 34.512, None)]),
        ("MAE: 1,234.5", [("MAE", 1234.5, None)]),
        ("loss=-1.5e-3", [("loss", -0.0015, None)]),
        ("R² = .9", [("R²", 0.9, None)]),
        ("R2 (test) = 0.9", [("R2 (test)", 0.9, None)]),
        ("准确率：0.91", [("准确率", 0.91, None)]),
        ("Précision : 0.8", [("Précision", 0.8, None)]),
        ("val/loss=0.12, val/f1=0.8", [("val/loss", 0.12, None), ("val/f1", 0.8, None)]),
        ("2024-01-02 10:00:00,123 INFO train: Accuracy: 0.91", [("Accuracy", 0.91, None)]),
        ("INFO:root:accuracy=0.9", [("accuracy", 0.9, None)]),
        ("[INFO] 10:21:33 loss=0.5", [("loss", 0.5, None)]),
        ("{'mae': np.float64(3.2), 'r2': 0.5}", [("mae", 3.2, None), ("r2", 0.5, None)]),
        ("score=0.9 total time= 0.1s", [("score", 0.9, None)]),
        ("data/training.csv: rmse=3.5", [("rmse", 3.5, None)]),
    ],
)
def test_a_metric_is_read_as_it_was_printed(line: str, expected: list[tuple[str, float, int | None]]) -> None:
    assert metrics(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch 3/10 loss=0.5 acc=0.9", [("loss", 0.5, 3), ("acc", 0.9, 3)]),
        ("Epoch [3/10], Loss: 0.52, Accuracy: 91.2%", [("Loss", 0.52, 3), ("Accuracy", 91.2, 3)]),
        ("epoch: 3, loss: 0.5", [("loss", 0.5, 3)]),
        ("epoch=0 loss=0.5", [("loss", 0.5, 0)]),
        ("step=120 train_loss: 0.4 val_loss: 0.6", [("train_loss", 0.4, 120), ("val_loss", 0.6, 120)]),
        ("epoch 2 step 120 loss=0.4", [("loss", 0.4, 120)]),
        ("epoch 2/3 step 12/100 loss=0.4", [("loss", 0.4, 2)]),
        ("[12/100] rmse=3.4", [("rmse", 3.4, 12)]),
        ("iter 7: objective = 12.5", [("objective", 12.5, 7)]),
        ("[7]\ttrain-rmse:0.51234\tvalid-rmse:0.6123", [("train-rmse", 0.51234, 7), ("valid-rmse", 0.6123, 7)]),
        ("[10]\tvalid_0's l2: 0.24", [("valid_0's l2", 0.24, 10)]),
        ("4:\tlearn: 0.6931\ttotal: 49ms\tremaining: 4.9s", [("learn", 0.6931, 4)]),
        ("{'loss': 0.52, 'epoch': 1.0}", [("loss", 0.52, 1)]),
        ('{"loss": 0.52, "step": 5, "ok": true, "by": {"r2": 0.9}}', [("loss", 0.52, 5), ("by.r2", 0.9, 5)]),
        ('{"epoch": 2, "loss": null, "level": "info", "mae": 3}', [("mae", 3.0, 2)]),
        ("Epoch 2: 100%|███| 50/50 [00:01<00:00, loss=0.1, v_num=3]", [("loss", 0.1, 2)]),
    ],
)
def test_the_step_is_that_of_its_line(line: str, expected: list[tuple[str, float, int | None]]) -> None:
    assert metrics(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "8645 rows to train, 100 to validate",
        "rows: 5000",
        "Training on 5 files: 100 rows",
        "loaded: 5 files",
        "Warning: 5 columns were dropped",
        "scikit-learn: 1.5",
        "Python version: 3.11",
        "torch=2.1.0",
        "Listening on localhost:8080",
        "server: 10.0.0.1:8080",
        "http://host:8080/a?lr=1&b=2",
        "s3://bucket/key=5",
        "elapsed: 12.3s",
        "time=3.2 s",
        "memory: 512 MB",
        "started: 2024-01-02",
        "started: 10:30",
        "at 2024-01-02T10:00:00+01:00 done",
        "train_model.py:45: UserWarning: no feature names",
        "RandomForestRegressor(max_depth=5, n_estimators=100)",
        "Namespace(epochs=10, lr=0.1)",
        "--epochs=10 --lr=0.1",
        "/data/year=2024/month=5/part.csv",
        "model: models/model_v1.pkl",
        "loss=nan",
        "loss=inf",
        "loss=1e999",
        "shape: (3, 4)",
        "seed: 42",
        "batch_size=32",
        "pid=4242",
        "error 0,5",
        "wert: 0,5",
        '{"loss": 1e999}',
        '["loss", 1]',
        "80/20 split",
        "01/02/2024",
    ],
)
def test_what_is_no_metric_is_left_out(line: str) -> None:
    assert metrics(line) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch 3/10", (0.3, "epoch 3/10")),
        ("epoch 3/10 loss=0.5", (0.3, "epoch 3/10")),
        ("Epoch [3/10], Loss: 0.52", (0.3, "Epoch [3/10]")),
        ("Epoch 3 of 10", (0.3, "Epoch 3 of 10")),
        ("[12/100] rmse=3.4", (0.12, "12/100")),
        ("12/100 files read", (0.12, "12/100")),
        ("step 120/1000", (0.12, "step 120/1000")),
        (" 45%|████▌     | 45/100 [00:12<00:15,  3.6it/s, loss=0.3]", (0.45, "45%")),
        ("train:  50%|█████     | 1.5k/3.0k [00:01<00:01]", (0.5, "train 1500/3000")),
        ("Progress: 40%", (0.4, "40%")),
        ("building tree 3 of 100", (0.03, "tree 3 of 100")),
        ("[Parallel(n_jobs=1)]: Done  49 out of 100 | elapsed: 0.1s", (0.49, "Done 49 out of 100")),
        ("epoch 2/4 step 50/100 loss=0.4", (0.375, "epoch 2/4, step 50/100")),
        ('{"epoch": 3, "epochs": 10, "loss": 0.5}', (0.3, "epoch 3/10")),
        ("80/20 split", None),
        ("2024/01/02 done", None),
        ("01/02/2024", None),
        ("path/3/10", None),
        ("epoch 11/10", None),
        ("epoch 0/0", None),
        ("accuracy 91%", None),
        ("epoch 3", None),
    ],
)
def test_progress_is_a_counter_with_an_end(line: str, expected: tuple[float, str] | None) -> None:
    assert progress(line) == expected


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (" 45%|████▌     | 45/100 [00:12<00:15,  3.6it/s]", 15),
        (" 1%|▏     | 1/100 [00:12<1:02:03,  3.6it/s]", 3723),
        ("step 5/10 - ETA: 0:01:23", 83),
        ("Done 49 out of 100 | elapsed: 0.1s remaining: 4.5s", 4.5),
        ("step 5/10 eta 3 min", 180),
    ],
)
def test_the_time_left_is_taken_from_its_words(line: str, seconds: float) -> None:
    told = OutputReader().feed(line)[-1]
    assert isinstance(told, TrainingProgress)
    assert told.seconds_left == seconds


def test_the_time_left_is_counted_where_it_is_not_told() -> None:
    now = [100.0]
    reader = OutputReader(clock=lambda: now[0])
    left = []
    for epoch in range(1, 5):
        now[0] += 6
        told = reader.feed(f"epoch {epoch}/4 loss=1")[-1]
        assert isinstance(told, TrainingProgress)
        left.append(told.seconds_left)
    assert left == pytest.approx([18, 12, 6, 0])


def test_bars_within_an_epoch_are_a_part_of_it_and_its_metrics_have_its_step() -> None:
    reader = OutputReader()
    reader.feed("Epoch 1/2")
    parts = []
    for line in ("50/100 - loss: 0.9", "100/100 - loss: 0.8", "Epoch 2/2", "50/100 - loss: 0.7", "100/100 - loss: 0.6"):
        parts += [round(told.fraction, 3) for told in reader.feed(line) if isinstance(told, TrainingProgress)]
    assert parts == [0.25, 0.5, 0.5, 0.75, 1.0]


def test_a_metric_below_a_heading_has_its_step() -> None:
    reader = OutputReader()
    reader.feed("-- Epoch 3")
    assert reader.feed("Avg. loss: 0.3") == (MetricPoint(name="Avg. loss", value=0.3, step=3),)


WORDS = st.sampled_from(
    ["epoch", " ", "3/10", "=", ":", "0.5", "loss", "\t", "[", "]", "{", "}", "'", '"', "%|", "|", "9" * 40, "eta", ","]
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map("".join)))
def test_no_text_makes_it_fail(line: str) -> None:
    for told in OutputReader().feed(line):
        if isinstance(told, TrainingProgress):
            assert 0 <= told.fraction <= 1
        else:
            assert told.name
            assert told.value == told.value


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3),
        ),
        max_size=5,
    )
)
def test_no_record_makes_it_fail(record: dict[str, object]) -> None:
    for told in OutputReader().feed(json.dumps(record)):
        assert isinstance(told, MetricPoint | TrainingProgress)


LONG = (
    "A(",
    "A(=",
    "1/2 ",
    "a=1 ",
    "epoch 1/2 ",
    "[",
    "a: ",
    " ",
    "0",
    "1,",
    "INFO",
    "{",
    "'a':1,",
    "%|",
    "100%|",
    "x",
)
LONGER = (
    "eta ",
    "2024-01-01",
    "a\t",
    "-",
    "=",
    "a - ",
    "total 100% ",
    "(",
    ": ",
    "1:",
    '{"a":',
    "a b ",
    "done 1 ",
    "1.",
)


@pytest.mark.parametrize("piece", [*LONG, *LONGER])
def test_a_long_line_takes_no_longer_than_a_moment(piece: str) -> None:
    line = (piece * (64 * 1024 // len(piece)))[: 64 * 1024]
    reader = OutputReader()
    started = time.process_time()
    reader.feed(line)
    reader.feed(line + "=1")
    assert time.process_time() - started < 0.5


SIGNS = st.sampled_from(
    ["epoch 3", "Epoch 2/9", "loss=1", "of 12", "mae: 3", "7", "f1-score", "Train Loss", "İ", " ", "a"]
)


@given(st.lists(st.one_of(st.text(st.characters(exclude_characters="\n")), st.lists(SIGNS).map(" ".join))))
def test_lines_that_are_left_out_tell_nothing(lines: list[str]) -> None:
    every, few = (OutputReader(clock=lambda: 0.0) for _ in range(2))
    text = "".join(f"{line}\n" for line in lines)
    told = [told for line in few.telling(text) for told in few.feed(line)]
    assert told == [told for line in lines for told in every.feed(line)]


def test_few_of_many_lines_are_read() -> None:
    text = "batch 12 of the data was read\n" * 100 + "step 3 loss=0.5\n" + "nothing here\n" * 100
    assert OutputReader().telling(text) == ["step 3 loss=0.5"]
