"""Real kubectl against a real cluster: its core with every version that is installed, all else with the newest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlconsole.localcluster import control
from tests.localcluster.kubectls import installed, newest
from tests.waiting import until

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not installed(), reason="kubectl is not installed"),
]

Object = dict[str, Any]

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.environ['MODEL_VERSION']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
print("model is loaded", flush=True)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
SLEEP = "import signal; signal.pause()"
TALK = f"print('model is loaded', flush=True); {SLEEP}"


class Kubectl:
    """One kubectl in one namespace."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, namespace: str) -> None:
        self.namespace = namespace
        self.command = [str(binary), "--namespace", namespace]
        self.env = {"KUBECONFIG": str(kubeconfig), "HOME": str(home), "PATH": os.environ["PATH"]}

    def run(self, *words: str, stdin: str | None = None, code: int | None = 0) -> str:
        done = subprocess.run(
            [*self.command, *words], input=stdin, capture_output=True, text=True, env=self.env, timeout=120
        )
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, f"{words}: exit {done.returncode}\n{said}"
        return said

    def __call__(self, line: str, **options: Any) -> str:
        return self.run(*line.split(), **options)

    def open(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*self.command, *line.split()], stdout=subprocess.PIPE, text=True, env=self.env)


def workload(name: str, code: str, **template: Any) -> Object:
    container = {
        "name": "model",
        "image": "ml-model:v1",
        "command": [sys.executable, "-c", code],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "MODEL_VERSION", "value": "v1"}],
    }
    container |= template
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 3, "containers": [container]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }


def service(name: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def manifest(*objects: Object) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.ClusterInfo]:
    root = tmp_path_factory.mktemp("project")
    info = control.start(root, root / ".mlconsole" / "cluster")
    yield info
    assert control.stop(info.state) is True


@pytest.fixture(scope="module")
def served(cluster: control.ClusterInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A namespace ``models`` to look at: a served model, a finished job, a crashed pod. Gives a home for kubectl."""
    home = tmp_path_factory.mktemp("home")
    kubectl = Kubectl(newest(), cluster.kubeconfig, home, "models")
    kubectl("create namespace models")
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 20}
    web = workload("web", SERVER, readinessProbe=probe)
    crash = {"name": "c", "image": "i", "command": [sys.executable, "-c", "print('no model'); raise SystemExit(3)"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "crash"}, "spec": {"containers": [crash]}}
    done = {"name": "train", "image": "i", "command": [sys.executable, "-c", "print('epoch=1 loss=0.5')"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [done]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}, "spec": {"template": template}}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"threshold": "0.5"}}
    kubectl("apply -f -", stdin=manifest(web, service("web"), pod, job, settings))
    kubectl("rollout status deployment/web --timeout=90s")
    kubectl("wait --for=condition=complete job/train --timeout=90s")
    until(lambda: "BackOff" in kubectl("get events --field-selector involvedObject.name=crash"))
    return home


@pytest.fixture
def looking(cluster: control.ClusterInfo, served: Path) -> Kubectl:
    return Kubectl(newest(), cluster.kubeconfig, served, "models")


@pytest.fixture(scope="module")
def make_writing(
    cluster: control.ClusterInfo, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path, str], Kubectl]:
    """Makes a kubectl of one version with a namespace of its own."""
    home = tmp_path_factory.mktemp("home")

    def make(binary: Path, namespace: str) -> Kubectl:
        kubectl = Kubectl(binary, cluster.kubeconfig, home, namespace)
        kubectl(f"create namespace {namespace}")
        return kubectl

    return make


@pytest.fixture(scope="module")
def writing(make_writing: Callable[[Path, str], Kubectl]) -> Kubectl:
    return make_writing(newest(), "writing")


@pytest.mark.parametrize("binary", installed(), ids=lambda path: path.name)
def test_every_version_applies_follows_looks_and_deletes(
    make_writing: Callable[[Path, str], Kubectl], binary: Path
) -> None:
    kubectl = make_writing(binary, "w-" + re.sub("[^a-z0-9]+", "-", binary.name))
    first, second = workload("a", TALK), workload("a", TALK, image="ml-model:v2")
    assert "+kind: Deployment" in kubectl("diff -f -", stdin=manifest(first), code=1)
    assert (
        kubectl("apply -f -", stdin=manifest(first, service("a"))) == "deployment.apps/a created\nservice/a created\n"
    )
    kubectl("wait --for=condition=available deployment/a --timeout=90s")
    assert kubectl("logs deploy/a") == "model is loaded\n"
    with kubectl.open("get deploy a -w -o name") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "deployment.apps/a\n"
        kubectl("apply -f -", stdin=manifest(second))
        assert watching.stdout.readline() == "deployment.apps/a\n"
        watching.terminate()
    assert "successfully rolled out" in kubectl("rollout status deployment/a --timeout=90s")
    assert re.search(r"a-\S+ +1/1 +Running +0 +\d+s\n", kubectl("get pods"))
    assert "Successfully assigned" in kubectl("describe pods")
    assert kubectl("apply --server-side --force-conflicts -f -", stdin=manifest(second)).endswith("applied\n")
    assert "rolled back" in kubectl("rollout undo deployment/a")
    assert "successfully rolled out" in kubectl("rollout status deployment/a --timeout=90s")
    assert kubectl("get deploy a -o jsonpath={.spec.template.spec.containers[0].image}") == "ml-model:v1"
    assert kubectl("delete -f -", stdin=manifest(first, service("a"))).count("deleted") == 2
    assert "NotFound" in kubectl("get deploy a", code=1)


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("version", r"Server Version: .*v1\."),
        ("api-resources", r"deployments +deploy +apps/v1 +true +Deployment"),
        ("get pods -l app=web", r"NAME +READY +STATUS +RESTARTS +AGE\nweb-\S+ +1/1 +Running +0 +\d+s"),
        ("get pods -o wide -l app=web", r"IP +NODE .*\nweb-.* 127\.0\.0\.1 +local +<none> +<none>"),
        ("get pods -A", r"NAMESPACE +NAME .*\nmodels +crash"),
        ("get deploy,rs,svc,job,cm,ep -o name", r"deployment.apps/web\n(.*\n)*endpoints/web"),
        ("get deploy web -o yaml", r"kind: Deployment\n(.*\n)*status:\n +availableReplicas: 1"),
        ("get deploy web -o json", r'"kind": "Deployment"'),
        ("get deploy web -o jsonpath={.spec.replicas}", "1"),
        ("get pods -l app=web --field-selector status.phase=Running -o name", r"pod/web-\S+\n"),
        ("get pods -l app=web --field-selector status.phase=Failed -o name", ""),
        # Between two waits it runs, for as long as its Python needs to start.
        ("get pod crash", r"crash +(0/1 +(Error|CrashLoopBackOff)|1/1 +Running) +[1-9]\d* \(.*ago\)"),
        ("get events --field-selector involvedObject.name=crash", r"Warning +BackOff +pod/crash"),
        ("get nodes", r"local +Ready "),
        ("get rollouts", 'error: the server doesn\'t have a resource type "rollouts"'),
        ("get deploy none", r'Error from server \(NotFound\): deployments.apps "none" not found'),
        ("describe pod crash", r"Exit Code: +3\n(.*\n)*Events:\n(.*\n)*.*Back-?off restarting failed container"),
        (
            "describe deploy web",
            r"Replicas: +1 desired \| 1 updated \| 1 total \| 1 available(.*\n)*NewReplicaSet: +web-\w+ \(1/1",
        ),
        ("describe svc web", r"Endpoints: +127\.0\.0\.1:\d+"),
        ("describe job train", r"Pods Statuses: +0 Active .*1 Succeeded / 0 Failed"),
        ("describe cm settings", r"threshold:\n----\n0.5\n"),
        ("describe node local", r"HolderIdentity: +local\n(.*\n)*.*Ready +True"),
        ("logs deploy/web", "model is loaded\n"),
        ("logs -l app=web --tail=1 --prefix", r"\[pod/web-\S+/model\] model is loaded\n"),
        ("logs job/train --timestamps", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z epoch=1 loss=0.5\n"),
        ("logs -f job/train", "epoch=1 loss=0.5\n"),
        ("logs crash --previous", "no model\n"),
        (
            "exec deploy/web -- ls",
            "the local cluster does not offer exec: its containers are processes of this machine",
        ),
        ("auth can-i create deployments", "yes"),
        ("get --raw /api/v1/namespaces/models/services/web:http/proxy/predict?rows=3", r"v1 /predict\?rows=3"),
        ("get --raw /readyz", "ok"),
    ],
)
def test_what_is_there_can_be_looked_at(looking: Kubectl, line: str, pattern: str) -> None:
    said = looking(line, code=None)
    assert re.search(pattern, said), said
    assert pattern or not said


def test_changes_show_up_while_watching(looking: Kubectl) -> None:
    with looking.open("get configmap settings -w -o name") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "configmap/settings\n"
        looking(f"annotate configmap settings seen={time.time_ns()} --overwrite")
        assert watching.stdout.readline() == "configmap/settings\n"
        watching.terminate()


def test_a_port_is_forwarded_for_one_request_after_another(looking: Kubectl) -> None:
    minor = re.search(r"kubectl\.1\.(\d+)$", looking.command[0])
    if minor is not None and int(minor[1]) < 31:
        pytest.skip("kubectl before 1.31 speaks SPDY alone")
    with looking.open("port-forward deploy/web :8080") as forwarding:
        assert forwarding.stdout is not None
        port = re.search(r"127\.0\.0\.1:(\d+) ->", forwarding.stdout.readline())
        assert port is not None
        for rows in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/predict?rows={rows}", timeout=40) as answer:
                assert answer.read() == f"v1 /predict?rows={rows}".encode()
        forwarding.terminate()


def test_a_manifest_is_applied_changed_and_compared(writing: Kubectl) -> None:
    first = workload("a", SLEEP)
    assert "+kind: Deployment" in writing("diff -f -", stdin=manifest(first), code=1)
    assert writing("apply -f -", stdin=manifest(first, service("a"))).split("\n")[:2] == [
        "deployment.apps/a created",
        "service/a created",
    ]
    writing("wait --for=condition=available deployment/a --timeout=90s")
    assert writing("apply -f -", stdin=manifest(first)) == "deployment.apps/a unchanged\n"
    assert writing("diff -f -", stdin=manifest(first)) == ""
    second = workload("a", SLEEP, image="ml-model:v2", env=[{"name": "DEBUG", "value": "1"}])
    assert "ml-model:v2" in writing("diff -f -", stdin=manifest(second), code=1)
    assert writing("apply -f -", stdin=manifest(second)) == "deployment.apps/a configured\n"
    container = json.loads(writing("get deploy a -o jsonpath={.spec.template.spec.containers}"))[0]
    assert (container["image"], container["env"]) == ("ml-model:v2", [{"name": "DEBUG", "value": "1"}])
    writing("rollout status deployment/a --timeout=90s")


def test_an_unknown_field_is_named(writing: Kubectl) -> None:
    wrong = workload("typo", SLEEP)
    wrong["spec"]["replicaz"] = 2
    assert 'unknown field "spec.replicaz"' in writing("apply -f -", stdin=manifest(wrong), code=1)
    assert ".spec.replicaz: field not declared in schema" in writing(
        "apply --server-side -f -", stdin=manifest(wrong), code=1
    )


def test_server_side_apply_takes_over_from_client_side_apply(writing: Kubectl) -> None:
    writing(
        "apply -f -", stdin=manifest(workload("s", SLEEP) | {"spec": workload("s", SLEEP)["spec"] | {"paused": True}})
    )
    plain = workload("s", SLEEP)
    assert writing("apply --server-side -f -", stdin=manifest(plain)) == "deployment.apps/s serverside-applied\n"
    writing("apply --server-side -f -", stdin=manifest(plain))
    stored = json.loads(writing("get deploy s -o json --show-managed-fields"))
    assert "paused" not in stored["spec"]
    managers = {entry["manager"] for entry in stored["metadata"]["managedFields"]}
    assert "kubectl" in managers and "kubectl-client-side-apply" not in managers
    other = workload("s", SLEEP)
    other["spec"]["replicas"] = 2
    assert "replicas: 2" in writing("diff --server-side -f -", stdin=manifest(other), code=1)
    conflict = writing("apply --server-side --field-manager=other -f -", stdin=manifest(other), code=1)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in conflict
    writing("apply --server-side --field-manager=other --force-conflicts -f -", stdin=manifest(other))
    assert writing("get deploy s -o jsonpath={.spec.replicas}") == "2"


def test_a_rollout_goes_forth_and_back(writing: Kubectl) -> None:
    writing("apply -f -", stdin=manifest(workload("r", SLEEP)))
    assert writing("set image deployment/r model=ml-model:v2") == "deployment.apps/r image updated\n"
    writing("set env deployment/r MODEL_VERSION=v3")
    assert 'deployment "r" successfully rolled out' in writing("rollout status deployment/r --timeout=90s")
    assert re.search(r"\n1 .*\n2 .*\n3 ", writing("rollout history deployment/r"))
    assert "rolled back" in writing("rollout undo deployment/r --to-revision=1")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert writing(f"get deploy r -o {image}") == "ml-model:v1"
    assert "restarted" in writing("rollout restart deployment/r")
    assert "scaled" in writing("scale deployment/r --replicas=2")
    assert "successfully rolled out" in writing("rollout status deployment/r --timeout=90s")
    assert writing("get deploy r -o jsonpath={.status.readyReplicas}") == "2"


@pytest.mark.parametrize(
    ("kind", "said"), [("StatefulSet", "roll out complete: 2 new pods"), ("DaemonSet", "rolled out")]
)
def test_ordered_pods_and_daemons_are_rolled_out(writing: Kubectl, kind: str, said: str) -> None:
    made = workload(kind.lower(), SLEEP) | {"kind": kind}
    count = {"replicas": 2, "serviceName": "none"} if kind == "StatefulSet" else {}
    made["spec"] = {key: value for key, value in made["spec"].items() if key != "replicas"} | count
    writing("apply -f -", stdin=manifest(made))
    assert said in writing(f"rollout status {kind}/{kind.lower()} --timeout=90s")
    writing(f"set image {kind}/{kind.lower()} model=ml-model:v2")
    assert said in writing(f"rollout status {kind}/{kind.lower()} --timeout=90s")
    images = writing(f"get pods -l app={kind.lower()} -o jsonpath={{.items[*].spec.containers[0].image}}").split()
    assert images == ["ml-model:v2"] * (2 if kind == "StatefulSet" else 1)
    assert re.search(rf"{kind.lower()} +(2/2|1 +1 +1 +1 +1 +<none>) +\d+s", writing(f"get {kind}"))
    assert "Pods Status:" in writing(f"describe {kind} {kind.lower()}")
    assert "deleted" in writing(f"delete {kind} {kind.lower()}")


def test_a_quota_of_pods_is_kept_and_told(make_writing: Callable[[Path, str], Kubectl]) -> None:
    kubectl = make_writing(newest(), "quota")
    kubectl("create quota few --hard=pods=1")
    kubectl("apply -f -", stdin=manifest(workload("a", SLEEP)))
    kubectl("wait --for=condition=available deployment/a --timeout=90s")
    kubectl("scale deployment/a --replicas=2")
    kubectl("wait --for=condition=ReplicaFailure deployment/a --timeout=90s")
    assert "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1" in kubectl("describe rs")
    assert re.search(r"few +pods: 1/1 ", kubectl("get quota"))
    assert "is forbidden: exceeded quota: few" in kubectl("run b --image=x", code=1)
    assert re.search(r"pods +1 +1", kubectl("describe quota few"))


def test_objects_are_changed_in_every_way(writing: Kubectl) -> None:
    assert writing("create configmap c --from-literal=a=1") == "configmap/c created\n"
    writing("label configmap c team=ml")
    writing("annotate configmap c note=kept")
    writing.run("patch", "configmap", "c", "-p", '{"data":{"b":"2"}}')
    writing.run("patch", "configmap", "c", "--type=merge", "-p", '{"data":{"a":null}}')
    writing.run("patch", "configmap", "c", "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"3"}]')
    stored = json.loads(writing("get configmap c -o json"))
    assert stored["data"] == {"b": "2", "c": "3"}
    assert (stored["metadata"]["labels"], stored["metadata"]["annotations"]) == ({"team": "ml"}, {"note": "kept"})
    stored["data"] = {"new": "4"}
    assert writing("replace -f -", stdin=json.dumps(stored)) == "configmap/c replaced\n"
    stale = writing("replace -f -", stdin=json.dumps(stored), code=1)
    assert "the object has been modified" in stale
    assert writing("get configmap c -o jsonpath={.data}") == '{"new":"4"}'


def test_what_is_created_runs_and_is_gone_after_delete(writing: Kubectl) -> None:
    writing.run("create", "job", "j", "--image=x", "--", sys.executable, "-c", "print('done')")
    writing.run("create", "deployment", "d", "--image=x", "--port=80", "--", sys.executable, "-c", SLEEP)
    writing("wait --for=condition=ready pod -l app=d --timeout=90s")
    writing("wait --for=condition=complete job/j --timeout=90s")
    assert writing("logs job/j") == "done\n"
    pod = writing("get pods -l app=d -o name").strip()
    assert "deleted" in writing(f"delete {pod}")
    assert "NotFound" in writing(f"get {pod}", code=1)
    assert "deleted" in writing("delete deployment,job -l app=d")
    assert "deleted" in writing("delete job j")
    writing("wait --for=delete pod -l app=d --timeout=90s")
    writing("apply -f -", stdin=manifest(workload("f", SLEEP), service("f")))
    assert writing("delete -f -", stdin=manifest(workload("f", SLEEP), service("f"))).count("deleted") == 2
    assert "NotFound" in writing("get deploy f", code=1)
