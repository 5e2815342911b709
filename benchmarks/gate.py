"""How often the gate blocks candidates that are as good as the champion, and how often it misses those that are not.

Each candidate is a release up to its tests in a copy of the sample project, with all of its months as training data.
Good candidates differ by their seed alone; each becomes the champion of the next one, as a release would make it. Bad
ones are made from data, or by a script, with one fault. Two things are not as in the sample: every split of a tree
looks at a random part of the columns, in the champion as well, which makes the seed matter at all; and the same trees
are made in one epoch, which is judged once rather than twenty times.

What decides is the real thing: the engine, data's profile and rules, pytest on the model, the comparison. Two thirds of
the time went into importing scikit-learn, so each worker does that once: it trains with the project's own script and
predicts with the model that was saved, and the release's own training and prediction commands hand over what came of
it. The first candidate of each worker is released by `mlconsole run` with the commands that do it all themselves, too,
and has to be judged by just the same numbers.

With `--first-months` there is only the sample's own training data, January to April: then the models have to guess what
summer is like, and seeds differ by 2% on the hold-out, all of it in the rows of summer.

    python benchmarks/gate.py --candidates 200 --bad 10 --workers 2
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

import msgspec
from unchanged import copy_sample

from mlconsole.evidence.release import StageRun
from mlconsole.evidence.testing import Comparison, TestEvidence
from mlconsole.journal import Journal
from mlconsole.project import open_project
from mlconsole.release.engine import Engine, Order
from mlconsole.services.models.predict_child import answer, read_rows

NAME, TARGET = "ml-model", "bikers"
SETTINGS = f'name = "{NAME}"\n[data]\npath = "data/training.csv"\ntarget = "{TARGET}"\n'
HANDED_OVER = """\
[train]
command = "python hand_over.py train_model.py {data} {model}"
[quality]
predict = "python hand_over.py {model} {predictions}"
"""
HAND_OVER = """\
import hashlib, pathlib, shutil, sys
made, (source, *_, target) = pathlib.Path("made"), sys.argv[1:]
if source == "train_model.py":
    print((made / "output.txt").read_text(), end="")
    if not (made / "model.pkl").exists():
        sys.exit(1)
    shutil.copyfile(made / "model.pkl", target)
else:
    name = hashlib.sha256(pathlib.Path(source).read_bytes()).hexdigest()
    shutil.copyfile(made / f"{name}.csv", target)
"""
UNITS = {"temp": 41, "atemp": 50, "hum": 100, "windspeed": 67}
"""What the columns of the data set were divided by: without it they are in °C, percent and km/h."""

Rows = list[dict[str, str]]


class Trial(NamedTuple):
    """What became of one candidate: blocked by `tests`, `comparison` or `data`, warned of at `data`, or let through."""

    kind: str
    end: str
    reason: str
    rightly: bool


class Project:
    """A copy of the sample project whose candidates are judged against the champion that was chosen last."""

    def __init__(self, root: Path, *, first_months: bool) -> None:
        self.root = root
        copy_sample(root)
        if not first_months:
            with (root / "data/training.csv").open("a") as file:
                for batch in sorted((root / "data/batches").glob("*.csv")):
                    file.write(batch.read_text().partition("\n")[2])
        (root / "hand_over.py").write_text(HAND_OVER)
        (root / "made").mkdir()
        script = root / "train_model.py"
        text = script.read_text()
        changed = text.replace("early_stopping=False,", "early_stopping=False,\n        max_features=0.6,")
        assert changed != text, "the sample's training is not what this benchmark changes"
        script.write_text(changed)
        self._script, self._data = changed, (root / "data/training.csv").read_text()
        parameters = (root / "params.yaml").read_text()
        epochs, trees = (int(_parameter(name, parameters)) for name in ("epochs", "trees_per_epoch"))
        parameters = parameters.replace(f"epochs: {epochs}", "epochs: 1")
        self._parameters = parameters.replace(f"trees_per_epoch: {trees}", f"trees_per_epoch: {epochs * trees}")

    def seed(self, seed: int) -> None:
        """Train with another seed from now on, and otherwise as it should be."""
        before = f"random_state: {_parameter('random_state', self._parameters)}"
        (self.root / "params.yaml").write_text(self._parameters.replace(before, f"random_state: {seed}"))
        (self.root / "train_model.py").write_text(self._script)
        (self.root / "data/training.csv").write_text(self._data)

    def change_data(self, change: Callable[[Rows], Rows]) -> None:
        """Write other training data."""
        rows = change(list(csv.DictReader(self._data.splitlines())))
        with (self.root / "data/training.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def change_script(self, old: str, new: str) -> None:
        """Write another training script."""
        assert old in self._script
        (self.root / "train_model.py").write_text(self._script.replace(old, new))

    def release(self) -> dict[str, StageRun]:
        """Train, release up to test, and return the stages as the journal has them."""
        self._make()
        (self.root / "mlconsole.toml").write_text(SETTINGS + HANDED_OVER)
        journal = Journal(self.root / ".mlconsole/journal.db")
        try:
            outcome = Engine(open_project(self.root), journal).run(Order(until="test", who="benchmark"))
        finally:
            journal.close()
        if outcome.release is None or outcome.exit_code not in (0, 1):
            raise SystemExit(f"The release ended with {outcome.exit_code}: {outcome.sentence}")
        return self._stages()

    def release_by_processes(self) -> dict[str, StageRun]:
        """The same by `mlconsole run` and by the commands of the sample, which share nothing."""
        (self.root / "mlconsole.toml").write_text(SETTINGS)
        command = [sys.executable, "-m", "mlconsole", "run", "--until", "test"]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=600)
        if done.returncode not in (0, 1):
            raise SystemExit(f"The run ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return self._stages()

    def _stages(self) -> dict[str, StageRun]:
        journal = Journal(self.root / ".mlconsole/journal.db")
        try:
            latest = journal.latest_release()
            assert latest is not None
            return {run.stage: run for run in journal.stage_runs(latest.number)}
        finally:
            journal.close()

    def _make(self) -> None:
        """Train by the project's script, and predict the hold-out with the model that it saved."""
        made = self.root / "made"
        (made / "model.pkl").unlink(missing_ok=True)
        script = ModuleType("train_model")
        code = compile((self.root / "train_model.py").read_text(), "train_model.py", "exec")
        arguments = ["train_model.py", "--data", "data/training.csv", "--output", "made/model.pkl"]
        said = io.StringIO()
        sys.modules[script.__name__] = script  # a dataclass looks for its module
        with inside(self.root), patch.object(sys, "argv", arguments), contextlib.redirect_stdout(said):
            exec(code, script.__dict__)
            script.main()
        (made / "output.txt").write_text(said.getvalue())
        if not (made / "model.pkl").exists():
            return
        rows = read_rows(str(self.root / "data/holdout.csv"), TARGET)
        told = answer("", str(made / "model.pkl"), rows, "predict")
        name = hashlib.sha256((made / "model.pkl").read_bytes()).hexdigest()
        lines = "\n".join(map(repr, told["predictions"]))
        (made / f"{name}.csv").write_text(f"prediction\n{lines}\n")

    def crown(self) -> None:
        """Make the newest version the champion, as its release into a cluster would."""
        journal = Journal(self.root / ".mlconsole/journal.db")
        version = journal.versions(NAME)[0]
        journal.move_alias(NAME, "champion", version.number, version.release)
        journal.close()


def _parameter(name: str, text: str) -> str:
    found = re.search(rf"^{name}: (\d+)$", text, re.MULTILINE)
    assert found, f"the sample has no parameter {name}, which this benchmark changes"
    return found[1]


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def comparison_of(stages: dict[str, StageRun]) -> Comparison:
    """What a release's comparison came to."""
    evidence = stages["test"].evidence
    assert isinstance(evidence, TestEvidence), stages["test"]
    assert evidence.comparison is not None, evidence.not_compared
    return evidence.comparison


def judged(kind: str, stages: dict[str, StageRun], names: tuple[str, ...]) -> Trial:
    """Tell what stopped a candidate. `names` are the words of which a reason has to say one to be the right one."""
    for stage in ("data", "train", "test"):
        run = stages.get(stage)
        if run is None or run.state not in ("refused", "failed"):
            continue
        sentence = next((r.sentence for r in run.verdict.reasons if r.level == "fail"), "") if run.verdict else ""
        sentence = sentence or (run.problem.sentence if run.problem else "")
        end = "comparison" if "worse than what serves" in sentence else "tests" if stage == "test" else stage
        return Trial(kind, end, sentence, end in ("comparison", "tests") or any(name in sentence for name in names))
    data = stages.get("data")
    for reason in data.verdict.reasons if data and data.verdict else ():
        if any(name in reason.sentence for name in names):
            return Trial(kind, "warned at data", reason.sentence, True)
    return Trial(kind, "let through", "", False)


def told(trial: Trial) -> Trial:
    """Say on standard error that a trial ended: there are minutes to wait."""
    print(f"{trial.kind}: {trial.end}  {trial.reason}", file=sys.stderr, flush=True)
    return trial


def shuffled_labels(project: Project, chance: random.Random) -> tuple[str, ...]:
    def change(rows: Rows) -> Rows:
        labels = [row[TARGET] for row in rows]
        chance.shuffle(labels)
        return [{**row, TARGET: label} for row, label in zip(rows, labels, strict=True)]

    project.change_data(change)
    return (TARGET,)


def a_tenth(project: Project, chance: random.Random) -> tuple[str, ...]:
    project.change_data(lambda rows: sorted(chance.sample(rows, len(rows) // 10), key=rows.index))
    return ("rows",)


def wrong_target(project: Project, chance: random.Random) -> tuple[str, ...]:
    wrong = chance.choice(["hum", "temp", "hr", "day"])
    project.change_script(f'TARGET = "{TARGET}"', f'TARGET = "{wrong}"')
    return (TARGET,)


def unit_error(project: Project, chance: random.Random) -> tuple[str, ...]:
    column = chance.choice(list(UNITS))
    project.change_data(lambda rows: [{**row, column: f"{float(row[column]) * UNITS[column]:g}"} for row in rows])
    return (column,)


FAULTS = {
    "shuffled labels": shuffled_labels,
    "a tenth of the data": a_tenth,
    "wrong target": wrong_target,
    "unit error in one column": unit_error,
}


def good_trials(worker: int, count: int, first_months: bool) -> list[Trial]:
    """A chain of candidates that differ by their seed, each against the one before it."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project", first_months=first_months)
        for number in range(count + 1):
            project.seed(1000 * (worker + 1) + number)
            stages = project.release()
            if number == 1:
                ours, whole = comparison_of(stages), comparison_of(project.release_by_processes())
                # the same model is another version, since its command was another one
                assert msgspec.structs.replace(whole, candidate=ours.candidate) == ours, (whole, ours)
            if number:
                found.append(told(judged("other seed", stages, ())))
            if not number or found[-1].end == "let through":
                project.crown()
    return found


def bad_trials(worker: int, count: int, first_months: bool) -> list[Trial]:
    """Candidates with one fault each, against a champion without."""
    found = []
    chance = random.Random(worker)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project", first_months=first_months)
        project.seed(7)
        project.release()
        project.crown()
        for kind, make in FAULTS.items():
            for number in range(count):
                project.seed(5000 * (worker + 1) + number)
                names = make(project, chance)
                found.append(told(judged(kind, project.release(), names)))
    return found


def report(trials: list[Trial]) -> None:
    """Print a row for each kind of candidate, and a reason of each."""
    print(f"{'candidates':<26}{'trials':>7}{'let through':>13}{'blocked':>9}{'right reason':>14}   how")
    for kind in dict.fromkeys(trial.kind for trial in trials):
        mine = [trial for trial in trials if trial.kind == kind]
        stopped = [trial for trial in mine if trial.end != "let through"]
        rightly = sum(trial.rightly for trial in stopped)
        how = ", ".join(f"{end} {number}" for end, number in Counter(trial.end for trial in stopped).most_common())
        print(f"{kind:<26}{len(mine):>7}{len(mine) - len(stopped):>13}{len(stopped):>9}{rightly:>14}   {how}")
    for kind, trial in {trial.kind: trial for trial in trials if trial.reason}.items():
        print(f"\n{kind}: {trial.reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200, help="candidates that are as good (default: 200)")
    parser.add_argument("--bad", type=int, default=10, help="candidates of each fault (default: 10)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first-months", action="store_true", help="train on the sample's first months only")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    workers, first = options.workers, options.first_months
    with ProcessPoolExecutor(workers) as pool:
        shares = [options.candidates * (n + 1) // workers - options.candidates * n // workers for n in range(workers)]
        faults = [options.bad * (n + 1) // workers - options.bad * n // workers for n in range(workers)]
        waiting = [pool.submit(bad_trials, worker, share, first) for worker, share in enumerate(faults) if share]
        waiting += [pool.submit(good_trials, worker, share, first) for worker, share in enumerate(shares) if share]
        trials = [trial for done in waiting for trial in done.result()]
    print("The gate (target: at most 2% of the good ones blocked; every bad one blocked, or warned of at data)\n")
    report(sorted(trials, key=lambda trial: trial.kind != "other seed"))


if __name__ == "__main__":
    main()
