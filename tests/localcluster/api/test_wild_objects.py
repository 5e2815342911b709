"""Whatever is sent is stored or refused in words, and what is stored can be shown, patched and applied."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlconsole.localcluster.api.errors import ApiError
from mlconsole.localcluster.api.options import WriteOptions
from mlconsole.localcluster.api.registry import BY_KIND, Resource
from mlconsole.localcluster.api.scale import scale_of
from mlconsole.localcluster.api.schema.shapes import Shape, shape_of
from mlconsole.localcluster.api.tables.columns import DEFAULT, LAYOUTS
from mlconsole.localcluster.api.targets import Target
from mlconsole.localcluster.api.writes import APPLY_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Writer
from mlconsole.localcluster.store import Store, clone

Object = dict[str, Any]

KINDS = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "Pod",
    "Service",
    "ConfigMap",
    "Secret",
    "Event",
    "Endpoints",
    "Node",
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 70_000) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
WORDS = ["a", "b", "http", "Always", "RollingUpdate", "ClusterIP", "TCP", "In", "", "X_y"]
SAMPLES: dict[str, list[Any]] = {
    "int32": [0, 1, 3, 80, 40_000, -1],
    "int64": [0, 1, 30, -1],
    "number": [0, 1.5],
    "bool": [True, False],
    "IntOrString": [0, 1, "http", "25%", "0%", "x"],
    "Quantity": ["1", "100m", "1Gi", 2, "1e3", "."],
    "any": [None, 1, "x", [], {}, {"a": [{"b": 1}]}],
    "Time": ["2026-11-23T05:41:20Z", "x"],
}


def fitting(random: Random, shape: Shape, depth: int) -> Any:
    """A value of a type of the schema; containers have a name and an image."""
    if shape.form == "scalar":
        return random.choice(SAMPLES.get(shape.name, WORDS))
    if shape.form == "list":
        return [fitting(random, shape.of, depth - 1) for _ in range(random.randint(0, 2))] if depth else []
    if shape.form == "map":
        return {random.choice(WORDS[:3]): fitting(random, shape.of, depth - 1) for _ in range(random.randint(0, 2))}
    names = [name for name in shape.fields if name not in ("apiVersion", "kind", "managedFields")]
    chosen = random.sample(names, min(len(names), random.randint(0, 5))) if depth else []
    value = {name: fitting(random, shape.fields[name], depth - 1) for name in chosen}
    if shape.name == "Container":
        value |= {"name": random.choice("abc"), "image": "i"}
    return value


def valid(kind: str) -> Object:
    """The least that is stored."""
    pod = {"containers": [{"name": "a", "image": "i"}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    workload = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    job = {"template": {"spec": pod | {"restartPolicy": "Never"}}}
    specs = {
        "Deployment": workload,
        "ReplicaSet": workload,
        "StatefulSet": workload,
        "DaemonSet": workload,
        "Job": job,
        "Pod": pod,
        "Service": {"ports": [{"port": 80}]},
    }
    head = {"apiVersion": BY_KIND[kind].api_version, "kind": kind, "metadata": {"name": "a"}}
    return head | ({"spec": specs[kind]} if kind in specs else {})


def wild_object(random: Random, kind: str) -> Object:
    """A valid object with some of its fields replaced by others of the same type."""
    base = clone(valid(kind))
    return _overlaid(random, base, shape_of(kind), 6)


def _overlaid(random: Random, value: Object, shape: Shape, depth: int) -> Object:
    for name, kind in shape.fields.items():
        if name in ("apiVersion", "kind", "managedFields", "name", "matchLabels", "namespace", "resourceVersion"):
            continue
        inner = value.get(name)
        if isinstance(inner, dict) and kind.form == "struct":
            _overlaid(random, inner, kind, depth - 1)
        elif random.random() < 0.15:
            value[name] = fitting(random, kind, depth - 1)
    return value


def place(kind: str) -> Target:
    resource: Resource = BY_KIND[kind]
    return Target(resource, "default" if resource.namespaced else None, None)


def attempt(work: Any) -> Object | None:
    try:
        result: Object = work()
    except ApiError as error:
        assert error.code in (400, 403, 404, 409, 422, 500)
        assert error.code != 500 or "typed patch object" in str(error)
        json.dumps(error.status)
        return None
    return result


def new_writer() -> Writer:
    store = Store(None)
    store.create("namespaces", {"metadata": {"name": "default"}})
    return Writer(store)


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=list(HealthCheck), max_examples=20)
@given(random=st.randoms(use_true_random=False))
def test_an_object_of_the_right_types_is_stored_or_refused(kind: str, random: Random) -> None:
    writer, where = new_writer(), place(kind)
    options = WriteOptions("tests")
    made = attempt(lambda: writer.create(where, wild_object(random, kind), options))
    if made is None:
        made = writer.create(where, valid(kind), options)
    layout = LAYOUTS.get(kind, DEFAULT)
    assert len(layout.row(made, datetime.now(UTC))) == len(layout.columns)
    assert scale_of(made)["kind"] == "Scale"
    there = where._replace(name=made["metadata"]["name"])
    assert writer.replace(there, made, options) == made
    for patch_type in (STRATEGIC_PATCH, MERGE_PATCH, APPLY_PATCH):
        body = json.dumps(wild_object(random, kind)).encode()
        attempt(lambda b=body, t=patch_type: writer.patch(there, b, t, WriteOptions("other"))[0])


@pytest.mark.parametrize("kind", ["Deployment", "Pod", "Service"])
@given(spec=anything, metadata=anything)
def test_an_object_of_wrong_types_is_refused(kind: str, spec: Any, metadata: Any) -> None:
    head = {"apiVersion": BY_KIND[kind].api_version, "kind": kind}
    body = head | {"spec": spec, "metadata": metadata}
    writer, where = new_writer(), place(kind)
    assert attempt(lambda: writer.create(where, body, WriteOptions("tests"))) is None
    there = where._replace(name="a")
    options = WriteOptions("tests")
    attempt(lambda: writer.patch(there, json.dumps(body).encode(), APPLY_PATCH, options)[0])
