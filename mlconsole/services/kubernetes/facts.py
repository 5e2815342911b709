"""Writes a release's own facts into manifests: in the parsed objects, never in their text."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.documents import Body, Manifest, invalid
from mlconsole.services.kubernetes.resources import KNOWN
from mlconsole.services.kubernetes.rows import MODEL_DIGEST_ANNOTATION, VERSION_ANNOTATION, VERSION_VARIABLE
from mlconsole.services.kubernetes.selectors import matches
from mlconsole.text import clean_line

DATA_DIGEST_ANNOTATION = "mlconsole.dev/data-digest"
COMMIT_ANNOTATION = "mlconsole.dev/commit"
SOURCE_ANNOTATION = "mlconsole.dev/source"
JOURNAL_ANNOTATION = "mlconsole.dev/journal"
RELEASE_ANNOTATION = "mlconsole.dev/release"
CHANGED_BY_ANNOTATION = "mlconsole.dev/changed-by"
CHANGE_CAUSE_ANNOTATION = "kubernetes.io/change-cause"
MANAGER = "mlconsole"

SERVING_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout")
"""Kinds whose pod template may change: that of a Job may not, once the Job exists."""


class ReleaseFacts(Record, frozen=True, kw_only=True):
    """What a release writes into its manifests.

    Attributes:
        name: the model's name.
        version: its tag, such as `v2`.
        label: both, such as `ml-model@v2`.
        model_uri: where a container finds the model.
        model_digest: of the model file.
        data_digest: of the data that it was trained on.
        commit: of the code that trained it.
        source: the digest of all that it is made of.
        journal: the identity of the journal that holds the release.
        release: the release's number.
        changed_by: who released it.
        change_cause: one line for `kubectl rollout history`.
        image: the containers' image, where the manifests' own is to be replaced.
        reference: the bins of the training data, for containers that declare the variable for them.
    """

    name: str
    version: str
    label: str
    model_uri: str
    model_digest: str
    data_digest: str
    commit: str
    release: int
    changed_by: str
    change_cause: str
    source: str = ""
    journal: str = ""
    image: str = ""
    reference: str = ""


def with_facts(
    manifests: Sequence[Manifest], facts: ReleaseFacts, *, selector: str, namespace: str
) -> tuple[Manifest, ...]:
    """Return the manifests with a release's facts in them; what a manifest says itself stays.

    Objects get the `app.kubernetes.io/*` labels. Workloads whose pods match `selector`, or that declare one of the
    model variables, get the facts in their pod template: another template is what makes pods roll, so the release's
    number stays out of it.

    Raises:
        ManifestInvalid: a manifest names another namespace than `namespace`.
    """
    return tuple(_object_with_facts(manifest, facts, selector, namespace) for manifest in manifests)


def _object_with_facts(manifest: Manifest, facts: ReleaseFacts, selector: str, namespace: str) -> Manifest:
    body = copy.deepcopy(manifest.body)
    known = KNOWN.get((manifest.api_version, manifest.kind))
    metadata = body["metadata"]
    if known is not None and known.namespaced:
        if manifest.namespace not in ("", namespace):
            raise invalid(
                manifest.source,
                manifest.document,
                f"{manifest.title} names the namespace {manifest.namespace}, but {namespace} was asked for.",
                next_step="Take it out of the manifest, or set deploy.namespace to it.",
            )
        metadata["namespace"] = namespace
    if known is None or known.namespaced:
        _add(metadata, "labels", _labels(facts))
    template = (body.get("spec") or {}).get("template")
    if manifest.kind in SERVING_KINDS and isinstance(template, dict) and _serves(template, selector):
        notes = {
            RELEASE_ANNOTATION: str(facts.release),
            CHANGED_BY_ANNOTATION: clean_line(facts.changed_by),
            CHANGE_CAUSE_ANNOTATION: clean_line(facts.change_cause),
        }
        _set(metadata, "annotations", notes)
        _fill_template(template, facts)
    return msgspec.structs.replace(manifest, body=body)


def _fill_template(template: Body, facts: ReleaseFacts) -> None:
    metadata = template.setdefault("metadata", {})
    _add(metadata, "labels", _labels(facts))
    notes = {
        VERSION_ANNOTATION: facts.label,
        MODEL_DIGEST_ANNOTATION: facts.model_digest,
        DATA_DIGEST_ANNOTATION: facts.data_digest,
        COMMIT_ANNOTATION: facts.commit,
        SOURCE_ANNOTATION: facts.source,
        JOURNAL_ANNOTATION: facts.journal if facts.source else "",
    }
    _set(metadata, "annotations", notes)
    spec = template.get("spec") or {}
    containers = _mappings(spec.get("containers"))
    declaring = [entry for entry in containers if _declares(entry)]
    serving = declaring or containers[:1]
    for container in [*[entry for entry in _mappings(spec.get("initContainers")) if _declares(entry)], *serving]:
        _set_environment(container, facts)
    if facts.image:
        for container in serving:
            container["image"] = facts.image


def _variables(facts: ReleaseFacts) -> dict[str, str]:
    return {"MODEL_URI": facts.model_uri, VERSION_VARIABLE: facts.version, "MODEL_DIGEST": facts.model_digest}


MODEL_VARIABLES = ("MODEL_URI", VERSION_VARIABLE, "MODEL_DIGEST")
REFERENCE_VARIABLE = "MODEL_REFERENCE"
"""Filled in only where a container declares it: it is long, and of use to servers that count features alone."""


def _set_environment(container: Body, facts: ReleaseFacts) -> None:
    declared = container.get("env")
    environment: list[Any] = declared if isinstance(declared, list) else []
    container["env"] = environment
    for name, value in _variables(facts).items():
        present = next((entry for entry in _mappings(environment) if entry.get("name") == name), None)
        if present is None:
            if value:
                environment.append({"name": name, "value": value})
        elif "valueFrom" not in present and value:
            # A reference (valueFrom) is a decision of the manifest's author; a plain value is there to be filled in.
            present["value"] = value
    for entry in _mappings(environment):
        if entry.get("name") == REFERENCE_VARIABLE and "valueFrom" not in entry:
            entry["value"] = facts.reference


def _declares(container: Body) -> bool:
    return any(entry.get("name") in MODEL_VARIABLES for entry in _mappings(container.get("env")))


def _serves(template: Body, selector: str) -> bool:
    labels = (template.get("metadata") or {}).get("labels") or {}
    containers = _mappings((template.get("spec") or {}).get("containers"))
    return matches(selector, {str(key): str(value) for key, value in labels.items()}) or any(
        _declares(entry) for entry in containers
    )


def _labels(facts: ReleaseFacts) -> dict[str, str]:
    name = label_value(facts.name)
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/version": label_value(facts.version),
        "app.kubernetes.io/managed-by": MANAGER,
    }


def label_value(text: str) -> str:
    """Make a text fit for a label: at most 63 of letters, digits, `-`, `_`, `.`, with a letter or digit at each end."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")


def _add(metadata: Body, key: str, values: dict[str, str]) -> None:
    """Put in what is not there yet."""
    present = metadata.get(key) or {}
    metadata[key] = {**present, **{name: value for name, value in values.items() if value and name not in present}}


def _set(metadata: Body, key: str, values: dict[str, str]) -> None:
    metadata[key] = {**(metadata.get(key) or {}), **{name: value for name, value in values.items() if value}}


def _mappings(value: object) -> list[Body]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
