"""The containers of a pod, of which whoever reads its logs chooses one, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from mlconsole.services.kubernetes.objects import Container, ContainerStatus, ObjectList, Pod
from mlconsole.services.kubernetes.problems import decode
from mlconsole.services.kubernetes.resources import PODS

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

ALL = "*"
"""Stands for all containers of a pod: none can be called so."""
DEFAULT = "kubectl.kubernetes.io/default-container"
"""The annotation that names the container whose log kubectl shows where none is named."""


class PodContainer(NamedTuple):
    """A container: its name, what it is for, and how it stands, in words; `is_default` where none is named."""

    name: str
    kind: Literal["container", "sidecar", "init container"]
    state: str
    restarts: int = 0
    is_default: bool = False


def containers_of(connection: Connection, namespace: str, pod: str) -> tuple[PodContainer, ...]:
    """Return the containers of a pod, and then those that come before them.

    Raises:
        Problem: the pod can't be had.
    """
    return containers_in(decode(connection.request("GET", PODS.path(namespace, pod)), Pod))


def containers_of_all(connection: Connection, selector: str) -> tuple[PodContainer, ...]:
    """Return the containers of all pods with these labels, each name once, as it stands in the first pod that has it.

    Raises:
        Problem: the pods can't be listed.
    """
    data = connection.request("GET", PODS.path(connection.namespace), query={"labelSelector": selector})
    found: dict[str, PodContainer] = {}
    for pod in decode(data, ObjectList[Pod]).items or ():
        for container in containers_in(pod):
            found.setdefault(container.name, container)
    return tuple(found.values())


def containers_in(pod: Pod) -> tuple[PodContainer, ...]:
    """Return the containers of a pod, and then those that come before them."""
    statuses = {
        status.name: status
        for status in (*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ()))
    }
    found = [_told(entry, "container", statuses) for entry in pod.spec.containers or ()]
    found += (
        _told(entry, "sidecar" if entry.restart_policy == "Always" else "init container", statuses)
        for entry in pod.spec.init_containers or ()
    )
    default = default_container(pod)
    return tuple(one._replace(is_default=one.name == default) for one in found)


def default_container(pod: Pod) -> str:
    """Return the name of the container that is meant where none is named: as kubectl does, the first one else."""
    names = [entry.name for entry in (*(pod.spec.containers or ()), *(pod.spec.init_containers or ()))]
    named = (pod.metadata.annotations or {}).get(DEFAULT, "")
    return named if named in names else next(iter(names), "")


def chosen(pod: Pod, container: str) -> tuple[str, ...]:
    """Return the names that a choice stands for in a pod: empty its default, ALL, or a name that it may not have."""
    names = tuple(entry.name for entry in containers_in(pod))
    if container == ALL:
        return names
    return (default_container(pod),) if not container else tuple(name for name in names if name == container)


def _told(
    entry: Container,
    kind: Literal["container", "sidecar", "init container"],
    statuses: dict[str, ContainerStatus],
) -> PodContainer:
    status = statuses.get(entry.name)
    if status is None:
        return PodContainer(entry.name, kind, "not started")
    waiting, ended = status.state.waiting, status.state.terminated
    if waiting is not None:
        state = f"waiting: {waiting.reason}" if waiting.reason else "waiting"
    elif ended is not None:
        state = "ended" if ended.exit_code == 0 else f"ended with exit code {ended.exit_code}"
    else:
        state = "running"
    return PodContainer(entry.name, kind, state, status.restart_count)
