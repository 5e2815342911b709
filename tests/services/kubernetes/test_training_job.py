"""Trainings as Jobs of a local cluster of their own: retried, cut off, cancelled, found again, failing with reasons."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.training import UseSample
from mlconsole.localcluster import control
from mlconsole.services.kubernetes import job_follow, training_job
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.job_follow import JobStuck
from mlconsole.services.kubernetes.job_manifest import JobPlan, config_map, job, model_path
from mlconsole.services.kubernetes.job_telling import JobResult
from mlconsole.services.kubernetes.jobs import JOBS, JobState
from mlconsole.services.kubernetes.resources import Resource
from mlconsole.services.kubernetes.training_job import CONFIG_MAPS, TrainingJobFailed, Wanted
from tests.living import runs
from tests.waiting import until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
DEADLINE = 90.0


class Seen:
    """Everything that is told of a training."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.states: list[JobState] = []
        self.notes: list[str] = []
        self.reports: list[str] = []
        self.uses: list[UseSample] = []
        self.files: list[tuple[str, str]] = []
        self.whole: list[str] = []
        self.all_reports: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def report(self, text: str) -> None:
        self.reports.append(text)

    def use(self, sample: UseSample) -> None:
        self.uses.append(sample)

    def state(self, state: JobState) -> None:
        self.states.append(state)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def look(self) -> None:
        pass

    def file(self, name: str, text: str) -> None:
        self.files.append((name, text))

    def again(self, lines: list[str], gaps: list[tuple[int, int]], reports: list[str]) -> None:
        self.whole, self.all_reports = lines, reports


class Folder:
    """The store, as a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def remove(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)


class Bench:
    """A project's folder, its cluster, and trainings in it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state = folder / "project", folder / "state"
        self.store, self.record, self.log = folder / "store", folder / "job.json", folder / "train.log"
        self.root.mkdir()
        self.seen = Seen()
        self.cancelled = threading.Event()
        self.start()
        self.connection = Connection.open(kubeconfig=self.state / "kubeconfig")

    def start(self) -> None:
        control.start(self.root, self.state)

    def kill_server(self) -> None:
        """The cluster goes away, as by a crash; its containers run on."""
        info = control.status(self.state)
        assert info is not None and info.pid is not None
        pid = info.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runs(pid))

    def plan(self, script: str, **changes: object) -> JobPlan:
        (self.root / "train.py").write_text(textwrap.dedent(script))
        wanted: dict[str, object] = {
            "name": "m-train-1",
            "image": "example/train:1",
            "command": ("python", "train.py", model_path()),
            "store": self.store.as_uri(),
            "release": 1,
            **changes,
        }
        return JobPlan(**wanted)  # type: ignore[arg-type]

    def run(self, plan: JobPlan) -> JobResult:
        return training_job.run(
            self.connection,
            Wanted.of(plan),
            record_path=self.record,
            log_path=self.log,
            watch=self.seen,
            copies=Folder(self.store),
            cancelled=self.cancelled,
        )

    def begin(self, plan: JobPlan) -> tuple[threading.Thread, list[JobResult | Problem]]:
        """Run a training in a thread; its end, whichever it is, comes into the list."""
        ends: list[JobResult | Problem] = []

        def run() -> None:
            try:
                ends.append(self.run(plan))
            except Problem as problem:
                ends.append(problem)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, ends

    def listed(self, path: str) -> list[str]:
        items = json.loads(self.connection.request("GET", path))["items"]
        return [item["metadata"]["name"] for item in items]

    def be_kueue(self, uid: str, message: str) -> None:
        """Say of a Job what Kueue would."""
        path = "/apis/kueue.x-k8s.io/v1beta1/namespaces/default/workloads"
        pending = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
        metadata = {"name": "job-j", "labels": {"kueue.x-k8s.io/job-uid": uid}}
        made = {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload", "metadata": metadata}
        self.connection.request("POST", path, body=json.dumps(made).encode())
        status = json.dumps({"status": {"conditions": [pending]}}).encode()
        self.connection.request(
            "PATCH", f"{path}/job-j/status", body=status, content_type="application/merge-patch+json"
        )

    @property
    def jobs(self) -> list[str]:
        return self.listed("/apis/batch/v1/namespaces/default/jobs")

    @property
    def pods(self) -> list[str]:
        return self.listed("/api/v1/namespaces/default/pods")

    @property
    def phases(self) -> list[str]:
        return [state.phase for state in self.seen.states]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.cancelled.set()
    made.connection.close()
    control.stop(made.state)


GOOD = """\
import sys
from mlconsole.report import metric, progress
for epoch in range(3):
    print(f"epoch {epoch + 1}/3 loss={1 / (epoch + 1):.3f}")
    metric("exact", epoch, step=epoch)
sys.stdout.write("\\r 50%\\r100%\\n")
open("metrics.json", "w").write('{"mae": 2}')
open("curve.csv", "w").write("1,2")
open(sys.argv[1], "w").write("a model")
"""


def test_a_training_brings_its_model_lines_reports_and_python(bench: Bench) -> None:
    result = bench.run(
        bench.plan(GOOD, environment=(("COST", "5$(HOME)"),), outputs=("*.csv", "*.png"), watched=("metrics.json",))
    )
    assert bench.seen.lines == [f"epoch {n}/3 loss={1 / n:.3f}" for n in (1, 2, 3)] + ["", " 50%", "100%"]
    assert bench.log.read_text().splitlines() == bench.seen.lines
    assert [json.loads(line)["metric"] for line in bench.seen.reports] == ["exact"] * 3
    assert bench.seen.states[-1].phase == "complete"
    assert "running" in bench.phases
    assert result.model is not None
    assert result.model.digest == digest("a model")
    stored = bench.store / "sha256" / result.model.digest[7:9] / result.model.digest[7:] / "model.pkl"
    assert stored.read_text() == "a model"
    assert (result.lines, result.missing, result.tail[-1]) == (6, 0, "100%")
    assert result.python.startswith("3.")
    assert result.seconds > 0
    assert bench.seen.files == [("metrics.json", '{"mae": 2}')]
    assert [(file.filename, file.digest) for file in result.outputs] == [("curve.csv", digest("1,2"))]
    assert result.missing_outputs == ("*.png",)
    assert not list((bench.store / "logs").iterdir())


def digest(text: str) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


COUNTING = """\
import os, pathlib, sys, time
again = pathlib.Path("again")
if not again.exists():
    again.touch()
    for number in range(1000):
        print(f"first {number}")
    sys.exit(3)
for number in range(5000):
    print(f"before {number}", flush=True)
pathlib.Path("half").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
for number in range(300_000):
    print(f"during {number} {'x' * 80}")
sys.stdout.flush()
pathlib.Path("rotated").touch()
while not pathlib.Path("on").exists():
    time.sleep(0.02)
for number in range(5000):
    print(f"after {number}")
open(sys.argv[1], "w").write("a model")
"""
EXPECTED = [
    *(f"before {number}" for number in range(5000)),
    *(f"during {number} {'x' * 80}" for number in range(300_000)),
    *(f"after {number}" for number in range(5000)),
]


@pytest.mark.parametrize("away", [2.0, pytest.param(20.0, marks=pytest.mark.slow)])
def test_every_line_once_of_a_job_that_is_retried_and_rotated_while_the_cluster_is_away(
    bench: Bench, away: float
) -> None:
    thread, ends = bench.begin(bench.plan(COUNTING, retries=1))
    until((bench.root / "half").exists)
    until(lambda: "before 4000" in bench.seen.lines[-2000:])
    bench.kill_server()
    (bench.root / "go").touch()
    gone = time.monotonic()
    until((bench.root / "rotated").exists)
    until(lambda: time.monotonic() - gone > away)
    bench.start()
    (bench.root / "on").touch()
    thread.join(DEADLINE * 2)
    assert not thread.is_alive()
    (end,) = ends
    assert isinstance(end, JobResult), end
    assert (end.lines, end.missing) == (len(EXPECTED) + 1000, 0)
    first, _, second = bench.log.read_text().partition("── attempt 2: pod ")
    assert first.splitlines() == [f"first {number}" for number in range(1000)]
    assert second.splitlines()[1:] == EXPECTED
    # what was rotated away meanwhile was read from the pod's own copy
    assert bench.seen.whole == EXPECTED
    assert bench.seen.notes[-1].endswith("of the log went by while the cluster was out of reach: they are there again.")
    assert "retrying" in bench.phases
    assert bench.seen.states[-1].phase == "complete"


ENDLESS = """\
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("begun", flush=True)
while True:
    time.sleep(0.05)
"""


def test_a_cancelled_training_is_deleted_and_its_pods_are_gone(bench: Bench) -> None:
    thread, ends = bench.begin(bench.plan(ENDLESS))
    until(lambda: bench.seen.lines == ["begun"])
    bench.cancelled.set()
    thread.join(DEADLINE)
    assert isinstance(ends[0], Cancelled)
    assert (bench.jobs, bench.pods, bench.record.exists()) == ([], [], False)
    until(lambda: not bench.listed("/api/v1/namespaces/default/configmaps"))


RUNNER = """\
import sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.services.kubernetes.test_training_job import Folder, Seen
from mlconsole.services.kubernetes import training_job
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.job_manifest import JobPlan
import msgspec
plan = msgspec.json.decode(Path({plan!r}).read_bytes(), type=JobPlan)
connection = Connection.open(kubeconfig=Path({kubeconfig!r}))
training_job.run(connection, training_job.Wanted.of(plan), record_path=Path({record!r}), log_path=Path({log!r}),
                 watch=Seen(), copies=Folder(Path()), cancelled=threading.Event())
"""
TICKING = """\
import pathlib, sys, time
from mlconsole.report import metric
number = 0
while not pathlib.Path("enough").exists():
    print(f"tick {number}", flush=True)
    metric("tick", number)
    number += 1
    time.sleep(0.002)
open(sys.argv[1], "w").write("a model")
print(f"ticks={number}")
"""


def test_the_job_of_a_runner_that_was_killed_is_gone_on_with(bench: Bench, tmp_path: Path) -> None:
    import msgspec

    plan = bench.plan(TICKING)
    file = tmp_path / "plan.json"
    file.write_bytes(msgspec.json.encode(plan))
    code = RUNNER.format(
        tests=str(Path(__file__).parents[3]),
        plan=str(file),
        kubeconfig=str(bench.state / "kubeconfig"),
        record=str(bench.record),
        log=str(bench.log),
    )
    runner = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        until(lambda: bench.log.exists() and len(bench.log.read_bytes()) > 5_000)
    finally:
        runner.kill()
        runner.wait()
    made = bench.jobs
    assert len(made) == 1
    thread, ends = bench.begin(plan)
    until(lambda: len(bench.seen.lines) > 1_000)
    (bench.root / "enough").touch()
    thread.join(DEADLINE)
    assert isinstance(ends[0], JobResult), ends
    assert bench.jobs == made
    assert bench.seen.notes[0] == f"Job {made[0]} goes on: an earlier runner made it."
    ticks = int(bench.seen.lines[-1].partition("=")[2])
    assert bench.seen.lines[:-1] == [f"tick {number}" for number in range(ticks)]
    assert bench.log.read_text().splitlines() == bench.seen.lines
    assert [json.loads(report)["value"] for report in bench.seen.reports] == list(range(ticks))
    assert ends[0].python.startswith("3.")
    assert ends[0].packages


def test_another_plan_takes_the_place_of_the_job_that_was_made(bench: Bench) -> None:
    thread, ends = bench.begin(bench.plan(ENDLESS))
    until(lambda: bench.seen.lines == ["begun"])
    earlier = bench.jobs
    other = Bench.run
    bench.seen = Seen()
    result = other(bench, bench.plan(GOOD, commit="other"))
    assert result.model is not None
    assert bench.seen.notes == [f"Job {earlier[0]} was made for something else: it is deleted."]
    assert earlier[0] not in bench.jobs
    thread.join(DEADLINE)
    assert "was deleted" in str(ends[0])


@pytest.mark.parametrize(
    ("script", "changes", "sentence", "tail"),
    [
        ("print('no data'); raise SystemExit(4)", {}, r"ended with exit code 4", "no data"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, r"signal 9", ""),
        ("print('done')", {"retries": 3}, r"wrote no model to \{model\}", "done"),
        (
            "import time; print('slow', flush=True); time.sleep(60)",
            {"deadline": 3.0},
            r"within 3 s.*DeadlineEx",
            "slow",
        ),
        (
            "import time; print('big', flush=True); x = b'x' * 300_000_000; time.sleep(60)",
            {"memory": 300_000_000},
            r"over its memory limit \(OOMKilled\)",
            "big",
        ),
    ],
)
def test_a_training_that_fails_says_why(
    bench: Bench, script: str, changes: dict[str, object], sentence: str, tail: str
) -> None:
    with pytest.raises(TrainingJobFailed, match=sentence) as caught:
        bench.run(bench.plan(script, **changes))
    assert "".join(caught.value.tail[-1:]) == tail
    assert not bench.record.exists()
    assert len(bench.pods) <= 1


def test_a_job_in_a_queue_is_told_as_queued_until_it_is_started(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_follow, "QUEUE_SECONDS", 0.3)
    thread, ends = bench.begin(bench.plan(GOOD, queue="team-a"))
    until(lambda: bench.phases == ["queued"])
    assert bench.seen.states[0].sentence == "Queued in team-a."
    (name,) = bench.jobs
    path = f"/apis/batch/v1/namespaces/default/jobs/{name}"
    made = json.loads(bench.connection.request("GET", path))
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    bench.be_kueue(made["metadata"]["uid"], "insufficient unused quota for cpu in flavor default-flavor, 1 more needed")
    until(lambda: bench.seen.states[-1].sentence.startswith("Queued in team-a: insufficient unused quota for cpu"))
    bench.connection.request(
        "PATCH", path, body=b'{"spec": {"suspend": false}}', content_type="application/merge-patch+json"
    )
    thread.join(DEADLINE)
    assert isinstance(ends[0], JobResult)


def test_a_job_that_can_not_start_is_given_up_and_deleted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_follow, "PATIENCE_SECONDS", 1.0)
    plan = bench.plan(GOOD)

    def make(token: str) -> list[tuple[Resource, dict[str, Any]]]:
        body = job(plan, token)
        (container,) = body["spec"]["template"]["spec"]["containers"]
        container["env"].append({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "a"}}})
        return [(CONFIG_MAPS, config_map(plan, token)), (JOBS, body)]

    wanted = Wanted(digest=plan.digest, make=make)
    with pytest.raises(
        JobStuck, match='can\'t start: Container training lacks configuration: secret "absent" not found'
    ):
        training_job.run(
            bench.connection,
            wanted,
            record_path=bench.record,
            log_path=bench.log,
            watch=bench.seen,
            copies=Folder(bench.store),
            cancelled=bench.cancelled,
        )
    assert (bench.jobs, bench.record.exists()) == ([], False)


def test_a_job_that_somebody_deletes_is_told(bench: Bench) -> None:
    thread, ends = bench.begin(bench.plan(ENDLESS))
    until(lambda: bench.seen.lines == ["begun"])
    bench.connection.request("DELETE", f"/apis/batch/v1/namespaces/default/jobs/{bench.jobs[0]}")
    thread.join(DEADLINE)
    assert "was deleted" in str(ends[0])
