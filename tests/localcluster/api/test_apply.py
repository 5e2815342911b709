"""Server-side apply: who owns what, what is removed, and when managers disagree."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.api.errors import ApiError
from mlconsole.localcluster.api.ownership.fields import compare, fields_of, from_v1, merge, remove, to_v1
from mlconsole.localcluster.api.ownership.managed import Manager, owned_part, read, record_update
from mlconsole.localcluster.api.patching.apply import apply
from mlconsole.localcluster.api.schema.shapes import shape_of

Object = dict[str, Any]

DEPLOYMENT = shape_of("Deployment")


def manager(name: str, operation: str = "Apply") -> Manager:
    return Manager(name, operation, "apps/v1")


def manifest(**spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


def with_containers(*containers: Object) -> Object:
    return manifest(template={"spec": {"containers": list(containers)}})


def containers_of(obj: Object) -> list[Object]:
    found: list[Object] = obj["spec"]["template"]["spec"]["containers"]
    return found


def test_a_field_that_is_no_longer_applied_is_removed() -> None:
    live = apply(None, manifest(replicas=2, paused=True), manager("a"), DEPLOYMENT, force=False)
    live = apply(live, manifest(replicas=2), manager("a"), DEPLOYMENT, force=False)
    assert live["spec"] == {"replicas": 2}


def test_a_field_that_another_manager_applies_too_stays() -> None:
    live = apply(None, manifest(replicas=2, paused=True), manager("a"), DEPLOYMENT, force=False)
    live = apply(live, manifest(paused=True), manager("b"), DEPLOYMENT, force=False)
    live = apply(live, manifest(replicas=2), manager("a"), DEPLOYMENT, force=False)
    assert live["spec"] == {"replicas": 2, "paused": True}


def test_different_values_conflict_and_force_takes_the_field_over() -> None:
    live = apply(None, manifest(replicas=2), manager("a"), DEPLOYMENT, force=False)
    with pytest.raises(ApiError) as refused:
        apply(live, manifest(replicas=3), manager("b"), DEPLOYMENT, force=False)
    assert refused.value.status["details"]["causes"][0]["field"] == ".spec.replicas"
    live = apply(live, manifest(replicas=3), manager("b"), DEPLOYMENT, force=True)
    assert live["spec"]["replicas"] == 3
    assert [who.name for who in read(live)] == ["b"]


def test_items_of_keyed_lists_are_owned_one_by_one() -> None:
    first = with_containers({"name": "model", "image": "m:1", "env": [{"name": "A", "value": "1"}]})
    second = with_containers({"name": "model", "env": [{"name": "B", "value": "2"}]}, {"name": "proxy", "image": "p"})
    live = apply(None, first, manager("a"), DEPLOYMENT, force=False)
    live = apply(live, second, manager("b"), DEPLOYMENT, force=False)
    assert [item["name"] for item in containers_of(live)] == ["model", "proxy"]
    assert [item["name"] for item in containers_of(live)[0]["env"]] == ["A", "B"]
    live = apply(live, with_containers({"name": "model", "env": []}), manager("b"), DEPLOYMENT, force=False)
    assert containers_of(live) == [{"name": "model", "image": "m:1", "env": [{"name": "A", "value": "1"}]}]


def test_a_struct_goes_with_its_defaults_when_all_that_was_set_in_it_goes() -> None:
    probed = {"name": "m", "image": "i", "readinessProbe": {"httpGet": {"path": "/", "port": 1}}}
    live = apply(None, with_containers(probed), manager("a"), DEPLOYMENT, force=False)
    containers_of(live)[0]["readinessProbe"]["periodSeconds"] = 10
    live = apply(live, with_containers({"name": "m", "image": "i"}), manager("a"), DEPLOYMENT, force=False)
    assert containers_of(live) == [{"name": "m", "image": "i"}]


def test_a_change_by_update_takes_the_field_from_the_applier() -> None:
    live = apply(None, manifest(replicas=2, paused=True), manager("a"), DEPLOYMENT, force=False)
    changed = copy.deepcopy(live)
    changed["spec"]["replicas"] = 7
    record_update(live, changed, manager("hpa", "Update"), DEPLOYMENT)
    owners = {who.name: entry.fields for who, entry in read(changed).items()}
    assert owners == {"a": {("f:spec", "f:paused")}, "hpa": {("f:spec", "f:replicas")}}
    with pytest.raises(ApiError, match='conflict with "hpa" using apps/v1'):
        apply(changed, manifest(replicas=2, paused=True), manager("a"), DEPLOYMENT, force=False)


def test_applying_the_same_again_changes_nothing() -> None:
    live = apply(None, manifest(replicas=2), manager("a"), DEPLOYMENT, force=False)
    assert apply(live, manifest(replicas=2), manager("a"), DEPLOYMENT, force=False) == live


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"replicas": "two"}, ".spec.replicas: expected numeric (int or float), got string"),
        ({"paused": "yes"}, ".spec.paused: expected boolean, got string"),
        ({"template": []}, ".spec.template: expected map, got list"),
        (
            {"template": {"spec": {"containers": [{"image": "i"}]}}},
            ".spec.template.spec.containers: element 0: associative list with keys has an element that omits key field",
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}},
            '.spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a", "imagee": "i"}]}}},
            '.spec.template.spec.containers[name="a"].imagee: field not declared in schema',
        ),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(spec: Object, text: str) -> None:
    with pytest.raises(ApiError) as refused:
        apply(None, manifest(**spec), manager("a"), DEPLOYMENT, force=False)
    assert refused.value.code == 500
    assert text.replace("got list", "got []interface {}") in str(refused.value)


names = st.sampled_from(["a", "b", "c"])
variables = st.lists(st.fixed_dictionaries({"name": names}, optional={"value": names}), unique_by=lambda v: v["name"])
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={"image": names, "env": variables, "command": st.lists(names), "resources": st.just({})},
    ),
    unique_by=lambda c: c["name"],
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 3),
        "template": st.fixed_dictionaries({"spec": st.fixed_dictionaries({"containers": containers})}),
    },
)


@given(spec=specs)
def test_a_set_of_fields_survives_its_written_form(spec: Object) -> None:
    fields = fields_of({"spec": spec}, DEPLOYMENT)
    assert from_v1(to_v1(fields)) == fields


@given(one=specs, other=specs)
def test_merging_gives_everything_that_was_applied(one: Object, other: Object) -> None:
    merged = merge({"spec": one}, {"spec": other}, DEPLOYMENT)
    difference = compare(merged, merge(merged, {"spec": other}, DEPLOYMENT), DEPLOYMENT)
    assert difference == (set(), set(), set())
    assert fields_of({"spec": other}, DEPLOYMENT) - {("f:spec",)} <= fields_of(merged, DEPLOYMENT) | _empties(other)


def _empties(spec: Object) -> set[tuple[str, ...]]:
    """Empty values are owned as a leaf; merged with something they are no leaf any more."""
    return {
        path
        for path in fields_of({"spec": spec}, DEPLOYMENT)
        if path[-1] in ("f:env", "f:containers", "f:resources", "f:spec", "f:template")
    }


@given(spec=specs)
def test_removing_all_fields_leaves_nothing(spec: Object) -> None:
    value = owned_part({"spec": spec})
    left = remove(value, fields_of(value, DEPLOYMENT), DEPLOYMENT)
    assert not isinstance(left, dict) or left == {} or fields_of(value, DEPLOYMENT) == set()


@given(first=specs, second=specs)
def test_one_manager_alone_gets_exactly_what_it_applies(first: Object, second: Object) -> None:
    live = apply(None, manifest(**first), manager("a"), DEPLOYMENT, force=False)
    live = apply(live, manifest(**second), manager("a"), DEPLOYMENT, force=False)
    fresh = apply(None, manifest(**second), manager("a"), DEPLOYMENT, force=False)
    assert _without_empty(live.get("spec", {})) == _without_empty(fresh.get("spec", {}))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [])}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
