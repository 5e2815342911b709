"""The wrapper by itself, as a pod runs it: by any Python, with nothing beside it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from mlconsole.evidence.training import ModelFile
from mlconsole.services.kubernetes.in_pod import job_wrapper
from mlconsole.services.kubernetes.in_pod.job_wrapper import LONGEST_LINE, MARK, NO_MODEL
from mlconsole.services.kubernetes.job_manifest import WRAPPER
from mlconsole.services.models.store import ModelStore
from mlconsole.services.training import files

PYTHONS = [sys.executable, *(f"python3.{minor}" for minor in (7, 8, 9, 10, 12, 13, 14))]


class Box:
    """A folder like a container's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wrapper = folder / "wrapper" / WRAPPER.name
        self.wrapper.parent.mkdir()
        shutil.copy(WRAPPER, self.wrapper)
        self.model, self.store = folder / "model" / "model.pkl", folder / "store"
        self.address = self.store.as_uri()

    def command(self, *words: str, python: str = sys.executable, options: tuple[str, ...] = ()) -> list[str]:
        places = ("--model", str(self.model), "--store", self.address, "--copy", "logs/j/p.gz")
        return [python, str(self.wrapper), *places, *options, "--", *words]

    def run(self, *words: str, python: str = sys.executable, options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        """The exit code, and what it printed, marks included."""
        done = subprocess.run(
            self.command(*words, python=python, options=options),
            cwd=self.folder,
            capture_output=True,
            timeout=120,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        )
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout.decode("utf-8", "replace").split("\n")[:-1]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def lines_of(printed: list[str]) -> list[str]:
    return [line for line in printed if not line.startswith(MARK)]


def end_of(printed: list[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(printed[-1][len(MARK) :])["end"]
    return found


def works(python: str) -> bool:
    if not shutil.which(python):
        return False
    return not subprocess.run([python, "-c", "1"], capture_output=True, timeout=120).returncode


@pytest.mark.parametrize("python", PYTHONS)
def test_any_python_from_3_7_on_runs_it(box: Box, python: str) -> None:
    if not works(python):
        pytest.skip(f"{python} is not installed")
    script = f"import sys; print('a=1'); sys.stderr.write('b\\rc'); open({str(box.model)!r}, 'w').write('m')"
    code, printed = box.run("python", "-c", script, python=python)
    assert code == 0
    assert lines_of(printed) == ["a=1", "b", "c"]
    model = end_of(printed)["model"]
    assert isinstance(model, dict)
    digest = model["digest"].partition(":")[2]
    stored = box.store / "sha256" / digest[:2] / digest / "model.pkl"
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("m", 0o444)
    assert gzip.decompress((box.store / "logs/j/p.gz").read_bytes()) == b"a=1\nb\nc\n"
    assert sorted(path.name for path in box.store.iterdir()) == ["logs", "sha256"]


def test_a_hundred_thousand_lines_come_out_once_and_in_order(box: Box) -> None:
    script = f"for n in range(100_000): print(n)\nopen({str(box.model)!r}, 'w').write('m')"
    code, printed = box.run("python", "-c", script)
    assert code == 0
    assert lines_of(printed) == [str(number) for number in range(100_000)]
    assert end_of(printed)["lines"] == 100_000


def test_lines_without_end_are_cut_and_odd_bytes_kept(box: Box) -> None:
    script = f"import sys; sys.stdout.buffer.write(b'x' * {LONGEST_LINE * 2 + 5} + b'\\n\\xff\\r\\n\\rlast')"
    code, printed = box.run("python", "-c", script)
    assert code == NO_MODEL
    assert lines_of(printed) == ["x" * LONGEST_LINE, "x" * LONGEST_LINE, "x" * 5, "\ufffd", "", "last"]


@pytest.mark.parametrize(
    ("script", "code", "error"),
    [
        ("raise SystemExit(7)", 7, None),
        ("import os; os.kill(os.getpid(), 9)", 137, None),
        ("pass", NO_MODEL, "The training ended well, but wrote no model to {model}."),
        ("import os; os.makedirs(MODEL)", NO_MODEL, "The training left an empty folder at {model}."),
        ("open(MODEL, 'w')", NO_MODEL, "The training wrote an empty file to {model}."),
    ],
)
def test_how_it_ended_is_told(box: Box, script: str, code: int, error: str | None) -> None:
    returned, printed = box.run("python", "-c", script.replace("MODEL", repr(str(box.model))))
    assert returned == code
    told = end_of(printed).get("error")
    assert (told is None) if error is None else str(told).startswith(error)


def test_a_store_that_can_not_be_written_is_told(box: Box) -> None:
    box.store.write_text("a file in its place")
    code, printed = box.run("python", "-c", f"open({str(box.model)!r}, 'w').write('m')")
    assert code == NO_MODEL
    assert str(end_of(printed)["error"]).startswith("The model can't be written to the store file://")


def test_any_other_store_is_written_by_fsspec_with_the_same_layout(box: Box) -> None:
    box.address = f"local://{box.store}"
    code, printed = box.run("python", "-c", f"open({str(box.model)!r}, 'w').write('m')")
    assert code == 0, printed
    digest = end_of(printed)["model"]["digest"].partition(":")[2]  # type: ignore[index]
    folder = box.store / "sha256" / digest[:2] / digest
    assert [path.name for path in folder.iterdir()] == ["model.pkl"]
    assert (box.store / "logs/j/p.gz").is_file()


def test_a_store_that_nothing_in_the_image_speaks_with_is_told(box: Box) -> None:
    box.address = "nostore://bucket/models"
    code, printed = box.run("python", "-c", f"open({str(box.model)!r}, 'w').write('m')")
    assert code == NO_MODEL
    assert "nostore://bucket/models" in str(end_of(printed)["error"])


def test_a_command_that_is_not_there_is_told(box: Box) -> None:
    code, printed = box.run("no-such-program")
    assert (code, lines_of(printed)) == (127, ["can't run no-such-program: No such file or directory"])


def test_the_newest_file_of_this_run_is_the_model_where_a_pattern_says_so(box: Box) -> None:
    (box.folder / "models").mkdir()
    (box.folder / "models" / "old.joblib").write_text("old")
    os.utime(box.folder / "models" / "old.joblib", (1, 1))
    code, printed = box.run(
        "python", "-c", "open('models/new.joblib', 'w').write('m')", options=("--find", "models/*.joblib")
    )
    assert code == 0
    assert end_of(printed)["model"]["filename"] == "new.joblib"  # type: ignore[index]


def test_a_folder_to_run_in_is_looked_into_beside_the_projects_own(box: Box) -> None:
    (box.folder / "src").mkdir()
    script = (
        "import json; open('out.csv', 'w').write('1'); open('../top.csv', 'w').write('2');"
        f" open('metrics.json', 'w').write('{{}}'); open({str(box.model)!r}, 'w').write('m')"
    )
    options = ("--cwd", "src", "--output", "*.csv", "--watch", "metrics.json")
    code, printed = box.run("python", "-c", script, options=options)
    assert code == 0
    outputs = end_of(printed)["outputs"]
    assert isinstance(outputs, list)
    assert [output["filename"] for output in outputs] == ["src/out.csv", "top.csv"]
    assert any('"name": "metrics.json"' in line for line in printed)


def test_asked_to_end_it_asks_the_training(box: Box) -> None:
    script = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('saving'), sys.exit(5)))\n"
        "print('begun', flush=True)\nwhile True: time.sleep(0.05)"
    )
    process = subprocess.Popen(box.command("python", "-c", script), cwd=box.folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(line.rstrip("\n"))
        if read[-1] == "begun":
            process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 5
    assert lines_of(read) == ["begun", "saving"]


def test_what_the_training_uses_is_told_meanwhile(box: Box) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("there is no /proc to read")
    began = time.monotonic()
    code, printed = box.run("python", "-c", f"import time; time.sleep(2.5); open({str(box.model)!r}, 'w').write('m')")
    uses = [json.loads(line[len(MARK) :])["use"] for line in printed if line.startswith(MARK + '{"use"')]
    assert code == 0
    assert 1 <= len(uses) <= time.monotonic() - began
    assert uses[0]["memory"] > 1_000_000 and uses[0]["processes"] == 1


def test_a_folder_is_brought_as_the_store_keeps_folders(box: Box) -> None:
    script = (
        "import os; os.makedirs(MODEL + '/variables'); open(MODEL + '/a.json', 'w').write('{}');"
        "open(MODEL + '/variables/b', 'w').write('1'); os.chmod(MODEL + '/a.json', 0o755)"
    )
    code, printed = box.run("python", "-c", script.replace("MODEL", repr(str(box.model))))
    assert code == 0, printed
    told = convert(end_of(printed)["model"], ModelFile)
    store = ModelStore(box.store)
    assert (told.files, told.size, told.filename) == (2, 3, box.model.stem)
    store.verify(told)
    assert store.adopt(store.path(told.digest)) == told


def test_a_link_in_a_folder_is_refused_by_the_pod_too(box: Box) -> None:
    script = "import os; os.makedirs(MODEL); open(MODEL + '/a', 'w').write('1'); os.symlink('/etc', MODEL + '/etc')"
    code, printed = box.run("python", "-c", script.replace("MODEL", repr(str(box.model))))
    assert code == NO_MODEL
    assert str(end_of(printed)["error"]).startswith("etc in the folder")


def test_a_library_s_folder_is_known_by_the_same_files_here_and_there() -> None:
    assert (set(files._FOLDER_MARKS), files._WEIGHTS) == (job_wrapper.FOLDER_MARKS, job_wrapper.WEIGHTS)


class Marks(job_wrapper.Output):
    """Keeps the texts of the files that are handed on."""

    def __init__(self) -> None:
        super().__init__(None)
        self.texts: list[str] = []

    def mark(self, **what: Any) -> None:
        self.texts.append(what["file"]["text"])


def test_a_file_that_is_being_written_is_handed_on_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, marks, path = job_wrapper.Watched(["metrics.json"], [tmp_path]), Marks(), tmp_path / "metrics.json"
    path.touch()
    watched.look(marks)
    path.write_text('{"mae')
    read = Path.read_bytes

    def read_while_it_is_written(path: Path) -> bytes:
        path.write_text('{"mae": 2}')
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_while_it_is_written)
        watched.look(marks)
    assert marks.texts == []
    watched.look(marks)
    watched.look(marks)
    assert marks.texts == ['{"mae": 2}']
