"""Where pods and Services answer. Every pod has the address 127.0.0.1, so its ports are what tells it apart."""

from __future__ import annotations

import json

from mlconsole.localcluster.controllers.objects import annotations_of
from mlconsole.localcluster.store import Object

LOOPBACK = "127.0.0.1"

PORTS = "local.mlconsole.dev/ports"
"""Pod annotation: a JSON map from each port that the pod declares to the real one on loopback. The key ``""`` stands
for the port of a container that declares none."""

ADDRESS = "local.mlconsole.dev/address"
"""Service annotation: ``127.0.0.1:PORT``, where its first port answers; further ones have ``.<name>`` appended."""


def port_map(pod: Object) -> dict[str, int]:
    """The real ports of a pod by declared port number; empty before the pod was started."""
    ports: dict[str, int] = json.loads(annotations_of(pod).get(PORTS) or "{}")
    return ports


def real_port(pod: Object, port: int | str | None, container: Object | None = None) -> int | None:
    """The loopback port behind a port number or name of a pod; None where a name is unknown.

    Args:
        port: a number, a name, or None for the first that is declared.
        container: look names up in this container only.
    """
    ports = port_map(pod)
    containers = [container] if container is not None else pod["spec"]["containers"]
    declared = [entry for item in containers for entry in item.get("ports") or []]
    if port is None:
        first = next(iter(declared), None)
        return ports.get(str(first["containerPort"]) if first else "")
    if isinstance(port, str) and not port.isdigit():
        port = next((entry["containerPort"] for entry in declared if entry.get("name") == port), None)
        return None if port is None else ports.get(str(port))
    if str(port) in ports:
        return ports[str(port)]
    return int(port) if any(ports) else ports.get("", int(port))
