"""Real trainings: small scripts that end in all the ways that a training can."""

from __future__ import annotations

import dataclasses
import signal
import sqlite3
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlconsole.errors import Cancelled, Exit
from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress
from mlconsole.services.processes import CommandMissing, child_environment
from mlconsole.services.training.left_model import ModelUnclear, NoModelWritten
from mlconsole.services.training.run import Training, TrainingFailed, TrainResult, train


def let_the_clock_tick() -> None:
    """Until what is written now can be told from what was written before."""
    before = time.monotonic()
    while time.monotonic() < before + 0.03:
        time.sleep(0.01)


WRITE = "open('models/m.pkl', 'wb').write(b'model')\n"


class Project:
    """Runs scripts in a folder of its own and keeps what was reported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model_path = root / "models" / "m.pkl"
        self.cancelled = threading.Event()
        self.told: list[MetricPoint | TrainingProgress] = []

    def __call__(self, script: str, **changes: Any) -> TrainResult:
        return self.command([sys.executable, "-c", textwrap.dedent(script)], **changes)

    def command(self, command: list[str], **changes: Any) -> TrainResult:
        report = changes.pop("report", self.told.extend)
        training = Training(
            root=self.root,
            cwd=self.root,
            folder=self.root / ".mlconsole",
            command=command,
            environment=child_environment(Path(sys.executable)),
            log_path=self.root / ".mlconsole" / "train.log",
            given=self.model_path,
            timeout=60,
        )
        return train(dataclasses.replace(training, **changes), report, self.cancelled)


@pytest.fixture
def training(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_training_tells_its_metrics_and_leaves_a_model(training: Project) -> None:
    script = "for e in (1, 2):\n    print(f'epoch {e}/2 loss={1 / e}')\nprint('mae: 3.5')\n" + WRITE
    result = training(script)
    assert [told for told in training.told if isinstance(told, MetricPoint)] == [
        MetricPoint(name="loss", value=1.0, step=1),
        MetricPoint(name="loss", value=0.5, step=2),
        MetricPoint(name="mae", value=3.5),
    ]
    assert [told.fraction for told in training.told if isinstance(told, TrainingProgress)] == [0.5, 1.0]
    assert result.metrics == (MetricPoint(name="loss", value=0.5, step=2), MetricPoint(name="mae", value=3.5))
    assert (result.points, result.child.exit_code, result.child.lines) == (3, 0, 3)
    assert training.model_path.read_bytes() == b"model"


def test_metrics_are_never_dropped_and_progress_is_thinned_out(training: Project) -> None:
    script = "for n in range(1, 5001):\n    print(f'step {n}/5000 loss={n}')\n" + WRITE
    result = training(script)
    values = [told.value for told in training.told if isinstance(told, MetricPoint)]
    assert values == [float(value) for value in range(1, 5001)]
    shown = [told.fraction for told in training.told if isinstance(told, TrainingProgress)]
    assert len(shown) <= 22 + 20 * result.child.use.seconds
    assert shown[-1] == 1.0


def test_a_failure_tells_its_exit_code_and_last_lines(training: Project) -> None:
    with pytest.raises(TrainingFailed) as caught:
        training("for n in range(30): print('line', n)\nraise SystemExit('no such column: bikers')")
    assert caught.value.sentence == "Training failed with exit code 1."
    assert caught.value.tail[-1] == "no such column: bikers"
    assert len(caught.value.tail) == 20
    assert caught.value.exit_code is Exit.REFUSED
    assert sys.executable in caught.value.command


@pytest.mark.parametrize("way", ["os.kill(os.getpid(), 9)", "sys.exit(137)"])
def test_a_killed_training_points_at_memory(training: Project, way: str) -> None:
    with pytest.raises(TrainingFailed, match="Training was killed") as caught:
        training(f"import os, sys\n{way}")
    assert "out of memory" in caught.value.next_step


def test_a_crash_tells_its_signal(training: Project) -> None:
    with pytest.raises(TrainingFailed, match=f"failed with signal {int(signal.SIGABRT)}"):
        training("import os\nos.abort()")


def test_a_training_without_a_model_names_what_it_wrote(training: Project) -> None:
    with pytest.raises(NoModelWritten) as caught:
        training("open('model_final.pkl', 'wb').write(b'x' * 100)")
    assert caught.value.sentence == "Training ended well, but there is no model at models/m.pkl."
    assert caught.value.next_step.startswith("It wrote model_final.pkl: let the training command write to {model}, or")
    assert caught.value.next_step.endswith('[train] model = "model_final.pkl".')


def test_a_training_that_wrote_nothing_names_nothing(training: Project) -> None:
    (training.root / "old.pkl").write_bytes(b"old")
    let_the_clock_tick()
    with pytest.raises(NoModelWritten) as caught:
        training("print('done')")
    assert caught.value.next_step == "Let the training command write to {model}."


def test_the_model_of_an_earlier_training_does_not_count(training: Project) -> None:
    training.model_path.parent.mkdir()
    training.model_path.write_bytes(b"old")
    with pytest.raises(NoModelWritten, match=r"left the model at models/m\.pkl as it was before"):
        training("print('done')")


def test_an_empty_model_is_none(training: Project) -> None:
    with pytest.raises(NoModelWritten, match=r"wrote an empty file to models/m\.pkl"):
        training("open('models/m.pkl', 'wb')")


def test_an_empty_folder_is_no_model(training: Project) -> None:
    with pytest.raises(NoModelWritten, match=r"left an empty folder at models/m\.pkl"):
        training("import os\nos.mkdir('models/m.pkl')")


FOLDER = """
import os
os.makedirs('{0}/variables')
for name in ('saved_model.pb', 'variables/a'):
    open('{0}/' + name, 'w').write('1')
"""


def test_a_folder_may_be_the_model(training: Project) -> None:
    assert training(FOLDER.format("models/m.pkl")).model == training.model_path


def test_the_folder_of_an_earlier_training_does_not_count(training: Project) -> None:
    training.model_path.mkdir(parents=True)
    (training.model_path / "weights").write_text("old")
    let_the_clock_tick()
    with pytest.raises(NoModelWritten, match=r"left the model at models/m\.pkl as it was before"):
        training("print('done')")


def test_a_folder_of_a_library_is_found_among_what_was_written(training: Project) -> None:
    result = training(FOLDER.format("export/net"), given=None)
    assert (result.model, result.found) == (training.root / "export/net", "the model folder that the training wrote")


@pytest.mark.parametrize("pattern", ["export/net", "export/net/", "export/*/", "export/n*"])
def test_a_pattern_may_mean_a_folder(training: Project, pattern: str) -> None:
    assert training(FOLDER.format("export/net"), given=None, pattern=pattern).model == training.root / "export/net"


def test_a_plain_folder_is_meant_by_a_slash(training: Project) -> None:
    script = "import os\nos.makedirs('out')\nopen('out/a.json', 'w').write('1')\nopen('out/b.npy', 'w').write('1')"
    assert training(script, given=None, pattern="out/").model == training.root / "out"
    with pytest.raises(NoModelWritten, match="no folder is called nowhere/"):
        training("print('done')", given=None, pattern="nowhere/")


def test_a_cancel_ends_a_training(training: Project) -> None:
    with pytest.raises(Cancelled, match="Training was cancelled after"):
        training("import time\nprint('loss=1')\ntime.sleep(60)", report=lambda told: training.cancelled.set())


def test_a_training_that_takes_too_long_is_ended(training: Project) -> None:
    with pytest.raises(TrainingFailed, match=r"did not end within 0\.3 s and was stopped") as caught:
        training("import time\nprint('waiting for a lock')\ntime.sleep(60)", timeout=0.3)
    assert caught.value.exit_code is Exit.REFUSED


def test_a_command_that_is_not_there_is_a_sentence(training: Project) -> None:
    with pytest.raises(CommandMissing, match="no-such-tool"):
        training.command(["no-such-tool", "train.py"])


def test_escapes_in_its_output_reach_nobody(training: Project) -> None:
    with pytest.raises(TrainingFailed) as caught:
        training(r"print('\x1b]52;c;aGk=\x07\x1b[31mred'); raise SystemExit(1)")
    assert caught.value.tail == ("red",)


def test_a_training_without_a_given_path_leaves_the_only_model_that_it_wrote(training: Project) -> None:
    (training.root / "older.pkl").write_bytes(b"old")
    let_the_clock_tick()
    result = training("open('out.joblib', 'wb').write(b'm'); open('notes.txt', 'w').write('x')", given=None)
    assert (result.model, result.found) == (training.root / "out.joblib", "the model file that the training wrote")


def test_a_model_that_is_replaced_by_one_with_an_old_time_is_found(training: Project) -> None:
    script = "import os; open('m.pkl', 'wb').write(b'm'); os.utime('m.pkl', (1_000_000_000, 1_000_000_000))"
    assert training(script, given=None).model == training.root / "m.pkl"


def test_two_models_are_asked_about_in_a_sentence(training: Project) -> None:
    with pytest.raises(ModelUnclear) as caught:
        training("for name in ('model.pkl', 'scaler.pkl'): open(name, 'wb').write(b'm')", given=None)
    assert caught.value.sentence == "Training wrote scaler.pkl and model.pkl: which of them is the model?"
    assert '[train] model = "scaler.pkl"' in caught.value.next_step
    assert caught.value.exit_code is Exit.REFUSED


def test_no_model_at_all_is_a_sentence(training: Project) -> None:
    with pytest.raises(NoModelWritten, match="wrote no file in the project that looks like a model") as caught:
        training("open('notes.txt', 'w').write('x')", given=None)
    assert caught.value.next_step.startswith("It wrote notes.txt. Say where the model is")


def test_a_training_that_is_left_alone_in_the_background_is_told(training: Project) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)"
    with pytest.raises(NoModelWritten) as caught:
        training(script, given=None)
    left = "It did not wait for 1 process in the background, ended with it: let it wait. "
    assert caught.value.next_step.startswith(left)


def test_a_script_with_line_endings_of_windows_is_told(training: Project) -> None:
    with pytest.raises(NoModelWritten, match=r"there is no model at models/m\.pkl") as caught:
        training("open('models/m.pkl\\r', 'wb').write(b'm')")
    hint = "It wrote one whose name ends with a carriage return: give its script the line endings of Unix, \\n."
    assert caught.value.next_step == hint


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(128 + signal.SIGSEGV)"])
def test_of_a_crash_that_says_nothing_it_is_told_what_says_more(training: Project, end: str) -> None:
    with pytest.raises(TrainingFailed) as caught:
        training(f"import os, signal\n{end}")
    assert "PYTHONFAULTHANDLER=1" in caught.value.next_step


def test_of_a_pattern_the_newest_is_the_model(training: Project) -> None:
    script = """
        import os, time
        os.makedirs("models")
        for epoch in (1, 2, 10):
            open(f"models/epoch-{epoch}.pkl", "wb").write(b"%d" % epoch)
            time.sleep(0.02)
    """
    result = training(script, given=None, pattern="models/*.pkl")
    assert result.model.name == "epoch-10.pkl"
    assert result.found == "the newest file of models/*.pkl"


def test_of_a_pattern_two_kinds_of_files_are_asked_about(training: Project) -> None:
    script = "import os; os.makedirs('models')\nfor n in ('a', 'b'): open(f'models/{n}.pkl', 'wb').write(b'm')"
    with pytest.raises(ModelUnclear, match=r"models/[ab]\.pkl and models/[ab]\.pkl: which of them"):
        training(script, given=None, pattern="models/*.pkl")


def test_what_a_pattern_means_but_was_there_before_is_no_model_of_this_run(training: Project) -> None:
    (training.root / "m.pkl").write_bytes(b"old")
    let_the_clock_tick()
    with pytest.raises(NoModelWritten, match=r"left \*\.pkl as it was before"):
        training("print('done')", given=None, pattern="*.pkl")
    with pytest.raises(NoModelWritten, match=r"no file is called \*\.joblib"):
        training("print('done')", given=None, pattern="*.joblib")


def test_make_leaves_what_is_up_to_date_and_that_is_the_model(training: Project) -> None:
    (training.root / "Makefile").write_text(
        "train: m.pkl\nm.pkl: data.csv\n\tcp data.csv m.pkl\n\tcp data.csv metrics.json\n"
    )
    (training.root / "data.csv").write_text('{"mae": 3.5}')
    first = training.command(["make", "train"], given=None, pattern="m.pkl")
    let_the_clock_tick()
    again = training.command(["make", "train"], given=None, pattern="m.pkl")
    assert first.model == again.model == training.root / "m.pkl"
    assert again.child.tail[-1].startswith("make: ")
    assert first.metrics == again.metrics == (MetricPoint(name="mae", value=3.5),)


def test_a_training_runs_in_its_folder_and_its_outputs_are_kept(training: Project) -> None:
    (training.root / "ml").mkdir()
    (training.root / "report.html").write_text("of last week")
    let_the_clock_tick()
    script = """
        import os
        os.makedirs("plots/deep")
        open("m.pkl", "wb").write(b"m")
        open("plots/a.png", "w").write("a")
        open("plots/deep/b.png", "w").write("b")
    """
    result = training(
        script,
        cwd=training.root / "ml",
        given=None,
        outputs=("ml/plots", "report.html", "none/*.txt"),
    )
    assert result.model == training.root / "ml" / "m.pkl"
    assert [name for name, _ in result.outputs] == ["ml/plots/a.png", "ml/plots/deep/b.png"]
    assert result.missing == ("report.html", "none/*.txt")


def test_a_script_reports_exactly_by_the_helper(training: Project) -> None:
    script = """
        from mlconsole.report import metric, metrics, parameter, progress
        print("mae=3.5 other=1")
        metric("mae", 3.25, step=2)
        print("mae=99")
        metrics({"r2": 0.5, "nothing": float("nan"), "not one": "x"})
        progress(1, 4, "fold")
        parameter("seed", 42)
    """
    result = training(textwrap.dedent(script) + WRITE)
    values = {point.name: (point.value, point.step) for point in result.metrics}
    assert values == {"mae": (3.25, 2), "other": (1.0, None), "r2": (0.5, None)}
    assert [told.message for told in training.told if isinstance(told, TrainingProgress)] == ["fold 1/4"]
    assert result.parameters == (Parameter(name="seed", value="42"),)


def test_a_file_of_metrics_is_read_as_it_changes(training: Project) -> None:
    (training.root / "metrics.json").write_text('{"mae": 9, "stale": 1}')
    let_the_clock_tick()
    seen = training.root / "seen"

    def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
        training.told.extend(told)
        seen.touch()

    script = """
        import json, os, time
        def write(**values):
            with open("new", "w") as file:
                json.dump(values, file)
            os.replace("new", "metrics.json")
        write(step=1, mae=3.5, by={"r2": 0.5}, name="x")
        until = time.monotonic() + 50
        while not os.path.exists("seen") and time.monotonic() < until:
            time.sleep(0.01)
        write(step=2, mae=3.5, by={"r2": 0.75})
    """
    training(textwrap.dedent(script) + WRITE, report=report)
    assert training.told == [
        MetricPoint(name="mae", value=3.5, step=1),
        MetricPoint(name="by.r2", value=0.5, step=1),
        MetricPoint(name="mae", value=3.5, step=2),
        MetricPoint(name="by.r2", value=0.75, step=2),
    ]


MLFLOW_SCHEMA = """
    CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), start_time BIGINT);
    CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL,
        PRIMARY KEY (key, run_uuid));
    CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
        run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
        PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
"""


def test_an_mlflow_run_in_sqlite_is_read_while_it_is_written(training: Project) -> None:
    with sqlite3.connect(training.root / "mlflow.db") as store:
        store.executescript(MLFLOW_SCHEMA)
        store.execute("INSERT INTO runs VALUES ('old', 'of last week', 1000)")
        store.execute("INSERT INTO metrics VALUES ('mae', 99, 1, 'old', 0, 0)")
    store.close()
    let_the_clock_tick()
    seen = training.root / "seen"

    def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
        training.told.extend(told)
        seen.touch()

    script = """
        import os, sqlite3, time
        store = sqlite3.connect("mlflow.db", isolation_level=None)
        at = time.time_ns() // 1_000_000
        store.execute("INSERT INTO runs VALUES ('a', 'first', ?)", [at])
        store.execute("INSERT INTO params VALUES ('depth', '3', 'a')")
        store.execute("INSERT INTO metrics VALUES ('mae', 3.5, ?, 'a', 1, 0)", [at])
        until = time.monotonic() + 50
        while not os.path.exists("seen") and time.monotonic() < until:
            time.sleep(0.01)
        store.execute("INSERT INTO metrics VALUES ('mae', 3.25, ?, 'a', 2, 0)", [at])
        store.execute("INSERT INTO metrics VALUES ('bad', 0, ?, 'a', 2, 1)", [at])
        store.execute("INSERT INTO runs VALUES ('b', 'second', ?)", [at + 1])
        store.execute("INSERT INTO metrics VALUES ('mae', 1.5, ?, 'b', 1, 0)", [at])
    """
    result = training(textwrap.dedent(script) + WRITE, report=report)
    assert training.told == [
        MetricPoint(name="mae", value=3.5, step=1),
        MetricPoint(name="mae", value=3.25, step=2),
        MetricPoint(name="second/mae", value=1.5, step=1),
    ]
    assert result.parameters == (Parameter(name="depth", value="3"),)


def test_a_training_that_takes_too_much_memory_is_ended_with_a_sentence(training: Project) -> None:
    script = "held = []\nwhile True: held.append(bytearray(b'x' * 5_000_000))"
    with pytest.raises(TrainingFailed) as caught:
        training(script, memory=150_000_000)
    assert "more than the 143 MiB that it may, and was ended after" in caught.value.sentence
    assert "`memory` under [train]" in caught.value.next_step


def test_a_variable_that_is_not_set_is_named(training: Project) -> None:
    with pytest.raises(TrainingFailed) as failed:
        training("import os\nos.environ['NO_SUCH_FOLDER']\n")
    assert failed.value.sentence == "Training needs the environment variable NO_SUCH_FOLDER, which is not set."
    with pytest.raises(TrainingFailed, match="exit code 1"):
        training("{}['NO_SUCH_COLUMN']\n")


def test_metrics_beside_a_model_in_a_folder_of_its_run_are_read(training: Project) -> None:
    (training.root / "runs" / "monday").mkdir(parents=True)
    (training.root / "runs" / "monday" / "metrics.json").write_text('{"mae": 9}')
    let_the_clock_tick()
    script = """
        import os
        os.makedirs('runs/tuesday')
        open('runs/tuesday/model.pkl', 'wb').write(b'model')
        open('runs/tuesday/metrics.json', 'w').write('{"mae": 0.5}')
    """
    result = training(script, given=None)
    assert result.model == training.root / "runs" / "tuesday" / "model.pkl"
    assert [(point.name, point.value) for point in result.metrics] == [("mae", 0.5)]
