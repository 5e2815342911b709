"""Manifests are read strictly, get a release's facts, and stay what kubectl takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.services.kubernetes.manifests import (
    Manifest,
    ManifestInvalid,
    ReleaseFacts,
    find_name,
    find_selector,
    from_yaml,
    in_order,
    load,
    render,
    to_yaml,
    with_facts,
)

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ml-model-deployment
  labels: {app: ml-model, app.kubernetes.io/version: mine}
spec:
  replicas: 3
  selector: {matchLabels: {app: ml-model}}
  template:
    metadata: {labels: {app: ml-model}}
    spec:
      containers:
      - name: model
        image: ml-model:latest
        env:
        - {name: PORT, value: "8080"}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: ml-model}
spec: {selector: {app: ml-model}, ports: [{port: 80}]}
"""
LAUGHS = "a0: &a0 [1, 1, 1]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}, *a{n}]\n" for n in range(20))
FACTS = ReleaseFacts(
    name="ml-model",
    version="v2",
    label="ml-model@v2",
    model_uri="file:///models/v2",
    model_digest="sha256:aa",
    data_digest="sha256:bb",
    commit="12e4567",
    release=7,
    changed_by="ada",
    change_cause="release 7: ml-model@v2",
)


def read(text: str) -> tuple[Manifest, ...]:
    return from_yaml(text)


def test_files_folders_lists_and_empty_documents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"---\n---\n{SERVICE}---\n# only a comment\n---\n{DEPLOYMENT}")
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "b.yml").write_text(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: y}}\n"
    )
    (tmp_path / "k8s" / "c.json").write_text('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}')
    (tmp_path / "k8s" / "README.md").write_text("not a manifest")
    found = load(tmp_path, ["a.yaml", "k8s"])
    assert [(entry.source, entry.document, entry.name) for entry in found] == [
        ("a.yaml", 3, "ml-model"),
        ("a.yaml", 5, "ml-model-deployment"),
        ("k8s/b.yml", 1, "x"),
        ("k8s/b.yml", 1, "y"),
        ("k8s/c.json", 1, "n"),
    ] or [entry.name for entry in found] == ["ml-model", "ml-model-deployment", "x", "y", "n"]
    assert [entry.kind for entry in in_order(found)] == [
        "Namespace",
        "ConfigMap",
        "ConfigMap",
        "Service",
        "Deployment",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: A\nkind: B\n", "document 1, line 2, column 1: the key 'kind' is there twice"),
        ("a: [\n", "document 1, line 2, column 1"),
        (f"{SERVICE}---\nkind: A\n", "document 2: apiVersion is missing"),
        ("apiVersion: v1\n", "kind is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "metadata.name of the Pod is missing"),
        ("- a\n", "no object"),
        (LAUGHS, "aliases"),
        ("a: &a [*a]\n", "aliases"),
        ("a: !!python/object/apply:os.system ['id']\n", "could not determine a constructor"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "deployment.yaml").write_text(text)
    with pytest.raises(ManifestInvalid) as caught:
        load(tmp_path, ["deployment.yaml"])
    assert str(caught.value).startswith("deployment.yaml, document")
    assert says in str(caught.value)


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"kind": "A",\n "kind" "B"}')
    with pytest.raises(ManifestInvalid, match=r"a\.json, line 2, column 9"):
        load(tmp_path, ["a.json"])
    (tmp_path / "a.json").write_text('{"kind": "A", "kind": "B"}')
    with pytest.raises(ManifestInvalid, match="'kind' is there twice"):
        load(tmp_path, ["a.json"])


def test_a_missing_file_and_twins_are_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="no manifest absent"):
        load(tmp_path, ["absent"])
    (tmp_path / "a.yaml").write_text(f"{SERVICE}---\n{SERVICE}")
    with pytest.raises(ManifestInvalid, match=r"Service ml-model is there twice: in a\.yaml, document 1"):
        load(tmp_path, ["a.yaml"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl builds the kustomization, and is not installed")
def test_a_kustomization_is_built(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text(DEPLOYMENT)
    (tmp_path / "kustomization.yaml").write_text("resources: [deployment.yaml]\nnamePrefix: eu-\n")
    (found,) = load(tmp_path, ["."])
    assert found.name == "eu-ml-model-deployment"


def test_a_kustomization_without_a_tool_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ManifestInvalid, match="neither kubectl nor kustomize"):
        load(tmp_path, ["."])


def test_facts_are_written_into_objects_and_never_over_what_is_there() -> None:
    deployment, service = with_facts(read(f"{DEPLOYMENT}---\n{SERVICE}"), FACTS, selector="app=ml-model", namespace="x")
    metadata, spec = deployment.body["metadata"], deployment.body["spec"]
    assert metadata["namespace"] == service.body["metadata"]["namespace"] == "x"
    assert metadata["labels"] == {
        "app": "ml-model",
        "app.kubernetes.io/version": "mine",
        "app.kubernetes.io/name": "ml-model",
        "app.kubernetes.io/instance": "ml-model",
        "app.kubernetes.io/managed-by": "mlconsole",
    }
    assert metadata["annotations"] == {
        "mlconsole.dev/release": "7",
        "mlconsole.dev/changed-by": "ada",
        "kubernetes.io/change-cause": "release 7: ml-model@v2",
    }
    assert "annotations" not in service.body["metadata"]
    assert spec["selector"] == {"matchLabels": {"app": "ml-model"}}
    assert service.body["spec"]["selector"] == {"app": "ml-model"}
    assert spec["template"]["metadata"]["annotations"] == {
        "mlconsole.dev/model-version": "ml-model@v2",
        "mlconsole.dev/model-digest": "sha256:aa",
        "mlconsole.dev/data-digest": "sha256:bb",
        "mlconsole.dev/commit": "12e4567",
    }
    container = spec["template"]["spec"]["containers"][0]
    assert container["image"] == "ml-model:latest"
    assert container["env"] == [
        {"name": "PORT", "value": "8080"},
        {"name": "MODEL_URI", "value": "file:///models/v2"},
        {"name": "MODEL_VERSION", "value": "v2"},
        {"name": "MODEL_DIGEST", "value": "sha256:aa"},
    ]


def test_another_release_of_the_same_model_does_not_touch_the_pod_template() -> None:
    import msgspec

    later = msgspec.structs.replace(FACTS, release=8, change_cause="release 8", changed_by="bob")
    (first,) = with_facts(read(DEPLOYMENT), FACTS, selector="app=ml-model", namespace="x")
    (second,) = with_facts(read(DEPLOYMENT), later, selector="app=ml-model", namespace="x")
    assert first.body["spec"] == second.body["spec"]
    assert first.body["metadata"] != second.body["metadata"]


def test_the_container_that_declares_a_model_variable_gets_them_and_its_neighbours_do_not() -> None:
    text = DEPLOYMENT + (
        "      - name: serve\n"
        "        image: serve:1\n"
        "        env:\n"
        "        - {name: MODEL_VERSION, value: PLACEHOLDER}\n"
        "        - {name: MODEL_URI, valueFrom: {configMapKeyRef: {name: a, key: b}}}\n"
    )
    import msgspec

    facts = msgspec.structs.replace(FACTS, image="serve:2")
    (found,) = with_facts(read(text), facts, selector="app=other", namespace="x")
    first, second = found.body["spec"]["template"]["spec"]["containers"]
    assert (first["image"], len(first["env"])) == ("ml-model:latest", 1)
    assert second["image"] == "serve:2"
    assert {entry["name"]: entry.get("value") for entry in second["env"]} == {
        "MODEL_VERSION": "v2",
        "MODEL_URI": None,
        "MODEL_DIGEST": "sha256:aa",
    }


def test_a_workload_of_something_else_keeps_its_template() -> None:
    text = DEPLOYMENT.replace("ml-model", "redis")
    (found,) = with_facts(read(text), FACTS, selector="app=ml-model", namespace="x")
    assert found.body["spec"] == read(text)[0].body["spec"]


def test_another_namespace_than_asked_for_is_an_error() -> None:
    text = SERVICE.replace("{name: ml-model}", "{name: ml-model, namespace: other}")
    with pytest.raises(ManifestInvalid, match="names the namespace other, but x was asked for"):
        with_facts(read(text), FACTS, selector="", namespace="x")


def test_cluster_wide_objects_get_no_namespace() -> None:
    (found,) = with_facts(
        read("{apiVersion: v1, kind: Namespace, metadata: {name: n}}"), FACTS, selector="", namespace="x"
    )
    assert found.body["metadata"] == {"name": "n"}


def test_selector_and_name_are_found() -> None:
    manifests = read(f"{SERVICE}---\n{DEPLOYMENT}")
    assert (find_selector(manifests), find_name(manifests)) == ("app=ml-model", "ml-model")
    assert (find_selector(()), find_name(())) == ("", "")


def test_text_that_looks_like_a_number_is_quoted_for_other_yaml_libraries() -> None:
    manifest = Manifest(
        source="",
        document=1,
        body={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a"},
            "data": {"commit": "12e4567", "b": "y"},
        },
    )
    text = to_yaml([manifest])
    assert 'commit: "12e4567"' in text
    assert 'b: "y"' in text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_is_written_is_read_again(data: dict[str, object]) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
    manifest = Manifest(source="manifests", document=1, body=body)
    (read,) = from_yaml(to_yaml([manifest]))
    assert (read.source, read.document, read.body) == ("manifests", 1, manifest.body)


@given(st.text(alphabet="abk:{}[]&*!|>-'\"\n \t#%@,?1.", max_size=60))
def test_wild_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        from_yaml(text)
    except ManifestInvalid as problem:
        assert problem.sentence.startswith("manifests, document")


def test_a_command_renders_the_manifests(tmp_path: Path) -> None:
    (tmp_path / "render.sh").write_text(
        "echo 'apiVersion: v1'\necho 'kind: ConfigMap'\necho \"metadata: {name: $1}\"\n"
    )
    (manifest,) = render(tmp_path, "sh render.sh 'ml model'")
    assert (manifest.title, manifest.source) == ("ConfigMap ml model", "`sh render.sh 'ml model'`")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'no chart there' >&2; exit 1", "failed with exit code 1"),
        ("", "prints no object"),
        ("printf 'apiVersion: v1\\nkind: [\\n'", "document 1, line"),
        ("printf 'apiVersion: v1\\nkind: Service\\nmetadata: {}\\n'", "metadata.name of the Service is missing"),
    ],
)
def test_a_command_that_does_not_render_is_told(tmp_path: Path, script: str, told: str) -> None:
    (tmp_path / "render.sh").write_text(script)
    with pytest.raises(ManifestInvalid, match=f"sh render.sh.*{told}") as raised:
        render(tmp_path, "sh render.sh")
    assert raised.value.next_step


@pytest.mark.parametrize(
    ("command", "told"),
    [("no-such-helm template x", "no-such-helm, which deploy.render runs, is not installed"), ("helm 'x", "quotes")],
)
def test_a_command_that_can_not_be_run_is_told(tmp_path: Path, command: str, told: str) -> None:
    with pytest.raises(ManifestInvalid, match=told):
        render(tmp_path, command)
