"""A target tells what it was given before, from which source and by whom."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from mlconsole.evidence.serving import Released
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.released import released

OURS, THEIRS = "0000000a", "0000000b"
WHO = {"mlconsole.dev/changed-by": "ada", "mlconsole.dev/release": "7"}


class Cluster:
    """A cluster with some replica sets, and pods of other owners."""

    namespace = "default"

    def __init__(self, *replica_sets: dict[str, Any], pods: tuple[dict[str, Any], ...] = ()) -> None:
        self._lists = {"replicasets": replica_sets, "pods": pods}

    def request(self, method: str, path: str, **more: Any) -> bytes:
        name = path.rpartition("/")[2]
        if name in self._lists:
            return json.dumps({"metadata": {}, "items": self._lists[name]}).encode()
        return json.dumps({"metadata": {"annotations": WHO}}).encode()


def template(version: str, source: str, journal: str, model: str) -> dict[str, Any]:
    told = {"model-version": f"m@{version}", "source": source, "journal": journal, "model-digest": model}
    return {"annotations": {f"mlconsole.dev/{name}": value for name, value in told.items() if value}}


def replica_set(
    version: str, source: str = "same", journal: str = THEIRS, *, ready: int = 3, wanted: int = 3, model: str = "theirs"
) -> dict[str, Any]:
    return {
        "metadata": {"name": f"m-{version}", "annotations": WHO},
        "spec": {"replicas": wanted, "template": {"metadata": template(version, source, journal, model)}},
        "status": {"readyReplicas": ready},
    }


def asked(*replica_sets: dict[str, Any], pods: tuple[dict[str, Any], ...] = ()) -> Released | None:
    return released(cast("Connection", Cluster(*replica_sets, pods=pods)), "app=m", "same", OURS, {"ours"})


def test_what_serves_goes_before_what_was_replaced_since() -> None:
    assert asked(replica_set("v7")) == Released(version="m@v7", by="ada, release 7", serves=True)
    former = replica_set("v7", ready=0, wanted=0)
    assert asked(former, replica_set("v8", "other")) == Released(
        version="m@v7", by="ada, release 7", serves=False, now="m@v8"
    )
    assert asked(former, replica_set("v9")) == Released(version="m@v9", by="ada, release 7", serves=True)


@pytest.mark.parametrize(
    "found",
    [
        replica_set("v7", "other"),
        replica_set("v7", ready=0),
        replica_set("v7", journal=OURS, model="ours"),
        replica_set("v7", journal=""),
    ],
    ids=["another source", "one that never got ready", "our own", "one that tells no journal"],
)
def test_nothing_else_counts(found: dict[str, Any]) -> None:
    assert asked(found) is None


def test_of_two_copies_of_one_journal_each_sees_what_the_other_did() -> None:
    found = asked(replica_set("v7", journal=OURS, model="theirs"))
    assert found is not None
    assert found.serves


def test_pods_of_other_owners_tell_it_themselves() -> None:
    owner = {"kind": "StatefulSet", "name": "m", "controller": True}
    pod = {
        "metadata": {"name": "m-0", "ownerReferences": [owner], **template("v7", "same", THEIRS, "theirs")},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert asked(pods=(pod,)) == Released(version="m@v7", by="ada, release 7", serves=True)
