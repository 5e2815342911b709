"""A port of a pod on this machine, until the person ends it."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.headless.output import narrate, say
from mlconsole.project import Project

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection


def forward_port(project: Project, pod: str, port: str) -> None:
    """Print where a pod's port answers on this machine, and hand connections on to it.

    Args:
        project: the project.
        pod: its name; a ready pod of the project's where empty.
        port: `8080` (the same port here), `9000:8080`, `:8080` (a free port here), or a declared port's name; empty:
            the first declared one, on a free port here.
    """
    from mlconsole.services.kubernetes.forward import PortForward
    from mlconsole.stages.target import connect

    local, remote = _ports(port)
    with closing(connect(project)) as connection:
        name = pod or _ready_pod(project, connection)
        forward = PortForward(
            connection,
            connection.namespace,
            name,
            remote,
            local_port=local,
            on_problem=lambda problem: narrate(str(problem)),
        )
        forward.start()
        try:
            say(f"127.0.0.1:{forward.local_port} leads to {name}:{forward.port}")
            threading.Event().wait()
        finally:
            forward.stop()


def _ports(text: str) -> tuple[int, str]:
    """The local port (0: any free one) and the pod's."""
    before, colon, after = text.partition(":")
    if not colon:
        return (int(text) if text.isdecimal() else 0), text
    if before and not before.isdecimal():
        raise WrongUse(f"{text!r} names no ports.", "Write them as LOCAL:REMOTE, such as 9000:8080.")
    return int(before or 0), after


def _ready_pod(project: Project, connection: Connection) -> str:
    from mlconsole.services.kubernetes.objects import ObjectList, Pod
    from mlconsole.services.kubernetes.problems import decode
    from mlconsole.services.kubernetes.resources import PODS
    from mlconsole.stages.target import selector_of

    selector = selector_of(project)
    query = {"labelSelector": selector, "limit": "500"}
    data = connection.request("GET", PODS.path(connection.namespace), query=query)
    ready = sorted(pod.metadata.name for pod in decode(data, ObjectList[Pod]).items or () if pod.is_ready)
    if not ready:
        raise OutsideFailed(f"No pod of {selector} is ready.", "Look at them: mlconsole pods")
    return ready[0]
