"""The Train stage with real trainings: all kinds of commands, what is kept of them, and sweeps."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mlconsole.evidence.release import Event, MetricSeen, SweepSeen
from mlconsole.evidence.training import ResourceUse, SweepRun, TrainEvidence
from mlconsole.journal import Journal
from mlconsole.present import Table, blocks
from mlconsole.project import open_project
from mlconsole.release import collect
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.verify import verify_version
from mlconsole.services.kubernetes.job_telling import JobResult
from mlconsole.services.processes import ChildResult
from mlconsole.services.training.run import TrainResult
from mlconsole.stages.base import StageContext, model_store
from mlconsole.stages.train_on_cluster import _drop
from tests.living import runs

TRAIN = """
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--output")
parser.add_argument("--depth", type=int, default=1)
parser.add_argument("--rate", type=float, default=0.1)
options = parser.parse_args()
if options.depth == 13:
    sys.exit("unlucky")
print(f"val_mae={10 - options.depth + options.rate}")
with open(options.output, "w") as file:
    file.write(f"model of depth {options.depth} and rate {options.rate}")
"""
SWEEP = 'command = "python train.py --output {model} --depth {depth} --rate {rate}"'


class Bench:
    """A project in a folder of its own, released as far as Train."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.cancelled = threading.Event()
        self.write("data/training.csv", "a,b\n" + "".join(f"{n},{n % 7}\n" for n in range(300)))
        self.write("train.py", TRAIN)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def settings(self, train: str, more: str = "") -> None:
        head = (
            f'name = "m"\npython = "{sys.executable}"\n[data]\npath = "data/training.csv"\n[quality]\nmetric = "mae"\n'
        )
        self.write("mlconsole.toml", f"{head}[train]\n{train}\n{more}")

    def release(self, listen: Callable[[Event], None] | None = None) -> Outcome:
        """Commit all, and release until Train."""
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x", "--allow-empty"]):
            who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
            subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, timeout=30)
        project = open_project(self.root)
        journal = Journal(project.journal_path)

        def heard(event: Event) -> None:
            self.events.append(event)
            if listen is not None:
                listen(event)

        try:
            return Engine(project, journal, listen=heard, cancelled=self.cancelled).run(Order(until="train", who="ada"))
        finally:
            journal.close()

    def evidence(self) -> TrainEvidence:
        """What the last release's Train stage left."""
        journal = Journal(open_project(self.root).journal_path)
        try:
            run = journal.last_run("train")
        finally:
            journal.close()
        assert run is not None
        assert isinstance(run.evidence, TrainEvidence), run.problem
        return run.evidence

    def model(self) -> str:
        """The content of the model that was stored."""
        version = self.evidence().version
        assert version is not None
        return model_store(open_project(self.root)).path(version.model.digest).read_text()

    def runs(self) -> list[SweepRun]:
        """Each news of a run of the sweep, in order."""
        return [event.body.run for event in self.events if isinstance(event.body, SweepSeen)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path)


def test_a_command_without_arguments_in_a_folder_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", "xyzzy-secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench.write(
        "ml/fit.py",
        """
        from mlconsole.report import metric, parameter
        import pathlib
        print(len(pathlib.Path("../data/training.csv").read_text().splitlines()), "rows")
        metric("mae", 2.5)
        parameter("random_state", 7)
        pathlib.Path("out").mkdir(exist_ok=True)
        pathlib.Path("out/model.joblib").write_text("the model")
        pathlib.Path("out/plot.svg").write_text("<svg/>")
        """,
    )
    bench.settings('command = "python fit.py"\ncwd = "ml"\noutputs = ["ml/out/*.svg", "nothing.txt"]')
    outcome = bench.release()
    assert (outcome.exit_code, outcome.sentence) == (0, "Stopped after train, as asked.")
    evidence = bench.evidence()
    assert bench.model() == "the model"
    assert (bench.root / "ml" / "out" / "model.joblib").exists(), "what is the project's stays where it is"
    assert evidence.found == "the model file that the training wrote"
    assert (evidence.seed, [(p.name, p.value) for p in evidence.parameters]) == ("7", [("random_state", "7")])
    assert [output.filename for output in evidence.outputs] == ["ml/out/plot.svg"]
    assert evidence.missing_outputs == ("nothing.txt",)
    assert evidence.version is not None
    assert evidence.version.outputs == evidence.outputs
    project = open_project(bench.root)
    with contextlib.closing(Journal(project.journal_path)) as journal:
        kept = collect.look(project, journal, keep=0)
        checks = {check.part: check.state for check in verify_version(project, journal, evidence.version)}
    assert {entry.labels for entry in kept} == {("m@v1",)}, "outputs stay as long as their version"
    assert checks["output ml/out/plot.svg of m@v1"] == "matches"
    told = "\n".join(str(block) for block in blocks(evidence))
    assert all(
        word in told for word in ("the model file that the training wrote", "ml/out/plot.svg (6 B)", "seed      7")
    )
    variables = {variable.name: variable.value for variable in evidence.variables}
    assert (variables["OMP_NUM_THREADS"], variables["REGISTRY_TOKEN"]) == ("1", "")
    state = b"".join(path.read_bytes() for path in (bench.root / ".mlconsole").rglob("*") if path.is_file())
    assert b"xyzzy-secret" not in state


def test_what_the_code_is_configured_by_decides_whether_it_trains_again(bench: Bench) -> None:
    bench.write("conf/model/tree.yaml", "depth: 4\n")
    bench.write(
        "train.py",
        """
        import sys, time
        from pathlib import Path
        config_path="conf"
        depth = Path("conf/model/tree.yaml").read_text()
        Path("about.yaml").write_text(f"made at {time.time()}")
        Path("results.json").write_text(f'{{"mae": {time.time()}}}')
        Path(sys.argv[1]).write_text(depth)
        """,
    )
    bench.settings('command = "python train.py {model}"')
    for depth, versions in ((4, 1), (4, 1), (8, 2)):
        bench.write("conf/model/tree.yaml", f"depth: {depth}\n")
        assert bench.release().exit_code == 0
        assert bench.model() == f"depth: {depth}\n"
        project = open_project(bench.root)
        with contextlib.closing(Journal(project.journal_path)) as journal:
            last, made = journal.last_run("train"), journal.versions("m")
        assert len(made) == versions
    assert last is not None and any("tree.yaml" in words for words in last.because)


def test_make_trains_and_its_makefile_is_training_code(bench: Bench) -> None:
    bench.write("Makefile", "train:\n\tpython3 train.py --output $(MODEL)\n")
    bench.settings('command = "make train MODEL={model}"')
    assert bench.release().exit_code == 0
    bench.write("Makefile", "train:\n\tpython3 train.py --depth 2 --output $(MODEL)\n")
    bench.release()
    assert bench.model() == "model of depth 2 and rate 0.1"


NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]},
            "source": ["DATA_PATH = 'none'\n", "model_path: str = 'none'\n", "depth = 1"],
            "outputs": [],
        },
        {
            "cell_type": "code",
            "metadata": {},
            "source": "open(model_path, 'w').write(f'{depth} of {DATA_PATH}'); print(f'mae={10 - int(depth)}')",
            "outputs": [],
        },
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}
PAPERMILL = """
import json, sys
source, target, *options = sys.argv[1:]
notebook = json.load(open(source))
given = {n: v for o, n, v in zip(options, options[1:], options[2:]) if o in ("-p", "-r")}
space = {}
for cell in notebook["cells"]:
    exec("".join(cell["source"]), space)
    if "parameters" in cell["metadata"].get("tags", ()):
        space.update(given)
notebook["metadata"]["papermill"] = given
json.dump(notebook, open(target, "w"))
"""


def with_papermill(bench: Bench) -> None:
    """Give the project an environment with something that takes papermill's options and runs the cells."""
    here = f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    home = Path(sys.executable).resolve().parent
    bench.write(".venv/pyvenv.cfg", f"home = {home}\nversion = {platform.python_version()}\n")
    (bench.root / ".venv/bin").mkdir()
    (bench.root / ".venv/bin/python").symlink_to(Path(sys.executable).resolve())
    bench.write(f"{here}/papermill/__main__.py", PAPERMILL)
    for name in ("papermill-2.6.0", "ipykernel-6.0.0"):
        bench.write(f"{here}/{name}.dist-info/METADATA", "")
    bench.write(".gitignore", ".venv\n")
    text = (bench.root / "mlconsole.toml").read_text()
    (bench.root / "mlconsole.toml").write_text(text.replace(f'python = "{sys.executable}"\n', ""))


def test_a_notebook_is_run_with_its_parameters_and_kept_as_it_was_executed(bench: Bench) -> None:
    bench.write("nb/train.ipynb", json.dumps(NOTEBOOK))
    bench.settings('command = "train.ipynb"\ncwd = "nb"')
    with_papermill(bench)
    outcome = bench.release()
    assert outcome.exit_code == 0, outcome.sentence
    assert bench.model() == "1 of ../data/training.csv"
    evidence = bench.evidence()
    assert "-m papermill train.ipynb" in evidence.command
    executed = next(output for output in evidence.outputs if output.filename == "nb/train.ipynb")
    kept = json.loads(model_store(open_project(bench.root)).path(executed.digest).read_text())
    assert kept["metadata"]["papermill"]["DATA_PATH"] == "../data/training.csv"


def test_a_notebook_is_swept_over_its_own_parameters(bench: Bench) -> None:
    bench.write("train.ipynb", json.dumps(NOTEBOOK))
    bench.settings('command = "train.ipynb"\n[train.sweep]\ndepth = [1, 4]')
    with_papermill(bench)
    assert bench.release().exit_code == 0
    assert bench.model() == "4 of data/training.csv"


def test_a_notebook_that_takes_no_model_path_can_not_be_swept(bench: Bench) -> None:
    bench.write("train.ipynb", json.dumps(NOTEBOOK).replace("model_path: str", "weights: str"))
    bench.settings('command = "train.ipynb"\n[train.sweep]\ndepth = [1, 4]')
    with_papermill(bench)
    outcome = bench.release()
    assert outcome.sentence == "The runs of the notebook would overwrite each other's model."
    assert outcome.exit_code == 2


def test_a_notebook_without_papermill_is_a_sentence(bench: Bench) -> None:
    bench.write("train.ipynb", json.dumps(NOTEBOOK))
    bench.settings('command = "train.ipynb"')
    outcome = bench.release()
    assert outcome.sentence == "To run a notebook, the project's Python needs papermill and ipykernel."
    assert outcome.exit_code == 2


def test_a_sweep_runs_each_combination_and_the_best_is_the_candidate(bench: Bench) -> None:
    bench.settings(f"{SWEEP}\njobs = 2\n[train.sweep]\ndepth = [1, 5, 3]\nrate = [0.5, 0.25]")
    outcome = bench.release()
    assert outcome.exit_code == 0, outcome.sentence
    evidence = bench.evidence()
    assert bench.model() == "model of depth 5 and rate 0.25"
    assert [(run.state, run.score) for run in evidence.sweep] == [
        ("done", 9.5), ("done", 9.25), ("done", 5.5), ("done", 5.25), ("done", 7.5), ("done", 7.25),
    ]  # fmt: skip
    assert [run.number for run in evidence.sweep if run.is_best] == [4]
    assert evidence.best_by == "mae"
    assert [(p.name, p.value) for p in evidence.parameters] == [("depth", "5"), ("rate", "0.25")]
    assert evidence.metrics[0].value == 5.25
    table = next(block for block in blocks(evidence) if block.title == "Sweep")
    assert isinstance(table, Table)
    assert table.columns == ("run", "depth", "rate", "mae", "took", "state")
    assert [(row[0], row[3], row[5]) for row in table.rows][3:5] == [("4", "5.25", "best"), ("5", "7.5", "done")]
    assert {run.state for run in bench.runs()} == {"running", "done"}
    assert [event.body.point.value for event in bench.events if isinstance(event.body, MetricSeen)] == [5.25]
    folder = bench.root / ".mlconsole" / "releases" / "1"
    assert sorted(path.name for path in folder.glob("sweep/*/model.pkl")) == []
    assert len(list(folder.glob("sweep/*/train.log"))) == 6
    assert "run 4 of 6 done, 5.25" in (folder / "train.log").read_text()


def test_the_outputs_of_a_sweep_are_those_of_its_best_run(bench: Bench) -> None:
    bench.write("train.py", TRAIN + 'open("report.txt", "w").write(f"report of depth {options.depth}")\n')
    bench.settings(f'{SWEEP}\noutputs = ["report.txt"]\n[train.sweep]\ndepth = [5, 1]\nrate = [0.5]')
    outcome = bench.release()
    assert outcome.exit_code == 0, outcome.sentence
    (output,) = bench.evidence().outputs
    assert output.filename == "report.txt"
    assert model_store(open_project(bench.root)).path(output.digest).read_text() == "report of depth 5"
    assert (bench.root / "report.txt").read_text() == "report of depth 1", "what is the project's stays where it is"
    assert not list((bench.root / ".mlconsole" / "releases").rglob("report.txt"))


ELSEWHERE = """
import sys
from pathlib import Path
Path("out").mkdir(exist_ok=True)
Path("out/net.pkl").write_text(f"model of depth {sys.argv[1]}")
print("mae:", 10 - int(sys.argv[1]))
"""


def test_a_model_that_each_run_of_a_sweep_leaves_at_the_same_place_is_the_best_run_s(bench: Bench) -> None:
    bench.write("train.py", ELSEWHERE)
    settings = 'command = "python train.py {depth} {model}"\nmodel = "out/*.pkl"\n'
    bench.settings(f"{settings}[train.sweep]\ndepth = [5, 1]")
    outcome = bench.release()
    assert outcome.exit_code == 0, outcome.sentence
    assert bench.model() == "model of depth 5"
    assert not list((bench.root / ".mlconsole" / "releases").rglob("net.pkl"))
    bench.settings(f"{settings}jobs = 2\n[train.sweep]\ndepth = [5, 2]")
    assert "left its model at out/*.pkl and not at {model}" in bench.release().sentence
    # a run beside it may have begun to write its own
    bench.write("train.py", f'{ELSEWHERE}open("out/net.pkl", "w").close()\n')
    assert "left its model at out/*.pkl and not at {model}" in bench.release().sentence


def test_what_a_run_on_the_cluster_brought_is_dropped_unless_a_version_has_it(bench: Bench) -> None:
    bench.settings('command = "python train.py --output {model}"')
    assert bench.release().exit_code == 0
    project, version = open_project(bench.root), bench.evidence().version
    assert version is not None
    store = model_store(project)
    best = store.adopt(bench.write("best.pkl", "the best"))
    other = store.adopt(bench.write("other.pkl", "another"))
    use = ResourceUse(seconds=1)
    chosen = TrainResult(
        child=ChildResult(exit_code=0, use=use, lines=0, tail=()), metrics=(), points=0, model=store.path(best.digest)
    )
    with contextlib.closing(Journal(project.journal_path)) as journal:
        context = SimpleNamespace(project=project, journal=journal)
        for model in (version.model, best, other, other, None):
            told = JobResult(job="j", model=model, seconds=1, cpu_seconds=1, peak_memory=1, lines=0, tail=())
            _drop(cast(StageContext, context), told, chosen)
    assert set(store.digests()) == {version.model.digest, best.digest}


def test_a_sweep_varies_the_file_of_parameters(bench: Bench) -> None:
    bench.write("params.yaml", "model: {depth: 1, rate: 0.5}\nother: kept\n")
    bench.write(
        "train.py",
        """
        import json, sys
        lines = dict(line.strip().split(": ") for line in open(sys.argv[1]) if not line.strip().endswith(":"))
        assert lines["other"] == "kept"
        print("mae:", 10 - int(lines["depth"]))
        open(sys.argv[2], "w").write(lines["depth"])
        """,
    )
    command = 'command = "python train.py {params} {model}"\nparameters = "params.yaml"'
    bench.settings(f'{command}\n[train.sweep]\n"model.depth" = [2, 8]')
    outcome = bench.release()
    assert outcome.exit_code == 0, outcome.sentence
    assert bench.model() == "8"
    assert ("model.depth", "8") in [(p.name, p.value) for p in bench.evidence().parameters]
    assert (bench.root / "params.yaml").read_text().startswith("model: {depth: 1")


def test_a_run_of_a_sweep_that_fails_is_told_and_the_others_go_on(bench: Bench) -> None:
    bench.settings(f"{SWEEP}\n[train.sweep]\ndepth = [13, 2]\nrate = [0.5]")
    outcome = bench.release()
    assert outcome.exit_code == 0
    assert [run.state for run in bench.evidence().sweep] == ["failed", "done"]
    assert bench.evidence().sweep[0].problem.startswith("Training failed with exit code 1.")
    journal = Journal(open_project(bench.root).journal_path)
    verdicts = [run.verdict for run in journal.stage_runs(1) if run.stage == "train"]
    journal.close()
    assert verdicts[0] is not None
    assert any("1 run of 2 failed" in reason.sentence for reason in verdicts[0].reasons)


def test_a_sweep_of_which_every_run_fails_is_a_sentence(bench: Bench) -> None:
    bench.settings(f"{SWEEP}\n[train.sweep]\ndepth = [13]\nrate = [0.5, 1]")
    outcome = bench.release()
    assert outcome.exit_code == 1
    assert outcome.sentence.startswith("All 2 runs of the sweep failed: Training failed with exit code 1.")


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ('command = "python train.py {model}"\n[train.sweep]\ndepth = [1]', "varies depth, but nothing takes it"),
        ('command = "python train.py {depth}"\n[train.sweep]\ndepth = [1]', "overwrite each other's model"),
        (f"{SWEEP}\n[train.sweep]\ndepth = []\nrate = [1]", "depth has no values"),
        (f'{SWEEP}\nbest = "f1"\n[train.sweep]\ndepth = [1]\nrate = [1]', "no run told f1, they told val_mae"),
        ('command = "python train.py {model}"\ncwd = "gone"', "There is no folder gone."),
        ('command = "python train.py {model}"\nmemory = "lots"', "'lots' is no amount of memory"),
    ],
)  # fmt: skip
def test_what_can_not_be_run_is_a_sentence(bench: Bench, train: str, sentence: str) -> None:
    bench.settings(train)
    outcome = bench.release()
    assert sentence in outcome.sentence
    assert outcome.exit_code == 2


def test_a_cancel_ends_all_runs_of_a_sweep(bench: Bench) -> None:
    bench.write(
        "train.py",
        """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
        open(f"alive-{os.getpid()}", "w").close()
        print("step 1/100 mae=1", flush=True)
        time.sleep(100)
        """,
    )
    bench.settings('command = "python train.py {model} {depth}"\njobs = 2\n[train.sweep]\ndepth = [1, 2, 3, 4, 5]')

    def all_there() -> list[int]:
        return [int(path.name.removeprefix("alive-")) for path in bench.root.glob("alive-*")]

    def cancel() -> None:
        deadline = time.monotonic() + 60
        while len(all_there()) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        bench.cancelled.set()

    helper = threading.Thread(target=cancel)
    helper.start()
    outcome = bench.release()
    helper.join()
    assert outcome.exit_code == 130
    assert len(all_there()) == 4
    assert not [pid for pid in all_there() if runs(pid)]
    last = {run.number: run.state for run in bench.runs()}
    assert last == dict.fromkeys(range(1, 6), "cancelled")
