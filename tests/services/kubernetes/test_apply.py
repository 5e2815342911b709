"""Plans are stable and show no secret; an apply that breaks off says what it has done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlconsole.errors import WrongUse
from mlconsole.services.kubernetes import apply as service
from mlconsole.services.kubernetes.apply import PartlyApplied, apply, commands, plan
from mlconsole.services.kubernetes.differences import difference
from mlconsole.services.kubernetes.documents import from_yaml
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
    """Applies by replacing; refuses what a test puts into `refuse` (by the end of the path)."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.refuse: dict[str, Reply] = {}
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        name = request.path.rsplit("/", 1)[-1]
        if request.method == "GET":
            found = self.objects.get(request.path)
            details = {"name": name, "kind": "configmaps"}
            return Reply(body=found) if found else Reply(404, {"kind": "Status", "details": details})
        refusal = self.refuse.get(name)
        if refusal is not None and not (refusal.status == 409 and request.query["force"] == "true"):
            return refusal
        body = {**json.loads(request.body), "status": {"at": len(self.requests)}}
        body["metadata"] = {**body["metadata"], "uid": str(len(self.requests)), "managedFields": [{"a": 1}]}
        if "dryRun" not in request.query:
            self.objects[request.path] = body
        return Reply(body=body)

    @property
    def writes(self) -> list[Request]:
        return [entry for entry in self.requests if entry.method == "PATCH" and "dryRun" not in entry.query]


def conflict(*owners: str) -> Reply:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": f".spec.{number}"}
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
        service._secrets.clear()
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


@pytest.mark.parametrize("owner", ['"kubectl-client-side-apply" using v1', '"kubectl" using v1', '"kubectl-create"'])
def test_fields_of_an_earlier_apply_by_hand_are_taken_over(tmp_path: Path, owner: str) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        server.refuse["settings"] = conflict(owner)
        apply(connection, plan(connection, from_yaml(CONFIG), selector="", version="v"), report=lambda line: None)
        assert [entry.query["force"] for entry in server.writes] == ["false", "true"]


def test_fields_of_others_are_a_conflict_unless_forced(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        scale = '"kubectl" with subresource "scale" using apps/v1'
        server.refuse["settings"] = conflict('"kubectl" using v1', scale, '"hpa"')
        with pytest.raises(ApplyConflict) as caught:
            plan(connection, from_yaml(CONFIG), selector="", version="v")
        assert caught.value.sentence == "ConfigMap settings: kubectl (scale) owns .spec.1; hpa owns .spec.2."
        assert "--force-conflicts" in caught.value.next_step
        apply(
            connection,
            plan(connection, from_yaml(CONFIG), selector="", version="v", force=True),
            report=lambda line: None,
            force=True,
        )
        assert [entry.query["force"] for entry in server.writes] == ["true"]


def test_a_failure_in_the_middle_tells_what_was_done_and_what_was_not(tmp_path: Path) -> None:
    with serving(server := Server(), tmp_path) as (_, connection):
        others = [CONFIG.replace("settings", name) for name in ("first", "second", "third")]
        made = plan(connection, from_yaml("\n---\n".join(others)), selector="", version="v")
        server.refuse["second"] = Reply(
            403, {"kind": "Status", "message": 'User "a" cannot patch resource "configmaps"'}
        )
        with pytest.raises(PartlyApplied) as caught:
            apply(connection, made, report=lambda line: None)
        assert "Applied ConfigMap first; then ConfigMap second failed: a may not patch configmaps" in str(caught.value)
        assert "Not tried: ConfigMap third." in str(caught.value)


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
        with pytest.raises(Invalid, match=r"k8s/a\.yaml, document 1: .*\.dta does not exist"):
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
