"""The whole way against a running cluster: plan, apply, follow, settle, logs, actions; and kubectl beside it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlconsole.errors import OutsideFailed, Problem, WrongUse
from mlconsole.evidence.cluster import (
    ConflictChoice,
    DeployOptions,
    PodsEvidence,
    PodsSnapshot,
    RolloutVerdict,
    WorkloadRef,
)
from mlconsole.services.kubernetes import actions, logs
from mlconsole.services.kubernetes.access import review
from mlconsole.services.kubernetes.apply import ApplyUndone, apply
from mlconsole.services.kubernetes.connection import Connection, NotFound
from mlconsole.services.kubernetes.events import recent
from mlconsole.services.kubernetes.forward import PortForward
from mlconsole.services.kubernetes.manifests import Manifest, ReleaseFacts, find_selector, from_yaml, with_facts
from mlconsole.services.kubernetes.merged_logs import LogLine, MergedLogs
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.kubernetes.problems import Invalid
from mlconsole.services.kubernetes.revisions import wanted_pods
from mlconsole.services.kubernetes.rollout import follow, workloads_of
from mlconsole.services.kubernetes.settle import settle
from mlconsole.services.kubernetes.smoke import SmokeTest, ask_all
from mlconsole.services.kubernetes.watch import PodWatcher
from tests.services.kubernetes.conftest import deployment

pytestmark = pytest.mark.end_to_end
WORKLOAD = "ml-model-deployment"


def release(text: str, connection: Connection, number: int) -> tuple[Manifest, ...]:
    facts = ReleaseFacts(
        name="ml-model",
        version=f"v{number}",
        label=f"ml-model@v{number}",
        model_uri="file:///model",
        model_digest=f"sha256:{number}",
        data_digest="sha256:d",
        commit="12e4567",
        release=number,
        changed_by="ada",
        change_cause=f"release {number}",
    )
    manifests = from_yaml(text)
    return with_facts(manifests, facts, selector=find_selector(manifests), namespace=connection.namespace)


def deploy(connection: Connection, manifests: tuple[Manifest, ...], conflicts: ConflictChoice = "ask") -> list[str]:
    lines: list[str] = []
    options = DeployOptions(conflicts=conflicts)
    made = plan(connection, manifests, selector="app=ml-model", version="v", options=options)
    apply(connection, made, report=lines.append)
    return lines


def roll_out(connection: Connection, manifests: tuple[Manifest, ...], crash_limit: int = 1) -> RolloutVerdict:
    (verdict,) = follow(
        connection,
        workloads_of(manifests),
        report=lambda progress: None,
        cancelled=threading.Event(),
        timeout=30,
        crash_limit=crash_limit,
    )
    return verdict


def settled(
    connection: Connection,
    version: str,
    wanted: int,
    seconds: float,
    report: Callable[[PodsSnapshot], None] = lambda snapshot: None,
    arrival: float = 20,
) -> PodsEvidence:
    return settle(
        connection,
        connection.target("app=ml-model"),
        version=version,
        wanted=wanted,
        seconds=seconds,
        report=report,
        cancelled=threading.Event(),
        arrival=arrival,
    )


def test_two_releases_from_plan_to_settled_pods(connection: Connection) -> None:
    for number in (1, 2):
        manifests = release(deployment(), connection, number)
        word = "created" if number == 1 else "configured"
        assert deploy(connection, manifests) == [f"service/ml-model {word}", f"deployment/{WORKLOAD} {word}"]
        verdict = roll_out(connection, manifests)
        assert verdict.sentence == f'deployment "{WORKLOAD}" successfully rolled out'
        evidence = settled(connection, f"ml-model@v{number}", 2, 0.5)
        assert (evidence.serving, evidence.restarts, evidence.events) == (2, 0, ())
        assert evidence.settled >= 0.5
        assert [row.version for row in evidence.rows] == [f"ml-model@v{number}"] * 2
        (service,) = evidence.services
        assert urllib.request.urlopen(service.url, timeout=5).read() == f"v{number}".encode()
        again = plan(connection, manifests, selector="app=ml-model", version="v")
        assert [change.action for change in again.changes] == ["none", "none"]


def test_a_project_that_was_deployed_by_hand_is_taken_over(connection: Connection, kubectl: Callable[..., str]) -> None:
    kubectl("apply", "-f", "-", text=deployment())
    manifests = release(deployment(replicas=1), connection, 1)
    made = plan(connection, manifests, selector="app=ml-model", version="v")
    assert "-  replicas: 2\n+  replicas: 1" in made.changes[1].diff
    apply(connection, made, report=lambda line: None)
    assert kubectl("get", "deploy", WORKLOAD, "-o", "jsonpath={.spec.replicas}") == "1"
    # What a plan says of itself holds: kubectl takes it, and finds nothing to do, once no controller writes in between.
    difference = ("diff", "--server-side", "--field-manager=mlconsole", "--force-conflicts", "-f", "-")

    def is_none() -> bool:
        with contextlib.suppress(OutsideFailed):
            kubectl(*difference, text=made.manifests)
            return True
        return False

    wait_for(is_none)


def test_what_a_person_scaled_is_a_conflict_that_is_left_or_taken_over(
    connection: Connection, kubectl: Callable[..., str]
) -> None:
    def replicas() -> str:
        return kubectl("get", "deploy", WORKLOAD, "-o", "jsonpath={.spec.replicas}")

    deploy(connection, release(deployment(replicas=1), connection, 1))
    kubectl("scale", "deploy", WORKLOAD, "--replicas=3")
    manifests = release(deployment(replicas=2), connection, 2)
    made = plan(connection, manifests, selector="app=ml-model", version="v")
    (found,) = made.conflicts
    assert (found.name, found.field, found.owner) == (WORKLOAD, ".spec.replicas", "kubectl (scale)")
    assert "-  replicas: 3\n+  replicas: 2" in made.changes[1].diff
    deploy(connection, manifests, "leave")
    assert replicas() == "3"
    assert "replicas" not in managed_by_us(connection)
    deploy(connection, manifests, "force")
    assert replicas() == "2"
    assert "replicas" in managed_by_us(connection)


def managed_by_us(connection: Connection) -> str:
    """The fields of the deployment's spec that an apply of ours owns, as text."""
    path = f"/apis/apps/v1/namespaces/{connection.namespace}/deployments/{WORKLOAD}"
    entries = json.loads(connection.request("GET", path))["metadata"]["managedFields"]
    ours = [entry for entry in entries if (entry["manager"], entry["operation"]) == ("mlconsole", "Apply")]
    return " ".join(ours[0]["fieldsV1"]["f:spec"]) if ours else ""


def test_scaling_here_is_told_at_the_next_deploy(connection: Connection) -> None:
    deploy(connection, release(deployment(replicas=1), connection, 1))
    workload = WorkloadRef(kind="Deployment", name=WORKLOAD, namespace=connection.namespace)
    actions.scale(connection, workload, 0)
    made = plan(connection, release(deployment(replicas=1), connection, 2), selector="app=ml-model", version="v")
    assert [found.owner for found in made.conflicts] == ["mlconsole-scale"]


def test_an_apply_that_is_refused_in_the_middle_leaves_the_cluster_as_it_was(connection: Connection) -> None:
    deploy(connection, release(deployment(replicas=1), connection, 1))
    was = state_of(connection)
    extra = "{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}, data: {a: '1'}}"
    job = (
        "{apiVersion: batch/v1, kind: Job, metadata: {name: migrate}, spec: {template: {spec: "
        "{restartPolicy: Never, containers: [{name: m, image: x, command: [python, -c, '']}]}}}}"
    )
    text = f"{extra}\n---\n{deployment(replicas=2)}\n---\n{job}"
    made = plan(connection, release(text, connection, 2), selector="app=ml-model", version="v")
    # Somebody makes another job of this name meanwhile: its template can't be changed.
    other = json.loads(json.dumps(from_yaml(job)[0].body).replace('"x"', '"y"'))
    connection.request(
        "POST", f"/apis/batch/v1/namespaces/{connection.namespace}/jobs", body=json.dumps(other).encode()
    )
    with pytest.raises(ApplyUndone, match="Job migrate failed"):
        apply(connection, made, report=lambda line: None)
    assert state_of(connection) == was
    again = plan(connection, release(deployment(replicas=1), connection, 1), selector="app=ml-model", version="v")
    assert ([change.action for change in again.changes], again.conflicts) == (["none", "none"], ())


def state_of(connection: Connection) -> dict[str, object]:
    """What is wanted of all config maps, services and deployments, and who owns which fields of it."""
    found: dict[str, object] = {}
    for path in (
        "api/v1/namespaces/{}/configmaps",
        "api/v1/namespaces/{}/services",
        "apis/apps/v1/namespaces/{}/deployments",
    ):
        for item in json.loads(connection.request("GET", "/" + path.format(connection.namespace)))["items"]:
            owners = [
                (entry["manager"], entry["operation"], entry["fieldsV1"])
                for entry in item["metadata"]["managedFields"]
                if not entry.get("subresource")
            ]
            found[item["metadata"]["name"] + path] = (item.get("spec"), item.get("data"), owners)
    return found


def test_a_field_that_does_not_exist_and_one_that_may_not_change(connection: Connection) -> None:
    wrong = release(deployment().replace("replicas: 2", "replics: 2"), connection, 1)
    with pytest.raises(Invalid, match=r"replics"):
        plan(connection, wrong, selector="", version="v")
    deploy(connection, release(deployment(), connection, 1))
    other = release(
        deployment().replace("matchLabels: {app: ml-model}", "matchLabels: {app: ml-model, a: b}"), connection, 1
    )
    for manifest in other:
        if manifest.kind == "Deployment":
            manifest.body["spec"]["template"]["metadata"]["labels"]["a"] = "b"
    with pytest.raises(Invalid, match=r"spec\.selector can't be changed"):
        plan(connection, other, selector="", version="v")


def test_a_crash_loop_ends_the_rollout_with_the_last_words_of_the_container(connection: Connection) -> None:
    manifests = release(deployment(replicas=1, environment="{name: CRASH, value: '1'}"), connection, 1)
    deploy(connection, manifests)
    verdict = roll_out(connection, manifests)
    assert not verdict.succeeded
    assert "Container model ended with exit code 3" in verdict.reason
    assert verdict.log_tail[-1] == "Traceback: bad model file"


def test_a_sick_server_misses_its_deadline_with_the_text_of_its_probe(connection: Connection) -> None:
    manifests = release(deployment(replicas=1, environment="{name: SICK, value: '1'}", deadline=3), connection, 1)
    deploy(connection, manifests)
    verdict = roll_out(connection, manifests)
    assert verdict.sentence == f'deployment "{WORKLOAD}" exceeded its progress deadline'
    assert "Readiness probe failed" in verdict.reason
    assert "500" in verdict.reason


def test_a_pod_that_dies_while_it_settles_is_in_the_evidence(connection: Connection) -> None:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    assert roll_out(connection, manifests).succeeded
    killed: list[str] = []

    def report(snapshot: PodsSnapshot) -> None:
        if not killed and snapshot.watch.state == "live":
            killed.append("now")
            die(connection)

    evidence = settled(connection, "ml-model@v1", 1, 3, report)
    assert evidence.restarts >= 1
    assert evidence.serving == 0
    assert any("model ended with exit code 1" in event.message for event in evidence.events)


def die(connection: Connection) -> None:
    body = connection.request("GET", f"/api/v1/namespaces/{connection.namespace}/services/ml-model")
    address = json.loads(body)["metadata"]["annotations"]["local.mlconsole.dev/address"]
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://{address}/die", timeout=5)


def test_pods_that_never_come_end_the_wait(connection: Connection) -> None:
    evidence = settled(connection, "ml-model@v1", 1, 1, arrival=0.3)
    assert (evidence.serving, evidence.settled, evidence.rows) == (0, 0, ())


def test_logs_and_events_of_a_pod(connection: Connection) -> None:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    (row,) = settled(connection, "ml-model@v1", 1, 0).rows
    assert logs.tail(connection, connection.namespace, row.name) == ("starting v1",)
    assert logs.tail(connection, connection.namespace, row.name, previous=True) == ()
    assert "Started" in {event.reason for event in recent(connection, [row.uid])}
    with pytest.raises(NotFound):
        logs.tail(connection, connection.namespace, "absent")


def test_a_log_is_followed_over_a_restart_and_ends_with_its_pod(connection: Connection) -> None:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    (row,) = settled(connection, "ml-model@v1", 1, 0).rows
    lines: list[str] = []
    cancelled = threading.Event()
    thread = threading.Thread(
        target=logs.follow,
        args=(connection, connection.namespace, row.name),
        kwargs={"on_line": lines.append, "cancelled": cancelled},
    )
    thread.start()
    wait_for(lambda: lines == ["starting v1"])
    die(connection)
    wait_for(lambda: lines == ["starting v1", "dying", "starting v1"])
    began = time.monotonic()
    cancelled.set()
    thread.join(5)
    assert time.monotonic() - began < 0.5
    assert lines == ["starting v1", "dying", "starting v1"]


def test_a_deleted_pod_and_a_restart_make_new_ones(connect: Callable[[], Connection]) -> None:
    connection = connect()
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    watcher = PodWatcher(connect, "app=ml-model", lambda: None)
    watcher.start()
    try:
        first = wait_for_one(watcher, set())
        actions.delete_pod(connection, connection.namespace, first)
        second = wait_for_one(watcher, {first})
        actions.restart(connection, workloads_of(manifests)[0])
        assert roll_out(connection, manifests).succeeded
        assert wait_for_one(watcher, {first, second})
    finally:
        watcher.stop()


def wait_for_one(watcher: PodWatcher, gone: set[str]) -> str:
    """Wait until one pod alone is ready that is not among those that are to go; returns its name."""

    def names() -> list[str]:
        return [row.name for row in watcher.snapshot().rows]

    wait_for(lambda: len(names()) == 1 and names()[0] not in gone and watcher.snapshot().rows[0].is_ready)
    return names()[0]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_access_is_reviewed_for_each_verb_and_resource(connection: Connection) -> None:
    answers = review(connection, from_yaml(deployment()))
    asked = {(answer.verb, answer.resource) for answer in answers}
    assert {("patch", "deployments.apps"), ("create", "services"), ("watch", "pods"), ("get", "pods/log")} <= asked
    assert all(answer.allowed for answer in answers)
    assert answers[0].sentence == f"may get deployments.apps in namespace {connection.namespace}"
    assert ("create", "pods/proxy") not in asked
    smoke = review(connection, from_yaml(deployment()), smoke_method="POST")[-1]
    assert (smoke.verb, smoke.resource, smoke.allowed) == ("create", "pods/proxy", True)


def test_what_is_taken_out_of_a_manifest_goes_although_it_was_first_applied_by_hand(
    connection: Connection, kubectl: Callable[..., str]
) -> None:
    before = deployment(replicas=1, environment="{name: EXTRA, value: '1'}")
    kubectl("apply", "-f", "-", text=before)
    deploy(connection, release(before, connection, 1))
    deploy(connection, release(deployment(replicas=1), connection, 2))
    names = kubectl("get", "deploy", WORKLOAD, "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}")
    assert "EXTRA" not in names
    assert "MODEL_VERSION" in names


def test_a_watcher_over_tls_stops_within_50_ms(connect: Callable[[], Connection]) -> None:
    took = []
    for _ in range(3):
        watcher = PodWatcher(connect, "", lambda: None)
        watcher.start()
        wait_for(lambda watcher=watcher: watcher.snapshot().watch.state == "live")
        began = time.monotonic()
        watcher.stop()
        took.append(time.monotonic() - began)
        assert not watcher._watcher._thread.is_alive()
    assert min(took) < 0.05


def test_rows_are_those_that_kubectl_prints(connect: Callable[[], Connection], kubectl: Callable[..., str]) -> None:
    connection = connect()
    manifests = release(deployment(replicas=2), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    rows = settled(connection, "ml-model@v1", 2, 0).rows
    printed = [line.split()[:4] for line in kubectl("get", "pods", "--no-headers").splitlines()]
    assert [[row.name, row.ready, row.status, row.restarts] for row in rows] == printed


def test_a_job_is_followed_and_told_apart_from_a_failed_one(connection: Connection) -> None:
    def job(name: str, code: int) -> str:
        container = f'{{name: m, image: x, command: [python, -c, "print(1); raise SystemExit({code})"]}}'
        template = f"{{spec: {{restartPolicy: Never, containers: [{container}]}}}}"
        return (
            f"{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, namespace: {connection.namespace}}}, "
            f"spec: {{backoffLimit: 0, template: {template}}}}}"
        )

    manifests = from_yaml(f"{job('good', 0)}\n---\n{job('bad', 3)}")
    apply(connection, plan(connection, manifests, selector="", version=""), report=lambda line: None)
    good, bad = follow(
        connection,
        workloads_of(manifests),
        report=lambda progress: None,
        cancelled=threading.Event(),
        timeout=30,
    )
    assert (good.succeeded, good.sentence) == (True, 'job "good" complete')
    assert not bad.succeeded
    assert bad.sentence.startswith('job "bad" failed')
    assert "exit code 3" in bad.reason
    assert bad.log_tail == ("1",)


def ready_pod(connection: Connection) -> str:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    assert roll_out(connection, manifests).succeeded
    return settled(connection, "ml-model@v1", 1, 0).rows[0].name


def test_a_port_of_a_pod_is_brought_here_for_several_connections(connection: Connection) -> None:
    pod = ready_pod(connection)
    problems: list[Problem] = []
    forward = PortForward(connection, connection.namespace, pod, on_problem=problems.append)
    forward.start()
    try:
        assert forward.port == 8080
        url = f"http://127.0.0.1:{forward.local_port}/"
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: urllib.request.urlopen(url, timeout=10).read(), range(12)))
        assert answers == [b"v1"] * 12
        idle = socket.create_connection(("127.0.0.1", forward.local_port), timeout=5)
    finally:
        forward.stop()
    # One that was not accepted yet is reset.
    with contextlib.suppress(ConnectionResetError), idle:
        assert idle.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", forward.local_port), timeout=5)
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("port-forward")])
    assert problems == []


def test_a_port_on_which_nothing_listens_is_told(connection: Connection) -> None:
    pod = ready_pod(connection)
    problems: list[Problem] = []
    forward = PortForward(connection, connection.namespace, pod, 9, on_problem=problems.append)
    forward.start()
    try:
        with socket.create_connection(("127.0.0.1", forward.local_port), timeout=5) as client:
            assert client.recv(1) == b""
        wait_for(lambda: bool(problems))
    finally:
        forward.stop()
    assert problems[0].sentence.startswith(f"{pod} can't be reached on port 9: an error occurred forwarding 9")


def test_a_pod_or_port_that_is_not_there_is_told_at_once(connection: Connection) -> None:
    with pytest.raises(NotFound, match="no absent among"):
        PortForward(connection, connection.namespace, "absent").start()
    pod = ready_pod(connection)
    with pytest.raises(WrongUse, match="declares no port metrics"):
        PortForward(connection, connection.namespace, pod, "metrics").start()


def test_every_ready_pod_answers_the_smoke_test_through_the_api_server(connection: Connection) -> None:
    pod = ready_pod(connection)
    asked = [SmokeTest(path="/", contains=wanted) for wanted in ("v1", "v2")]
    answers = [ask_all(connection, [pod], test, cancelled=threading.Event())[0] for test in asked]
    assert [(answer.passed, answer.status, answer.sentence) for answer in answers] == [
        (True, 200, "v1"),
        (False, 200, "answered without 'v2': v1"),
    ]


def test_the_logs_of_all_pods_are_followed_as_they_come_and_go(connect: Callable[[], Connection]) -> None:
    connection = connect()
    first = ready_pod(connection)
    got: list[LogLine] = []
    merged = MergedLogs(connect, "app=ml-model", got.extend)
    merged.start()
    try:
        wait_for(lambda: [line.pod for line in got] == [first])
        actions.delete_pod(connection, connection.namespace, first)
        wait_for(lambda: len({line.pod for line in got if line.text == "starting v1"}) == 2)
    finally:
        merged.stop()
    assert [line.at for line in got] == sorted(line.at for line in got)


def other_kind(kind: str, environment: str = "", replicas: int = 2) -> str:
    """The test server as a StatefulSet or a DaemonSet."""
    text = deployment(replicas=replicas, environment=environment).replace("kind: Deployment", f"kind: {kind}")
    text = text.replace("  progressDeadlineSeconds: 30\n", "")
    if kind == "StatefulSet":
        return text.replace("  selector: {matchLabels", "  serviceName: ml-model\n  selector: {matchLabels")
    return text.replace(f"  replicas: {replicas}\n", "")


@pytest.mark.parametrize(
    ("kind", "pods", "sentence"),
    [
        ("StatefulSet", 2, "partitioned roll out complete: 2 new pods have been updated..."),
        ("DaemonSet", 1, 'daemon set "ml-model-deployment" successfully rolled out'),
    ],
)
def test_other_kinds_are_released_twice(connection: Connection, kind: str, pods: int, sentence: str) -> None:
    for number in (1, 2):
        manifests = release(other_kind(kind), connection, number)
        deploy(connection, manifests)
        verdict = roll_out(connection, manifests)
        assert verdict.succeeded, verdict
        assert verdict.sentence.startswith(sentence)
        wanted = wanted_pods(connection, manifests, "app=ml-model")
        evidence = settled(connection, f"ml-model@v{number}", wanted, 0.2)
        assert (wanted, evidence.serving, evidence.restarts) == (pods, pods, 0)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_other_kinds_that_crash_are_given_up_with_the_reason(connection: Connection, kind: str) -> None:
    good = release(other_kind(kind), connection, 1)
    deploy(connection, good)
    assert roll_out(connection, good).succeeded
    manifests = release(other_kind(kind, "{name: CRASH, value: '1'}"), connection, 2)
    deploy(connection, manifests)
    verdict = roll_out(connection, manifests)
    assert not verdict.succeeded
    assert "Container model ended with exit code 3" in verdict.reason
    assert verdict.log_tail[-1] == "Traceback: bad model file"
