"""The whole way against a running cluster: plan, apply, follow, settle; and kubectl beside it."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.cluster import (
    PodsSnapshot,
    WorkloadRef,
)
from mlconsole.services.kubernetes import actions
from mlconsole.services.kubernetes.access import review
from mlconsole.services.kubernetes.apply import ApplyUndone, apply
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.manifests import from_yaml
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.kubernetes.problems import Invalid
from mlconsole.services.kubernetes.revisions import wanted_pods
from mlconsole.services.kubernetes.rollout import follow, workloads_of
from tests.services.kubernetes.conftest import deployment
from tests.services.kubernetes.releasing import WORKLOAD, deploy, die, release, roll_out, settled
from tests.waiting import until

pytestmark = pytest.mark.end_to_end


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
        assert urllib.request.urlopen(service.url, timeout=40).read() == f"v{number}".encode()
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

    until(is_none)


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
    manifests = release(deployment(replicas=1, environment="{name: SICK, value: '1'}", deadline=4), connection, 1)
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
    # a container that is back before the next look was never seen away, but its restart was
    assert evidence.restarts >= 1
    assert any("model ended with exit code 1" in event.message for event in evidence.events)


def test_pods_that_never_come_end_the_wait(connection: Connection) -> None:
    evidence = settled(connection, "ml-model@v1", 1, 1, arrival=1.0)
    assert (evidence.serving, evidence.settled, evidence.rows) == (0, 0, ())


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
        timeout=90,
    )
    assert (good.succeeded, good.sentence) == (True, 'job "good" complete')
    assert not bad.succeeded
    assert bad.sentence.startswith('job "bad" failed')
    assert "exit code 3" in bad.reason
    assert bad.log_tail == ("1",)


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
