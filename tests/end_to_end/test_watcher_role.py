"""The Role that `mlconsole watch --manifest` prints is enough for releases on a shared cluster, and just enough.

The local cluster lets everybody do everything. So the Role is enforced on this side: a request that it does not allow
is refused as an API server refuses it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlconsole.errors import WrongUse
from mlconsole.evidence.release import Note
from mlconsole.journal import Journal
from mlconsole.localcluster import control
from mlconsole.project import Project, open_project
from mlconsole.release.engine import Engine, Order
from mlconsole.services.kubernetes.connection import Connection, Forbidden
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher.loop import Watcher
from mlconsole.watcher.manifest import manifest
from mlconsole.watcher.place import OneOfSeveral, standing_of

from .conftest import SERVE, Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]
SETTINGS = """\
[deploy]
context = "shared"
settle = "1s"
[deploy.smoke]
path = "/"
[notify]
webhook = "HOOK"
"""
SERVE_METRICS = SERVE.replace(
    'body = json.dumps({"version": os.environ["MODEL_VERSION"], "mean": model["mean"]}).encode()',
    'body = b"# TYPE http_requests counter\\nhttp_requests_total 1\\n# EOF\\n"',
)
Permission = tuple[str, str, str]
"""An API group, a resource and a verb."""

VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update"}


def permission(method: str, path: str, query: Mapping[str, str]) -> Permission | None:
    """What a request needs; None where everybody may do it. As the API server derives it from method and path."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    if not rest or group == "authorization.k8s.io":
        return None
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    resource = rest[0] + (f"/{rest[2]}" if len(rest) > 2 else "")
    if method == "GET":
        return group, resource, "get" if len(rest) > 1 else "watch" if query.get("watch") else "list"
    if method == "DELETE":
        return group, resource, "delete" if len(rest) > 1 else "deletecollection"
    return group, resource, VERBS[method]


class Guard:
    """Refuses what a Role does not allow, and notes what was used of it."""

    def __init__(self, rules: list[dict[str, list[str]]]) -> None:
        self.allowed = {
            (group, resource, verb)
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        self.used: set[Permission] = set()
        self.refused: set[Permission] = set()

    def check(self, needed: Permission | None) -> None:
        if needed is None:
            return
        if needed not in self.allowed:
            self.refused.add(needed)
            raise Forbidden(f"may not {needed}")
        self.used.add(needed)


@pytest.fixture
def shared(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The tiny project, deployed to a cluster that is not the project's own."""
    bench.write("mlconsole.toml", SETTINGS)
    bench.commit("Shared")
    info = control.start(bench.root, bench.root.parent / "elsewhere")
    config = yaml.safe_load(Path(info.kubeconfig).read_text())
    config["contexts"][0]["name"] = config["current-context"] = "shared"
    kubeconfig = bench.root.parent / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    yield open_project(bench.root)
    control.stop(info.state)


def roles(text: str) -> list[dict[str, list[str]]]:
    return [rule for body in yaml.safe_load_all(text) if body["kind"] == "Role" for rule in body["rules"]]


def guarded(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    send: Callable[..., Any] = Connection._send

    def checked(self: Connection, method: str, path: str, query: Mapping[str, str], *rest: Any, **more: Any) -> Any:
        needed = permission(method, path, query)
        guard.check(needed)
        response = send(self, method, path, query, *rest, **more)
        if method == "PATCH" and response.status == 201 and needed is not None:
            # an apply that makes the object needs both
            guard.check((needed[0], needed[1], "create"))
        return response

    monkeypatch.setattr(Connection, "_send", checked)


def release(project: Project, notes: list[str]) -> str:
    def listen(event: Any) -> None:
        if isinstance(event.body, Note):
            notes.append(event.body.text)

    journal = Journal(project.journal_path)
    try:
        outcome = Engine(project, journal, listen=listen).run(Order(approved=True, who="watcher"))
    finally:
        journal.close()
    return outcome.release.state if outcome.release is not None else ""


def told(project: Project) -> list[str]:
    """Why stages of the first release stopped."""
    journal = Journal(project.journal_path)
    try:
        return [f"{run.stage}: {run.problem or run.verdict}" for run in journal.stage_runs(1)]
    finally:
        journal.close()


def test_the_role_is_enough_for_a_watcher_and_its_releases_and_has_nothing_more(
    bench: Workbench, shared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(roles(manifest(shared, image="watcher:1")))
    guarded(monkeypatch, guard)
    said: list[str] = []
    standing = standing_of(shared, say=said.append)
    assert isinstance(standing, OneOfSeveral)
    assert standing.other() == ""
    notes: list[str] = []
    assert release(shared, notes) == "done"
    bench.write("data/training.csv", "x,y\n" + "".join(f"{n},{n * 2 + 1}\n" for n in range(50)))
    assert release(shared, notes) == "done"
    # one that never gets ready: its log and events are read
    bench.write("serve.py", "raise SystemExit('no model')\n")
    bench.commit("A server that fails")
    bench.write("data/training.csv", "x,y\n" + "".join(f"{n},{n * 2 + 2}\n" for n in range(49)))
    assert release(shared, notes) == "refused"
    standing.close()
    assert guard.refused == set()
    assert guard.used == guard.allowed, f"never used: {sorted(guard.allowed - guard.used)}"
    assert not [note for note in notes if "keeps others" in note]


MONITORED = """\
[deploy]
context = "shared"
settle = "0s"
[monitor]
path = "/"
[[watch]]
kind = "monitor"
"""


def complaints(project: Project) -> str:
    """What a watcher that monitors has to say after a look, where all is well: nothing."""
    said: list[str] = []
    journal = Journal(project.journal_path)
    try:
        standing = standing_of(project, say=said.append)
        watcher = Watcher(project, journal, stopped=threading.Event(), say=said.append, standing=standing)
        watcher.step()
        state = TriggerQueue(journal).watcher()
        assert state is not None
        watcher.close()
        told = [entry.problem for entry in state.watches]
        told += [entry.words for entry in state.watches if "can't be read" in entry.words]
        return " ".join([*said, *told]).strip()
    finally:
        journal.close()


def test_a_watcher_that_monitors_needs_each_verb_of_its_role(
    bench: Workbench, shared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("serve.py", SERVE_METRICS)
    bench.commit("Serve metrics")
    bench.write("mlconsole.toml", MONITORED.partition("[[watch]]")[0])
    without = Guard(roles(manifest(open_project(bench.root), image="watcher:1"))).allowed
    bench.write("mlconsole.toml", MONITORED)
    project = open_project(bench.root)
    allowed = Guard(roles(manifest(project, image="watcher:1"))).allowed
    assert allowed - without == {("", "pods/proxy", "get")}, "to monitor takes one verb more"
    assert release(project, []) == "done"
    lease = "coordination.k8s.io", "leases"
    needed = [(*lease, "create"), None, (*lease, "get"), (*lease, "update"), ("", "pods", "list")]
    for removed in [*needed, ("", "pods/proxy", "get")]:
        with monkeypatch.context() as patch:
            guard = Guard([])
            guard.allowed = allowed - {removed}
            guarded(patch, guard)
            said = complaints(project)
        assert guard.refused == ({removed} if removed else set())
        assert ("may not" in said) is (removed is not None), f"without {removed}: {said}"


def test_the_role_is_enough_for_a_training_on_the_cluster(
    bench: Workbench, shared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bench.root.parent / "models"
    bench.write(
        "mlconsole.toml",
        f'[deploy]\ncontext = "shared"\nsettle = "1s"\n[train]\non = "cluster"\nimage = "train:1"\n[store]\nurl = "file://{store}"\n',
    )
    bench.commit("Train on the cluster")
    project = open_project(bench.root)
    guard = Guard(roles(manifest(project, image="watcher:1")))
    guarded(monkeypatch, guard)
    notes: list[str] = []
    ended = release(project, notes)
    assert guard.refused == set()
    assert ended == "done", told(project)
    # a training that is cancelled, and what goes wrong on the way, needs these
    spared = {
        ("batch", "jobs", "delete"),
        ("batch", "jobs", "get"),
        ("", "configmaps", "get"),
        ("", "configmaps", "delete"),
    }
    spared |= {("", "pods/log", "get"), ("coordination.k8s.io", "leases", "update")}
    assert guard.allowed - guard.used <= spared


def test_a_second_watcher_of_the_same_target_stands_by(shared: Project) -> None:
    first, second = (standing_of(shared, say=lambda words: None) for _ in range(2))
    assert first.other() == ""
    assert "watcher" in second.other()
    first.close()
    assert second.other() == ""
    second.close()


def test_a_release_waits_for_another_one_to_the_same_place(bench: Workbench, shared: Project) -> None:
    from mlconsole.services.kubernetes.lease import Lease
    from mlconsole.stages.target import connect
    from mlconsole.stages.turn import lease_name

    connection = connect(shared)
    lease = Lease(connection, lease_name(shared), "ada@laptop, release 7 (1-x)")
    assert lease.acquire() is None
    runner = bench.start("run", "--approve", "--json", KUBECONFIG=str(bench.root.parent / "kubeconfig"))
    assert runner.stdout is not None
    lines = []
    for line in runner.stdout:
        lines.append(line)
        if "releases there at the moment" in line:
            lease.release()
    connection.close()
    assert runner.wait(100) == 0, "".join(lines)
    told = [json.loads(line)["body"].get("text", "") for line in lines if line.startswith("{") and '"body"' in line]
    assert any(text.startswith("ada@laptop, release 7") for text in told)


def test_the_manifest_is_what_kubectl_takes(shared: Project) -> None:
    bodies = {body["kind"]: body for body in yaml.safe_load_all(manifest(shared, image="watcher:1"))}
    assert list(bodies) == ["ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim", "Deployment"]
    pod = bodies["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:2] == ["mlconsole", "watch"]
    assert container["env"] == [
        {"name": "HOOK", "valueFrom": {"secretKeyRef": {"name": "mlconsole-tiny-watcher", "key": "HOOK"}}}
    ]
    assert pod["serviceAccountName"] == bodies["ServiceAccount"]["metadata"]["name"]
    assert bodies["RoleBinding"]["roleRef"]["name"] == bodies["Role"]["metadata"]["name"]
    assert bodies["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    with pytest.raises(WrongUse, match="Name the image"):
        manifest(shared, image="")
