"""What the API needs to know of the node: where logs lie and where services and pods answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class Host(Protocol):
    """The part of the cluster that runs containers."""

    def log_path(self, namespace: str, pod: str, container: str, previous: bool) -> Path:
        """The log file of a container's current or previous run. Raises store.NotFound."""

    def service_address(self, namespace: str, service: str, port: str | int) -> tuple[str, int] | None:
        """Host and port at which a service answers."""

    def pod_address(self, namespace: str, pod: str, port: str | int | None) -> tuple[str, int] | None:
        """Host and port at which a pod answers."""
