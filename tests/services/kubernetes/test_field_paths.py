"""Fields are found by the paths that a cluster names in a conflict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.services.kubernetes.field_paths import without_fields

BODY: dict[str, Any] = {
    "metadata": {"annotations": {"example.com/a.b": "1", "example": {"com": 2}}, "finalizers": ["x", "y.z]"]},
    "spec": {
        "replicas": 3,
        "containers": [
            {"name": "model", "image": "m:1", "ports": [{"containerPort": 80}, {"containerPort": 81}]},
            {"name": 'si"de]car', "image": "s:1"},
        ],
        "args": [["a"], ["b"]],
    },
}


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        (".spec.replicas", ("spec", "replicas")),
        (".metadata.annotations.example.com/a.b", ("metadata", "annotations", "example.com/a.b")),
        (".metadata.annotations.example.com", ("metadata", "annotations", "example", "com")),
        ('.spec.containers[name="model"].image', ("spec", "containers", 0, "image")),
        ('.spec.containers[name="si\\"de]car"].image', ("spec", "containers", 1, "image")),
        (
            '.spec.containers[name="model"].ports[containerPort=81,protocol="TCP"]',
            ("spec", "containers", 0, "ports", 1),
        ),
        ('.metadata.finalizers[="y.z]"]', ("metadata", "finalizers", 1)),
        (".spec.args[1]", ("spec", "args", 1)),
    ],
)
def test_a_field_is_taken_out_and_nothing_else(path: str, gone: tuple[str | int, ...]) -> None:
    wanted = json.loads(json.dumps(BODY))
    place = wanted
    for step in gone[:-1]:
        place = place[step]
    del place[gone[-1]]
    left, missing = without_fields(Manifest(source="a", document=1, body=BODY), [path])
    assert (left.body, missing) == (wanted, ())


@pytest.mark.parametrize(
    "path", ["", ".", ".spec.absent", ".spec.replicas.deeper", '.spec.containers[name="x"]', "[0]"]
)
def test_a_field_that_is_not_there_is_told(path: str) -> None:
    left, missing = without_fields(Manifest(source="a", document=1, body=BODY), [path])
    assert (left.body, missing) == (BODY, (path,))


@given(st.text())
def test_no_path_breaks_it(path: str) -> None:
    _, missing = without_fields(Manifest(source="a", document=1, body=BODY), [path])
    assert missing in ((), (path,))
