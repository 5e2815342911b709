"""Plans are stable and show no secret; an apply that breaks off says what it has done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlconsole.errors import WrongUse
from mlconsole.evidence.cluster import DeployOptions
from mlconsole.services.kubernetes import secrets as kept_secrets
from mlconsole.services.kubernetes.apply import ApplyUndone, PartlyApplied, apply, commands
from mlconsole.services.kubernetes.differences import difference, is_only_notes
from mlconsole.services.kubernetes.documents import from_yaml
from mlconsole.services.kubernetes.orphans import prune
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.kubernetes.problems import ApplyConflict, Forbidden, Invalid, NotFound
from tests.services.kubernetes.fake_cluster import Reply, Request, serving

CONFIG = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: '1'}}"
SECRET = "{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {token: hunter2}}"
NAMESPACE = "{apiVersion: v1, kind: Namespace, metadata: {name: lab}}"
WIDGET = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {}}"
DEFINITION = (
    "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com},"
    " spec: {group: example.com, names: {kind: Widget, plural: widgets}}}"
)


class Server:
    """Applies by replacing; refuses applies of what a test puts into `refuse` (by the end of the path)."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.refuse: dict[str, Reply] = {}
        self.deny: set[str] = set()
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        name = request.path.rsplit("/", 1)[-1]
        if request.method == "GET":
            found = self.objects.get(request.path)
            details = {"name": name, "kind": "configmaps"}
            return Reply(body=found) if found else Reply(404, {"kind": "Status", "details": details})
        if request.method in self.deny:
            return Reply(403, {"kind": "Status", "message": f"no {request.method}"})
        if request.method == "DELETE":
            uid = json.loads(request.body).get("preconditions", {}).get("uid")
            assert uid in (None, self.objects[request.path]["metadata"]["uid"])
            return Reply(body=self.objects.pop(request.path))
        if request.headers["Content-Type"].startswith("application/json-patch"):
            return self.json_patch(request)
        refusal = self.refuse.get(name)
        if refusal is not None and not (refusal.status == 409 and self.is_settled(request, refusal)):
            return refusal
        return self.put(request, json.loads(request.body))

    def is_settled(self, request: Request, refusal: Reply) -> bool:
        """Whether an apply forces, or has none of the fields in conflict."""
        body = json.loads(request.body)
        fields = [cause["field"].split(".")[1:] for cause in refusal.body["details"]["causes"]]
        return request.query["force"] == "true" or not any(last in body.get(first, {}) for first, last in fields)

    def put(self, request: Request, body: dict[str, Any]) -> Reply:
        body = {**body, "status": {"at": len(self.requests)}}
        count = str(len(self.requests))
        owners = [{"manager": "mlconsole", "operation": "Apply"}]
        body["metadata"] = {**body["metadata"], "uid": count, "resourceVersion": count, "managedFields": owners}
        if "dryRun" not in request.query:
            self.objects[request.path] = body
        return Reply(body=body)

    def json_patch(self, request: Request) -> Reply:
        body = json.loads(json.dumps(self.objects[request.path]))
        for step in json.loads(request.body):
            *parents, last = step["path"].split("/")[1:]
            target = body
            for parent in parents:
                target = target[parent]
            if step["op"] == "remove":
                del target[last]
            else:
                target[last] = step["value"]
        self.objects[request.path] = body
        return Reply(body=body)

    @property
    def writes(self) -> list[Request]:
        return [entry for entry in self.requests if entry.method == "PATCH" and entry.query.get("dryRun", "") == ""]


def conflict(*owners: str) -> Reply:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": f".data.{'abc'[number]}"}
        for number, owner in enumerate(owners)
    ]
    return Reply(409, {"kind": "Status", "code": 409, "reason": "Conflict", "details": {"causes": causes}})


def test_a_plan_changes_nothing_and_is_the_same_twice(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        manifests = from_yaml(CONFIG)
        first = plan(connection, manifests, selector="app=a", version="m@v1")
        second = plan(connection, manifests, selector="app=a", version="m@v1")
        assert first == second
        assert [change.action for change in first.changes] == ["create"]
        assert server.writes == []
        apply(connection, first, report=lambda line: None)
        third = plan(connection, manifests, selector="app=a", version="m@v1")
        assert [change.action for change in third.changes] == ["none"]
        assert third.digest != first.digest
        assert server.writes[0].query == {"fieldManager": "mlconsole", "fieldValidation": "Strict", "force": "false"}
        assert server.writes[0].headers["Content-Type"] == "application/apply-patch+yaml"


def test_another_target_is_another_digest(tmp_path: Path) -> None:
    with serving(Server(), tmp_path) as (_, connection):
        first = plan(connection, from_yaml(CONFIG), selector="app=a", version="m@v1")
        assert plan(connection, from_yaml(CONFIG), selector="app=b", version="m@v1").digest != first.digest


def test_apply_reports_in_kubectls_words_and_in_order(tmp_path: Path) -> None:
    lines: list[str] = []
    with serving(Server(), tmp_path) as (_, connection):
        manifests = from_yaml(f"{CONFIG}\n---\n{NAMESPACE}")
        apply(connection, plan(connection, manifests, selector="", version="v"), report=lines.append)
    assert lines == ["namespace/lab created", "configmap/settings created"]


def test_a_plan_for_another_cluster_is_not_applied(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        made = plan(connection, from_yaml(CONFIG), selector="", version="v")
        connection.namespace = "other"
        with pytest.raises(WrongUse, match=r"The plan is for lab/lab at .*, but the connection leads to lab/other"):
            apply(connection, made, report=lambda line: None)
        assert server.writes == []


def test_secrets_are_neither_in_the_plan_nor_lost(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        made = plan(connection, from_yaml(f"{CONFIG}\n---\n{SECRET}"), selector="", version="v")
        assert "hunter2" not in repr(made)
        assert [change.kind for change in made.changes] == ["ConfigMap", "Secret"]
        apply(connection, made, report=lambda line: None)
        assert json.loads(server.writes[1].body)["stringData"] == {"token": "hunter2"}


def test_secrets_of_a_plan_of_another_process_have_to_be_given(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        secrets = from_yaml(SECRET)
        made = plan(connection, secrets, selector="", version="v")
        kept_secrets._secrets.clear()
        with pytest.raises(WrongUse, match="changes the Secret key"):
            apply(connection, made, report=lambda line: None)
        apply(connection, made, report=lambda line: None, secrets=secrets)
        assert len(server.writes) == 1


def test_secret_values_are_masked_but_their_change_is_seen() -> None:
    def secret(**data: str) -> dict[str, Any]:
        kept = json.dumps({"kind": "Secret", "data": data})
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": kept}
        return {"kind": "Secret", "metadata": {"name": "k", "annotations": annotations}, "data": data}

    text = difference(secret(a="b25l", same="c2FtZQ=="), secret(a="dHdv", same="c2FtZQ==", new="bmV3"))
    assert "-  a: '*** (before)'" in text
    assert "+  a: '*** (after)'" in text
    assert "   same: '***'" in text
    assert not any(value in text for value in ("b25l", "dHdv", "c2FtZQ", "bmV3"))


def test_what_the_server_alone_writes_is_no_difference() -> None:
    live = {"kind": "A", "metadata": {"name": "a", "resourceVersion": "1", "generation": 1}, "status": {"x": 1}}
    assert difference(live, {"metadata": {"name": "a", "uid": "u"}, "kind": "A", "status": {}}) == ""


def test_which_release_wrote_an_object_is_told_from_what_it_changed() -> None:
    def deployment(release: str, image: str = "a", noted_below: str = "1") -> dict[str, Any]:
        notes = {"mlconsole.dev/release": release, "kubernetes.io/change-cause": f"v1 by release {release}: why"}
        below = {"metadata": {"annotations": {"mlconsole.dev/release": noted_below}}, "spec": {"image": image}}
        return {"kind": "Deployment", "metadata": {"name": "d", "annotations": notes}, "spec": {"template": below}}

    assert is_only_notes(difference(deployment("1"), deployment("2")))
    assert not is_only_notes(difference(deployment("1"), deployment("2", image="b")))
    assert not is_only_notes(difference(deployment("1"), deployment("2", noted_below="2"))), "a template rolls pods"
    assert not is_only_notes(difference(deployment("1"), deployment("1")))
    assert not is_only_notes(difference(None, deployment("1")))


@pytest.mark.parametrize("owner", ['"kubectl-client-side-apply" using v1', '"kubectl" using v1', '"kubectl-create"'])
def test_fields_of_an_earlier_apply_by_hand_are_taken_over(tmp_path: Path, owner: str) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse["settings"] = conflict(owner)
        apply(connection, plan(connection, from_yaml(CONFIG), selector="", version="v"), report=lambda line: None)
        assert [entry.query["force"] for entry in server.writes] == ["false", "true"]


OTHERS = ('"kubectl" using v1', '"kubectl" with subresource "scale" using apps/v1', '"hpa"')
THREE = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: '1', b: '2', c: '3'}}"


def test_conflicts_of_all_objects_are_in_the_plan_with_their_owners(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse = {"settings": conflict(*OTHERS), "second": conflict('"hpa"')}
        manifests = from_yaml(f"{THREE}\n---\n{THREE.replace('settings', 'second')}")
        made = plan(connection, manifests, selector="", version="v")
        assert [(found.name, found.field, found.owner) for found in made.conflicts] == [
            ("settings", ".data.b", "kubectl (scale)"),
            ("settings", ".data.c", "hpa"),
            ("second", ".data.a", "hpa"),
        ]
        assert made.is_open
        with pytest.raises(WrongUse, match="Choose first"):
            apply(connection, made, report=lambda line: None)
        assert server.writes == []


def test_what_is_taken_over_is_just_what_the_plan_lists(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse["settings"] = conflict(*OTHERS)
        options = DeployOptions(conflicts="force")
        made = plan(connection, from_yaml(THREE), selector="", version="v", options=options, resolves="d")
        assert (made.is_open, made.resolves) == (False, "d")
        assert "--force-conflicts" in commands(made)[0].line
        server.refuse["settings"] = conflict('"somebody-else"')
        with pytest.raises(ApplyConflict, match=r"somebody-else owns \.data\.a"):
            apply(connection, made, report=lambda line: None)
        server.refuse["settings"] = conflict(*OTHERS)
        apply(connection, made, report=lambda line: None)
        assert [entry.query["force"] for entry in server.writes] == ["false", "false", "true"]


def test_what_is_left_to_its_owner_is_not_in_what_is_applied(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse["settings"] = conflict(*OTHERS[1:])
        made = plan(connection, from_yaml(THREE), selector="", version="v", options=DeployOptions(conflicts="leave"))
        apply(connection, made, report=lambda line: None)
        assert [json.loads(entry.body)["data"] for entry in server.writes] == [{"c": "3"}]
        assert len(made.conflicts) == 2
        assert "'1'" not in made.manifests


def configs(*names: str, value: str = "1") -> str:
    return "\n---\n".join(CONFIG.replace("settings", name).replace("'1'", f"'{value}'") for name in names)


REFUSAL = Reply(403, {"kind": "Status", "message": 'User "a" cannot patch resource "configmaps"'})


def test_where_an_object_is_refused_those_before_it_are_put_back(tmp_path: Path) -> None:
    lines: list[str] = []
    with serving(server := Server(), tmp_path) as (_, connection):
        first = plan(connection, from_yaml(configs("old")), selector="", version="v")
        apply(connection, first, report=lambda line: None)
        (path, before) = next(iter(server.objects.items()))
        made = plan(
            connection, from_yaml(configs("new", "old", "third", "fourth", value="2")), selector="", version="v"
        )
        server.refuse["third"] = REFUSAL
        with pytest.raises(ApplyUndone) as caught:
            apply(connection, made, report=lines.append)
        assert list(server.objects) == [path]
        assert {**before, "status": 0} == {**server.objects[path], "status": 0, "metadata": before["metadata"]}
        assert server.objects[path]["metadata"]["managedFields"] == before["metadata"]["managedFields"]
    assert "ConfigMap third failed: a may not patch configmaps" in str(caught.value)
    assert "What was applied before it is as it was: ConfigMap old and ConfigMap new." in str(caught.value)
    assert lines[-2:] == ["configmap/old restored", "configmap/new deleted again"]


def test_where_putting_back_fails_too_the_state_is_told_exactly(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        apply(
            connection, plan(connection, from_yaml(configs("old")), selector="", version="v"), report=lambda line: None
        )
        made = plan(
            connection, from_yaml(configs("old", "new", "third", "fourth", value="2")), selector="", version="v"
        )
        server.refuse["third"] = REFUSAL
        server.deny.add("DELETE")
        with pytest.raises(PartlyApplied) as caught:
            apply(connection, made, report=lambda line: None)
    assert "may be as this release has it: ConfigMap new (" in caught.value.sentence
    assert "As before: ConfigMap old. Not tried: ConfigMap fourth." in caught.value.sentence


def test_an_apply_without_an_answer_may_have_been_done_and_is_looked_at_again(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        made = plan(connection, from_yaml(configs("one", "two")), selector="", version="v")
        server.refuse["two"] = Reply(500, {"kind": "Status", "message": "etcd timed out"})
        with pytest.raises(ApplyUndone, match="etcd timed out"):
            apply(connection, made, report=lambda line: None)
        assert server.objects == {}


def test_what_is_no_longer_in_the_manifests_is_listed_and_deleted_only_when_asked(tmp_path: Path) -> None:
    claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk}, spec: {}}"
    with serving(server := Server(), tmp_path) as (_, connection):
        first = plan(connection, from_yaml(f"{configs('a', 'b', 'c')}\n---\n{claim}"), selector="", version="v")
        apply(connection, first, report=lambda line: None)
        foreign = next(path for path in server.objects if path.endswith("/c"))
        server.objects[foreign]["metadata"]["managedFields"] = [{"manager": "helm"}]
        rest = from_yaml(configs("a"))
        made = plan(connection, rest, selector="", version="v", former=first)
        assert [(orphan.kind, orphan.name, bool(orphan.kept)) for orphan in made.orphans] == [
            ("ConfigMap", "b", False),
            ("PersistentVolumeClaim", "disk", True),
        ]
        assert not made.changes_anything
        assert prune(connection, made, report=lambda line: None) == ([], [])
        assert plan(connection, rest, selector="", version="v", former=made).orphans == made.orphans

        asked = plan(connection, rest, selector="", version="v", former=first, options=DeployOptions(prune=True))
        assert [(change.name, change.action) for change in asked.changes] == [("a", "none"), ("b", "delete")]
        assert asked.digest != made.digest
        assert commands(asked)[1].line == "kubectl --context lab -n lab delete configmap/b"
        assert prune(connection, asked, report=lambda line: None) == (["ConfigMap b"], [])
        assert sorted(path.rsplit("/", 1)[-1] for path in server.objects) == ["a", "c", "disk"]


def test_a_failure_at_the_first_object_is_told_as_it_is(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        made = plan(connection, from_yaml(CONFIG), selector="", version="v")
        server.refuse["settings"] = Reply(403, {"kind": "Status", "message": "no"})
        with pytest.raises(Forbidden):
            apply(connection, made, report=lambda line: None)


def test_a_refused_field_names_the_file(tmp_path: Path) -> None:
    from mlconsole.services.kubernetes.documents import read_documents

    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse["settings"] = Reply(500, {"kind": "Status", "message": ".dta: field not declared in schema"})
        with pytest.raises(Invalid, match=r"k8s/a\.yaml, document 1, line 1: .*\.dta does not exist"):
            plan(connection, read_documents(CONFIG, "k8s/a.yaml"), selector="", version="v")


def test_objects_in_a_namespace_that_the_plan_makes_are_creations(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse["settings"] = Reply(404, {"kind": "Status", "details": {"kind": "namespaces", "name": "lab"}})
        with pytest.raises(NotFound, match="namespace lab does not exist"):
            plan(connection, from_yaml(CONFIG), selector="", version="v")
        made = plan(connection, from_yaml(f"{CONFIG}\n---\n{NAMESPACE}"), selector="", version="v")
        assert [(change.kind, change.action) for change in made.changes] == [
            ("Namespace", "create"),
            ("ConfigMap", "create"),
        ]


def test_a_kind_that_the_plan_defines_is_a_creation_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    with serving(Server(), tmp_path) as (_, connection):
        with pytest.raises(NotFound, match=r"does not know Widget of example\.com/v1"):
            plan(connection, from_yaml(WIDGET), selector="", version="v")
        made = plan(connection, from_yaml(f"{WIDGET}\n---\n{DEFINITION}"), selector="", version="v")
        assert [change.action for change in made.changes] == ["create", "create"]


def test_the_commands_are_kubectls(tmp_path: Path) -> None:
    deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {}}"
    with serving(Server(), tmp_path) as (_, connection):
        made = plan(connection, from_yaml(deployment), selector="app in (a, b)", version="v")
    assert [command.line for command in commands(made)] == [
        "kubectl --context lab -n lab apply --server-side --field-manager=mlconsole -f manifests.yaml",
        "kubectl --context lab -n lab rollout status deployment/a",
        "kubectl --context lab -n lab get pods -l 'app in (a, b)'",
    ]
