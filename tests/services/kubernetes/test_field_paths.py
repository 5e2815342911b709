"""Fields are found by the paths that a cluster names in a conflict."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.services.kubernetes.documents import Manifest, read_documents
from mlconsole.services.kubernetes.field_paths import line_of, without_fields

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


LISTED = """
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: a}
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: b
    annotations:
      example.com/owner: me
  spec:
    replicas: two
    template:
      spec:
        containers:
        - name: sidecar
        - name: model
          ports:
          - containerPort: 80
"""


@pytest.mark.parametrize("source", ["a.yaml", "a.json"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        (".spec.replicas", "replicas: two"),
        ("spec.replicas", "replicas: two"),
        ('.spec.template.spec.containers[name="model"].ports[0].containerPort', "- containerPort: 80"),
        ("spec.template.spec.containers[1].ports", "ports:"),
        (".metadata.annotations.example.com/owner", "example.com/owner: me"),
        ("spec.template.spec.containers[7].image", "containers:"),
        ("spec.selector", "spec:"),
        ("", "- apiVersion: apps/v1"),
    ],
)
def test_a_field_is_found_in_its_line_or_the_nearest_above_it(path: str, words: str, source: str) -> None:
    text = LISTED
    if source.endswith(".json"):
        # The same lines, as JSON may have them.
        body = yaml.safe_load(LISTED)
        text = json.dumps(body, indent=1)
        words = {"- apiVersion: apps/v1": "{"}.get(words, f'"{words.lstrip("- ").partition(":")[0]}"')
    manifest = read_documents(text, source)[-1]
    line = line_of(manifest, path)
    assert line is not None
    assert words in text.splitlines()[line - 1]


def test_a_document_that_refers_to_itself_has_lines_all_the_same() -> None:
    (manifest,) = read_documents("apiVersion: v1\nkind: A\nmetadata: &m {name: a}\nother: *m\n", "a.yaml")
    assert (line_of(manifest, ".other"), line_of(manifest, ".metadata.name")) == (4, 3)
