"""Real trainings: small scripts that end in all the ways that a training can."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlconsole.errors import Cancelled, Exit
from mlconsole.evidence.training import MetricPoint, TrainingProgress
from mlconsole.services.processes import CommandMissing, child_environment
from mlconsole.services.training.run import NoModelWritten, TrainingFailed, TrainResult, train

WRITE = "open('models/m.pkl', 'wb').write(b'model')\n"


class Training:
    """Runs a script in a folder of its own and keeps what was reported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model_path = root / "models" / "m.pkl"
        self.cancelled = threading.Event()
        self.told: list[MetricPoint | TrainingProgress] = []

    def __call__(
        self,
        script: str,
        report: Callable[[MetricPoint | TrainingProgress], None] | None = None,
        timeout: float | None = 60,
    ) -> TrainResult:
        return self.command([sys.executable, "-c", textwrap.dedent(script)], report, timeout)

    def command(
        self,
        command: list[str],
        report: Callable[[MetricPoint | TrainingProgress], None] | None = None,
        timeout: float | None = 60,
    ) -> TrainResult:
        return train(
            root=self.root,
            command=command,
            model_path=self.model_path,
            environment=child_environment(Path(sys.executable)),
            log_path=self.root / ".mlconsole" / "train.log",
            report=report or self.told.append,
            cancelled=self.cancelled,
            timeout=timeout,
        )


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def test_a_training_tells_its_metrics_and_leaves_a_model(training: Training) -> None:
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


def test_metrics_are_never_dropped_and_progress_is_thinned_out(training: Training) -> None:
    script = "for n in range(1, 5001):\n    print(f'step {n}/5000 loss={n}')\n" + WRITE
    result = training(script)
    values = [told.value for told in training.told if isinstance(told, MetricPoint)]
    assert values == [float(value) for value in range(1, 5001)]
    shown = [told.fraction for told in training.told if isinstance(told, TrainingProgress)]
    assert len(shown) <= 22 + 20 * result.child.use.seconds
    assert shown[-1] == 1.0


def test_a_failure_tells_its_exit_code_and_last_lines(training: Training) -> None:
    with pytest.raises(TrainingFailed) as caught:
        training("for n in range(30): print('line', n)\nraise SystemExit('no such column: bikers')")
    assert caught.value.sentence == "Training failed with exit code 1."
    assert caught.value.tail[-1] == "no such column: bikers"
    assert len(caught.value.tail) == 20
    assert caught.value.exit_code is Exit.REFUSED
    assert sys.executable in caught.value.command


@pytest.mark.parametrize("way", ["os.kill(os.getpid(), 9)", "sys.exit(137)"])
def test_a_killed_training_points_at_memory(training: Training, way: str) -> None:
    with pytest.raises(TrainingFailed, match="Training was killed") as caught:
        training(f"import os, sys\n{way}")
    assert "out of memory" in caught.value.next_step


def test_a_crash_tells_its_signal(training: Training) -> None:
    with pytest.raises(TrainingFailed, match=f"failed with signal {int(signal.SIGABRT)}"):
        training("import os\nos.abort()")


def test_a_training_without_a_model_names_what_it_wrote(training: Training) -> None:
    with pytest.raises(NoModelWritten) as caught:
        training("open('model_final.pkl', 'wb').write(b'x' * 100)")
    assert caught.value.sentence == "Training ended well, but there is no model at models/m.pkl."
    assert caught.value.next_step.startswith("It wrote model_final.pkl: let the training command write to {model}.")


def test_a_training_that_wrote_nothing_names_nothing(training: Training) -> None:
    (training.root / "old.pkl").write_bytes(b"old")
    os.utime(training.root / "old.pkl", (1_000_000_000, 1_000_000_000))
    with pytest.raises(NoModelWritten) as caught:
        training("print('done')")
    assert caught.value.next_step == "Let the training command write to {model}."


def test_the_model_of_an_earlier_training_does_not_count(training: Training) -> None:
    training.model_path.parent.mkdir()
    training.model_path.write_bytes(b"old")
    with pytest.raises(NoModelWritten, match=r"left the model at models/m\.pkl as it was before"):
        training("print('done')")


def test_an_empty_model_is_none(training: Training) -> None:
    with pytest.raises(NoModelWritten, match=r"wrote an empty file to models/m\.pkl"):
        training("open('models/m.pkl', 'wb')")


def test_a_folder_is_no_model_yet(training: Training) -> None:
    with pytest.raises(NoModelWritten, match=r"wrote a folder to models/m\.pkl; a model has to be one file"):
        training("import os\nos.mkdir('models/m.pkl')")


def test_a_cancel_ends_a_training(training: Training) -> None:
    with pytest.raises(Cancelled, match="Training was cancelled after"):
        training("import time\nprint('loss=1')\ntime.sleep(60)", lambda told: training.cancelled.set(), timeout=None)


def test_a_training_that_takes_too_long_is_ended(training: Training) -> None:
    with pytest.raises(TrainingFailed, match=r"did not end within .* and was stopped") as caught:
        training("import time\nprint('waiting for a lock')\ntime.sleep(60)", timeout=0.3)
    assert caught.value.exit_code is Exit.REFUSED


def test_a_command_that_is_not_there_is_a_sentence(training: Training) -> None:
    with pytest.raises(CommandMissing, match="no-such-tool"):
        training.command(["no-such-tool", "train.py"])


def test_escapes_in_its_output_reach_nobody(training: Training) -> None:
    with pytest.raises(TrainingFailed) as caught:
        training(r"print('\x1b]52;c;aGk=\x07\x1b[31mred'); raise SystemExit(1)")
    assert caught.value.tail == ("red",)
