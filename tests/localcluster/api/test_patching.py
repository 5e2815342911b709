"""JSON patch, merge patch and strategic merge patch."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.api.errors import ApiError
from mlconsole.localcluster.api.patching.documents import json_patch, merge_patch
from mlconsole.localcluster.api.patching.strategic import strategic_merge
from mlconsole.localcluster.api.schema.shapes import shape_of

Object = dict[str, Any]

POD = shape_of("Pod")


def pod(**spec: Any) -> Object:
    return {"spec": spec}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_follow_the_examples_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": [1, 3]}, [{"op": "add", "path": "/foo/1", "value": 2}], {"foo": [1, 2, 3]}),
        ({"foo": [1]}, [{"op": "add", "path": "/foo/-", "value": 2}], {"foo": [1, 2]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": [1]}, [{"op": "copy", "from": "/a/0", "path": "/b"}], {"a": [1], "b": 1}),
        ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "remove", "path": "/m~0n"}], {}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"}], {}),
    ],
)
def test_json_patches_follow_the_rfc(target: Object, operations: list[Object], result: Object) -> None:
    assert json_patch(target, operations) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/list/5", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused_and_changes_nothing(operation: Object) -> None:
    target: Object = {"a": 1, "list": [1]}
    with pytest.raises(ApiError) as refused:
        json_patch(target, [operation])
    assert refused.value.code == 422
    assert target == {"a": 1, "list": [1]}


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
def test_a_wild_patch_is_applied_or_refused_in_words(patch: Any) -> None:
    for work in (lambda: json_patch({"a": [1]}, patch), lambda: strategic_merge({"spec": {}}, patch, POD)):
        try:
            assert isinstance(work(), dict)
        except ApiError as error:
            assert error.code in (400, 422)


def test_containers_are_merged_by_name() -> None:
    live = pod(containers=[{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])
    patched = strategic_merge(live, pod(containers=[{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]), POD)
    images = {item["name"]: item["image"] for item in patched["spec"]["containers"]}
    assert images == {"a": "1", "b": "2", "c": "3"}


def test_a_container_is_deleted_by_a_directive() -> None:
    live = pod(containers=[{"name": "a"}, {"name": "b"}])
    patched = strategic_merge(live, pod(containers=[{"name": "a", "$patch": "delete"}]), POD)
    assert patched == pod(containers=[{"name": "b"}])


def test_a_list_is_replaced_by_a_directive() -> None:
    live = pod(containers=[{"name": "a"}, {"name": "b"}])
    patched = strategic_merge(live, pod(containers=[{"$patch": "replace"}, {"name": "c"}]), POD)
    assert patched == pod(containers=[{"name": "c"}])


def test_the_order_of_items_is_set_by_a_directive() -> None:
    live = pod(containers=[{"name": "a"}, {"name": "b"}])
    order = [{"name": "b"}, {"name": "new"}, {"name": "a"}]
    patch = {"spec": {"$setElementOrder/containers": order, "containers": [{"name": "new"}]}}
    patched = strategic_merge(live, patch, POD)
    assert [item["name"] for item in patched["spec"]["containers"]] == ["b", "new", "a"]


def test_only_the_named_keys_are_retained() -> None:
    live = pod(volumes=[{"name": "v", "emptyDir": {}}])
    change = {"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}
    patched = strategic_merge(live, pod(volumes=[change]), POD)
    assert patched == pod(volumes=[{"name": "v", "configMap": {"name": "c"}}])


def test_lists_without_keys_are_replaced_and_null_removes() -> None:
    live = pod(containers=[{"name": "a", "command": ["x", "y"], "image": "i"}], hostname="h")
    patch = pod(containers=[{"name": "a", "command": ["z"], "image": None}], hostname=None)
    assert strategic_merge(live, patch, POD) == pod(containers=[{"name": "a", "command": ["z"]}])


def test_finalizers_are_a_set_from_which_items_can_be_taken() -> None:
    live = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c", "b"]}}
    assert sorted(strategic_merge(live, patch, POD)["metadata"]["finalizers"]) == ["b", "c"]
