"""Reading and writing objects over HTTP: what clients send and what they are told."""

from __future__ import annotations

import copy
from typing import Any

import pytest

Object = dict[str, Any]

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(**spec: Any) -> Object:
    ports = {"selector": {"app": "ml-model"}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": ports | spec}


@pytest.mark.parametrize("path", ["/api", "/apis", "/version", "/api/v1", PODS, "/openapi/v3", "/unknown"])
async def test_nothing_is_told_without_the_token(api: Any, path: str) -> None:
    for authorization in ("", "Bearer ", "Bearer wrong", "Basic the-token-of-this-test", "Bearer héllo"):
        answer = await api.get(path, Authorization=authorization)
        assert answer.status == 401
        assert answer.body["reason"] == "Unauthorized"


async def test_readiness_is_told_to_everyone(api: Any) -> None:
    assert (await api.get("/readyz", Authorization="")).text == "ok"


async def test_discovery_names_what_is_served_and_nothing_else(api: Any) -> None:
    served = {item["name"] for item in (await api.get("/apis/apps/v1")).body["resources"]}
    scaled = ("deployments", "replicasets", "statefulsets")
    assert served == {f"{kind}{sub}" for kind in scaled for sub in ("", "/scale", "/status")} | {
        "controllerrevisions",
        "daemonsets",
        "daemonsets/status",
    }
    groups = {item["name"] for item in (await api.get("/apis")).body["groups"]}
    assert {"apps", "batch", "discovery.k8s.io", "authorization.k8s.io", "coordination.k8s.io"} < groups
    for path in ("/apis/apps/v1/namespaces/default/rollouts", "/apis/apps/v2", "/api/v2", "/apis/none"):
        answer = await api.get(path)
        assert (answer.status, answer.text) == (404, "404 page not found\n")


async def test_every_kind_that_can_be_patched_says_that_fields_are_validated(api: Any) -> None:
    index = (await api.get("/openapi/v3")).body["paths"]
    document = (await api.get(index["apis/apps/v1"]["serverRelativeURL"])).body
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}


async def test_a_created_object_can_be_read_listed_replaced_and_deleted(api: Any) -> None:
    made = await api.create(CONFIG_MAPS, config_map("c", a="1"))
    assert (await api.get(f"{CONFIG_MAPS}/c")).body == made
    assert (await api.get("/api/v1/configmaps")).body["items"] == [made]
    made["data"]["a"] = "2"
    replaced = await api.ask("PUT", f"{CONFIG_MAPS}/c", made)
    assert replaced.body["data"] == {"a": "2"}
    stale = await api.ask("PUT", f"{CONFIG_MAPS}/c", made)
    assert (stale.status, stale.body["message"]) == (
        409,
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; '
        "please apply your changes to the latest version and try again",
    )
    deleted = await api.ask("DELETE", f"{CONFIG_MAPS}/c")
    assert (deleted.status, deleted.body["status"]) == (200, "Success")
    missing = await api.get(f"{CONFIG_MAPS}/c")
    assert (missing.status, missing.body["message"]) == (404, 'configmaps "c" not found')


async def test_what_only_the_server_sets_can_not_be_set_by_a_client(api: Any) -> None:
    own = {"uid": "u", "creationTimestamp": "2000-01-01T00:00:00Z", "deletionTimestamp": "2000-01-01T00:00:00Z"}
    made = await api.create(CONFIG_MAPS, config_map("c") | {"metadata": own | {"name": "c"}})
    assert made["metadata"]["uid"] != "u" and made["metadata"]["creationTimestamp"] > "2020"
    patched = (await api.patch(f"{CONFIG_MAPS}/c", {"metadata": own | {"uid": None}})).body
    assert "deletionTimestamp" not in patched["metadata"]
    assert patched["metadata"] == made["metadata"]


async def test_the_same_name_twice_is_a_conflict(api: Any) -> None:
    await api.create(CONFIG_MAPS, config_map("c"))
    answer = await api.ask("POST", CONFIG_MAPS, config_map("c"))
    assert (answer.status, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.body["message"] == 'configmaps "c" already exists'


async def test_an_unknown_field_is_refused_warned_of_or_dropped_as_asked(api: Any, deployment: Object) -> None:
    deployment["spec"]["replicaz"] = 3
    strict = await api.ask("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", deployment)
    assert strict.status == 400
    assert strict.body["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.replicaz"'
    )
    warned = await api.ask("POST", f"{DEPLOYMENTS}?dryRun=All", deployment)
    assert warned.headers["Warning"] == '299 - "unknown field \\"spec.replicaz\\""'
    ignored = await api.ask("POST", f"{DEPLOYMENTS}?fieldValidation=Ignore", deployment)
    assert "Warning" not in ignored.headers
    assert "replicaz" not in ignored.body["spec"]
    patched = await api.patch(f"{DEPLOYMENTS}/ml-model?fieldValidation=Strict", {"spec": {"replicaz": 1}})
    assert patched.status == 422
    assert patched.body["message"].endswith('strict decoding error: unknown field "spec.replicaz"')


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (
            ("spec", "replicas"),
            "3",
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (("spec", "paused"), 1, "cannot unmarshal number into Go struct field DeploymentSpec.spec.paused of type bool"),
        (("metadata", "labels"), {"a": 1}, "Go struct field ObjectMeta.metadata.labels of type string"),
        (("spec", "template", "spec", "containers"), {}, "of type []v1.Container"),
    ],
)
async def test_a_value_of_the_wrong_type_is_refused(
    api: Any, deployment: Object, path: tuple[str, ...], value: Any, text: str
) -> None:
    place = deployment
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    answer = await api.ask("POST", DEPLOYMENTS, deployment)
    assert answer.status == 400
    assert text in answer.body["message"]


def _container(obj: Object) -> Object:
    container: Object = obj["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize(
    ("change", "causes"),
    [
        (lambda d: d["metadata"].update(name="No_Good"), {("metadata.name", "FieldValueInvalid")}),
        (lambda d: d["metadata"].update(labels={"a": "b c"}), {("metadata.labels", "FieldValueInvalid")}),
        (lambda d: d["spec"].update(replicas=-1), {("spec.replicas", "FieldValueInvalid")}),
        (
            lambda d: d["spec"]["selector"].update(matchLabels={"app": "x"}),
            {("spec.template.metadata.labels", "FieldValueInvalid")},
        ),
        (
            lambda d: d["spec"]["template"]["spec"].update(containers=[]),
            {("spec.template.spec.containers", "FieldValueRequired")},
        ),
        (lambda d: _container(d).pop("name"), {("spec.template.spec.containers[0].name", "FieldValueRequired")}),
        (lambda d: _container(d).pop("image"), {("spec.template.spec.containers[0].image", "FieldValueRequired")}),
        (
            lambda d: _container(d)["ports"][0].update(containerPort=0),
            {("spec.template.spec.containers[0].ports[0].containerPort", "FieldValueInvalid")},
        ),
        (
            lambda d: _container(d).update(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            {("spec.template.spec.containers[0].volumeMounts[0].name", "FieldValueNotFound")},
        ),
        (
            lambda d: _container(d).update(readinessProbe={"periodSeconds": 1}),
            {("spec.template.spec.containers[0].readinessProbe", "FieldValueRequired")},
        ),
        (
            lambda d: _container(d).update(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            {("spec.template.spec.containers[0].resources.requests", "FieldValueInvalid")},
        ),
        (
            lambda d: d["spec"]["template"]["spec"].update(restartPolicy="Never"),
            {("spec.template.spec.restartPolicy", "FieldValueNotSupported")},
        ),
        (lambda d: d["spec"].update(strategy={"type": "Fast"}), {("spec.strategy.type", "FieldValueNotSupported")}),
    ],
)
async def test_an_invalid_deployment_is_refused_with_its_causes(
    api: Any, deployment: Object, change: Any, causes: set[tuple[str, str]]
) -> None:
    change(deployment)
    answer = await api.ask("POST", DEPLOYMENTS, deployment)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert {(cause["field"], cause["reason"]) for cause in answer.body["details"]["causes"]} == causes
    assert api.store.list("deployments") == []


async def test_defaults_are_those_of_the_real_server(api: Any, deployment: Object) -> None:
    _container(deployment)["livenessProbe"] = {"httpGet": {"port": 8080}}
    _container(deployment)["image"] = "ml-model"
    spec = (await api.create(DEPLOYMENTS, deployment))["spec"]
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["dnsPolicy"], pod["terminationGracePeriodSeconds"]) == (
        "Always",
        "ClusterFirst",
        30,
    )
    container = pod["containers"][0]
    assert container["imagePullPolicy"] == "Always"
    assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    assert container["livenessProbe"] == {
        "httpGet": {"port": 8080, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    made = await api.create(SERVICES, service())
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert "clusterIP" not in made["spec"]


async def test_a_job_gets_a_selector_of_its_own(api: Any) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "t"}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}, "spec": {"template": template}}
    made = await api.create("/apis/batch/v1/namespaces/default/jobs", job)
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["batch.kubernetes.io/controller-uid"] == made["metadata"]["uid"]
    assert (labels["job-name"], made["spec"]["completions"], made["spec"]["backoffLimit"]) == ("train", 1, 6)
    applied = await api.apply("/apis/batch/v1/namespaces/default/jobs/train?fieldManager=x", job)
    assert applied.status == 200, applied.text


async def test_a_replaced_service_keeps_the_address_and_node_port_it_was_given(api: Any) -> None:
    made = await api.create(SERVICES, service(type="NodePort"))
    made["spec"]["clusterIP"] = "127.0.0.1"
    made["spec"]["ports"][0]["nodePort"] = 30123
    api.store.update("services", made)
    replaced = (await api.ask("PUT", f"{SERVICES}/s", service(type="NodePort"))).body
    assert (replaced["spec"]["clusterIP"], replaced["spec"]["ports"][0]["nodePort"]) == ("127.0.0.1", 30123)


async def test_the_status_is_written_by_its_subresource_only(api: Any, deployment: Object) -> None:
    made = await api.create(DEPLOYMENTS, deployment | {"status": {"replicas": 9}})
    assert made["status"] == {}
    changed = copy.deepcopy(made)
    changed["status"] = {"replicas": 2}
    changed["spec"]["replicas"] = 7
    written = (await api.ask("PUT", f"{DEPLOYMENTS}/ml-model/status", changed)).body
    assert (written["status"], written["spec"]["replicas"]) == ({"replicas": 2}, 2)
    assert written["metadata"]["generation"] == 1
    again = (await api.patch(f"{DEPLOYMENTS}/ml-model", {"status": {"replicas": 5}, "spec": {"replicas": 3}})).body
    assert (again["status"], again["spec"]["replicas"]) == ({"replicas": 2}, 3)


async def test_the_scale_is_read_and_set(api: Any, deployment: Object) -> None:
    await api.create(DEPLOYMENTS, deployment)
    scale = (await api.get(f"{DEPLOYMENTS}/ml-model/scale")).body
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 2}, "app=ml-model")
    scale["spec"]["replicas"] = 5
    assert (await api.ask("PUT", f"{DEPLOYMENTS}/ml-model/scale", scale)).body["spec"] == {"replicas": 5}
    stale = await api.ask("PUT", f"{DEPLOYMENTS}/ml-model/scale", scale)
    assert stale.status == 409
    merged = await api.patch(f"{DEPLOYMENTS}/ml-model/scale", {"spec": {"replicas": 0}}, "merge-patch+json")
    assert merged.status == 200
    assert (await api.get(f"{DEPLOYMENTS}/ml-model")).body["spec"]["replicas"] == 0


async def test_a_dry_run_of_any_write_changes_nothing(api: Any, deployment: Object) -> None:
    made = await api.create(DEPLOYMENTS, deployment)
    before = api.store.version
    changed = copy.deepcopy(deployment)
    changed["spec"]["replicas"] = 9
    other = deployment | {"metadata": {"name": "other"}}
    assert (await api.ask("POST", f"{DEPLOYMENTS}?dryRun=All", other)).status == 201
    put = await api.ask("PUT", f"{DEPLOYMENTS}/ml-model?dryRun=All", changed)
    patch = await api.patch(f"{DEPLOYMENTS}/ml-model?dryRun=All", {"spec": {"replicas": 9}})
    for answer in (put, patch):
        assert (answer.body["spec"]["replicas"], answer.body["metadata"]["generation"]) == (9, 2)
    assert (await api.ask("DELETE", f"{DEPLOYMENTS}/ml-model?dryRun=All")).status == 200
    assert (await api.get(f"{DEPLOYMENTS}/ml-model")).body == made
    assert api.store.version == before


async def test_a_patch_that_changes_nothing_is_no_write(api: Any, deployment: Object) -> None:
    made = await api.create(DEPLOYMENTS, deployment)
    for kind in ("strategic-merge-patch+json", "merge-patch+json"):
        assert (await api.patch(f"{DEPLOYMENTS}/ml-model", {"spec": {"replicas": 2}}, kind)).body == made
    applied = await api.apply(f"{DEPLOYMENTS}/ml-model?fieldManager=a", deployment)
    again = await api.apply(f"{DEPLOYMENTS}/ml-model?fieldManager=a", deployment)
    assert again.body["metadata"]["resourceVersion"] == applied.body["metadata"]["resourceVersion"]


async def test_writes_record_their_manager(api: Any, deployment: Object) -> None:
    made = await api.create(f"{DEPLOYMENTS}?fieldManager=kubectl-create", deployment)
    assert [(e["manager"], e["operation"]) for e in made["metadata"]["managedFields"]] == [("kubectl-create", "Update")]
    patched = await api.patch(f"{DEPLOYMENTS}/ml-model", {"metadata": {"labels": {"team": "ml"}}})
    own = next(e for e in patched.body["metadata"]["managedFields"] if e["manager"] == "tests")
    assert own["fieldsV1"] == {"f:metadata": {"f:labels": {"f:team": {}}}}


async def test_a_creation_owns_every_field_as_on_the_real_server(api: Any, deployment: Object) -> None:
    deployment["spec"]["template"]["spec"]["containers"] = [{"name": "nginx", "image": "nginx"}]
    made = await api.create(f"{DEPLOYMENTS}?fieldManager=kubectl-create", deployment)
    fields = made["metadata"]["managedFields"][0]["fieldsV1"]
    leaf: Object = {}
    labels = {"f:labels": {".": leaf, "f:app": leaf}}
    container = dict.fromkeys((".", "f:image", "f:imagePullPolicy", "f:name", "f:resources"), leaf)
    container |= {"f:terminationMessagePath": leaf, "f:terminationMessagePolicy": leaf}
    pod = {"f:containers": {'k:{"name":"nginx"}': container}, "f:securityContext": leaf}
    pod |= {
        f"f:{name}": leaf for name in ("dnsPolicy", "restartPolicy", "schedulerName", "terminationGracePeriodSeconds")
    }
    rolling = {".": leaf, "f:maxSurge": leaf, "f:maxUnavailable": leaf}
    spec = {f"f:{name}": leaf for name in ("progressDeadlineSeconds", "replicas", "revisionHistoryLimit", "selector")}
    spec |= {"f:strategy": {"f:rollingUpdate": rolling, "f:type": leaf}}
    spec |= {"f:template": {"f:metadata": labels, "f:spec": pod}}
    assert fields == {"f:metadata": labels, "f:spec": spec}


async def test_a_pod_is_deleted_gracefully_and_goes_at_once_when_forced(api: Any, pod: Any) -> None:
    await api.create(PODS, pod("waiting"))
    assert (await api.ask("DELETE", f"{PODS}/waiting")).status == 200
    assert (await api.get(f"{PODS}/waiting")).status == 404
    for name in ("a", "b"):
        made = await api.create(PODS, pod(name))
        made["spec"]["nodeName"] = "local"
        api.store.update("pods", made)
    marked = (await api.ask("DELETE", f"{PODS}/a")).body
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert (await api.get(f"{PODS}/a")).body["metadata"]["deletionTimestamp"]
    forced = await api.ask(
        "DELETE", f"{PODS}/b", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    )
    assert forced.status == 200
    assert (await api.get(f"{PODS}/b")).status == 404


async def test_a_delete_with_another_uid_is_a_conflict(api: Any) -> None:
    await api.create(CONFIG_MAPS, config_map("c"))
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    assert (await api.ask("DELETE", f"{CONFIG_MAPS}/c", body)).status == 409
    assert (await api.get(f"{CONFIG_MAPS}/c")).status == 200


async def test_orphans_lose_their_owner_and_stay(api: Any, deployment: Object) -> None:
    owner = await api.create(DEPLOYMENTS, deployment)
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ml-model", "uid": owner["metadata"]["uid"]}
    owned = config_map("c")
    owned["metadata"]["ownerReferences"] = [reference]
    await api.create(CONFIG_MAPS, owned)
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
    assert (await api.ask("DELETE", f"{DEPLOYMENTS}/ml-model", body)).status == 200
    assert "ownerReferences" not in (await api.get(f"{CONFIG_MAPS}/c")).body["metadata"]


async def test_a_namespace_goes_with_all_that_is_in_it(api: Any) -> None:
    await api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    await api.create("/api/v1/namespaces/n/configmaps", config_map("c"))
    subscription = api.store.watch("namespaces")
    assert (await api.ask("DELETE", "/api/v1/namespaces/n")).body["status"]["phase"] == "Terminating"
    refused = await api.ask("POST", "/api/v1/namespaces/n/configmaps", config_map("late"))
    assert refused.status == 403
    async for event in subscription:
        if event.type == "DELETED":
            break
    assert api.store.list("configmaps", "n") == []
    missing = await api.ask("POST", "/api/v1/namespaces/n/configmaps", config_map("late"))
    assert (missing.status, missing.body["message"]) == (404, 'namespaces "n" not found')


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", DEPLOYMENTS, b"{", 400),
        ("POST", DEPLOYMENTS, b"", 400),
        ("POST", DEPLOYMENTS, b"[]", 400),
        ("POST", DEPLOYMENTS, b"\xff\xfe", 400),
        ("POST", DEPLOYMENTS, b'{"kind":"Deployment"}', 400),
        ("POST", CONFIG_MAPS, b'{"kind":"Pod","apiVersion":"v1"}', 400),
        ("POST", CONFIG_MAPS, b'{"kind":"ConfigMap","apiVersion":"v1","metadata":"x"}', 400),
        ("POST", CONFIG_MAPS, b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"b"}}', 400),
        ("PUT", f"{CONFIG_MAPS}/missing", b'{"kind":"ConfigMap","apiVersion":"v1"}', 404),
        ("PATCH", f"{CONFIG_MAPS}/missing", b"{}", 404),
        ("PUT", CONFIG_MAPS, b"{}", 405),
        ("POST", f"{PODS}?dryRun=some", b"{}", 422),
        ("DELETE", "/api/v1/namespaces/default", b"", 403),
        ("GET", f"{PODS}?labelSelector=a%20b", None, 400),
        ("GET", f"{PODS}?fieldSelector=spec.nothing=1", None, 400),
        ("GET", f"{PODS}?limit=x", None, 400),
        ("GET", f"{PODS}?resourceVersion=x", None, 400),
        ("GET", f"{PODS}?continue=rubbish", None, 410),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_as_a_status(
    api: Any, method: str, path: str, body: bytes | None, code: int
) -> None:
    kind = {"Content_Type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = await api.ask(method, path, body, **kind)
    assert (answer.status, answer.body["kind"], answer.body["code"]) == (code, "Status", code)


async def test_an_apply_says_for_whom_it_is(api: Any, deployment: Object) -> None:
    answer = await api.apply(f"{DEPLOYMENTS}/ml-model", deployment)
    assert (answer.status, answer.body["details"]["causes"][0]["field"]) == (422, "fieldManager")


@pytest.mark.parametrize("stream", ["exec", "attach"])
async def test_what_a_local_process_can_not_have_is_said_so(api: Any, stream: str) -> None:
    answer = await api.ask("POST", f"{PODS}/p/{stream}?command=ls")
    assert (answer.status, answer.body["kind"]) == (501, "Status")
    assert f"does not offer {stream}" in answer.body["message"]


async def test_an_unknown_kind_of_patch_or_body_is_refused(api: Any) -> None:
    await api.create(CONFIG_MAPS, config_map("c"))
    assert (await api.patch(f"{CONFIG_MAPS}/c", {}, "cbor")).status == 415
    assert (await api.ask("POST", CONFIG_MAPS, b"x", Content_Type="application/cbor")).status == 415


async def test_a_manifest_may_be_yaml(api: Any) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  day: 2026-11-23\n"
    answer = await api.ask("POST", CONFIG_MAPS, text, Content_Type="application/yaml")
    assert answer.body["data"] == {"day": "2026-11-23"}


async def test_plain_secrets_are_stored_encoded(api: Any) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    made = await api.create("/api/v1/namespaces/default/secrets", secret)
    assert (made["data"], made["type"], "stringData" in made) == ({"k": "dg=="}, "Opaque", False)


async def test_names_from_the_url_are_decoded_once(api: Any) -> None:
    assert (await api.get(f"{CONFIG_MAPS}/..%2f..%2fx")).body["message"] == 'configmaps "../../x" not found'
