"""The answers of a real API server to the same requests."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes-recordings" / "responses.json"

pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings of a real cluster are not beside this checkout"
)

Object = dict[str, Any]

DEPLOYMENT = "/apis/apps/v1/namespaces/errs/deployments/ml-model-deployment"
_CHANGING = {"uid", "resourceVersion", "creationTimestamp", "time"}


def recorded(name: str) -> Object:
    record: Object = json.loads(RECORDINGS.read_text(encoding="utf-8"))[name]
    return record


def manifest(**changes: Any) -> Object:
    command = "mkdir -p /tmp/w; echo ok > /tmp/w/healthz; sleep 2; exec httpd -f -p 8080 -h /tmp/w"
    container = {
        "name": "model",
        "image": changes.get("image", "registry.local/busybox:1"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
        "env": [{"name": "MODEL_VERSION", "value": "v1"}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    }
    if "image" in changes and changes["image"] is None:
        del container["image"]
    labels = changes.get("labels", {"app": "ml-model"})
    template = {
        "metadata": {"labels": labels, "annotations": {"model-version": "v1"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    selector = {"matchLabels": changes.get("selector", {"app": "ml-model"})}
    spec = {"replicas": changes.get("replicas", 1), "progressDeadlineSeconds": 12}
    meta = {"labels": {"app": "ml-model"}, "annotations": {"kubernetes.io/change-cause": "ml-model v1"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta | {"name": "ml-model-deployment"},
        "spec": spec | {"selector": selector, "template": template},
    }


def steady(value: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(value, dict):
        return {key: "…" if key in _CHANGING else steady(item) for key, item in value.items()}
    return [steady(item) for item in value] if isinstance(value, list) else value


def path_of(record: Object) -> str:
    return str(record["request"]["path"])


async def test_an_applied_deployment_is_stored_with_its_defaults_and_its_manager(api: Any) -> None:
    record = recorded("apply-created")
    answer = await api.apply(path_of(record), manifest())
    assert answer.status == 201
    assert steady(answer.body) == steady(record["body"])


async def test_a_dry_run_says_what_would_be_stored_and_stores_nothing(api: Any) -> None:
    await api.apply(DEPLOYMENT + "?fieldManager=mlconsole", manifest())
    before = api.store.version
    record = recorded("apply-dry-run")
    answer = await api.apply(path_of(record), manifest(image="registry.local/busybox:2"))
    assert answer.status == 200
    spec, generation = answer.body["spec"], answer.body["metadata"]["generation"]
    assert (spec, generation) == (record["body"]["spec"], record["body"]["metadata"]["generation"])
    assert api.store.version == before


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("apply-conflict", {"replicas": 5}),
        ("apply-invalid", {"replicas": -2, "labels": {"app": "x"}, "image": None}),
        ("apply-immutable-selector", {"selector": {"app": "other"}, "labels": {"app": "other"}}),
    ],
)
async def test_a_refused_apply_is_answered_in_the_same_words(api: Any, name: str, changes: Object) -> None:
    await api.apply(DEPLOYMENT + "?fieldManager=mlconsole", manifest())
    record = recorded(name)
    body = manifest(**changes)
    if name == "apply-conflict":
        body["spec"] = {"replicas": 5, "selector": body["spec"]["selector"], "template": body["spec"]["template"]}
    answer = await api.apply(path_of(record), body)
    assert (answer.status, answer.body) == (record["status"], record["body"])


async def test_an_unknown_field_is_not_declared_in_the_schema(api: Any) -> None:
    record = recorded("apply-unknown-field-strict")
    body = manifest()
    body["spec"]["replics"] = 3
    answer = await api.apply(path_of(record), body)
    assert (answer.status, answer.body) == (record["status"], record["body"])


async def test_a_body_that_is_no_object_is_refused(api: Any) -> None:
    record = recorded("bad-json")
    answer = await api.apply(path_of(record), b"not an object")
    assert (answer.status, answer.body) == (record["status"], record["body"])


async def test_applying_into_a_missing_namespace_names_the_namespace(api: Any) -> None:
    record = recorded("namespace-missing")
    body = manifest() | {"metadata": {"name": "a"}}
    answer = await api.apply(path_of(record), body)
    assert (answer.status, answer.body) == (record["status"], record["body"])


@pytest.mark.parametrize("name", ["get-missing", "kind-unknown", "unauthorized"])
async def test_a_refused_read_is_answered_in_the_same_words(api: Any, name: str) -> None:
    record = recorded(name)
    headers = {"Authorization": "Bearer wrong"} if name == "unauthorized" else {}
    answer = await api.get(path_of(record), **headers)
    assert answer.status == record["status"]
    assert answer.headers["Content-Type"].startswith(record["contentType"].split(";")[0])
    assert (answer.text if isinstance(record["body"], str) else answer.body) == record["body"]


async def test_a_list_at_a_version_of_the_future_times_out(api: Any) -> None:
    record = recorded("list-resource-version-too-large")
    answer = await api.get(path_of(record))
    expected = copy.deepcopy(record["body"])
    expected["message"] = re.sub(r"current: \d+", f"current: {api.store.version}", expected["message"])
    assert (answer.status, answer.body) == (record["status"], expected)


async def test_a_watch_from_too_long_ago_is_told_so_in_the_stream(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlconsole.localcluster.store.HISTORY", 2)
    for index in range(8):
        head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{index}", "namespace": "errs"}}
        api.store.create("configmaps", head)
    record = recorded("watch-too-old")
    answer = await api.get(path_of(record))
    expected = copy.deepcopy(record["body"])
    expected["object"]["message"] = f"too old resource version: 1 ({api.store.version - 2})"
    assert (answer.status, answer.body) == (200, expected)


async def test_an_access_review_is_answered_with_yes(api: Any) -> None:
    record = recorded("access-review-denied")
    body = {key: record["body"][key] for key in ("kind", "apiVersion", "spec")}
    answer = await api.ask("POST", path_of(record), body)
    assert answer.status == record["status"]
    assert answer.body["spec"] == record["body"]["spec"]
    assert answer.body["status"]["allowed"] is True
