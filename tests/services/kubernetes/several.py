"""A pod of three containers, of which one comes before the others and one is the default one; each writes and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.containers import containers_of
from mlconsole.services.kubernetes.resources import PODS
from tests.waiting import until

NAME = "several"


def run_several(connection: Connection, scripts: Mapping[str, str]) -> None:
    """Run the pod `several`, labelled `app=several`, until each of its containers has ended.

    Args:
        connection: where; in its namespace.
        scripts: what the shell of each container runs: `fetch`, `metrics` and `server`.
    """
    run = {name: {"name": name, "image": "x", "command": ["sh", "-c", script]} for name, script in scripts.items()}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "labels": {"app": NAME},
            "annotations": {"kubectl.kubernetes.io/default-container": "server"},
        },
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [run["fetch"]],
            "containers": [run["metrics"], run["server"]],
        },
    }
    connection.request("POST", PODS.path(connection.namespace), body=json.dumps(pod).encode())
    until(lambda: all(one.state.startswith("ended") for one in containers_of(connection, connection.namespace, NAME)))
