"""Where the monitor reads: from Prometheus where the settings name one, else from every pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlconsole.project import Project
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.monitoring.prometheus import read_prometheus
from mlconsole.services.monitoring.reading import Readings, Scrape, read_pods
from mlconsole.stages.target import connect, selector_of


@contextmanager
def source_of(project: Project) -> Iterator[Callable[[], Readings]]:
    """What reads all that serves, as long as it is used.

    The cluster is connected to when it is first read, and again where that fails: one that is not there yet, or no
    longer, is a problem of that look alone.
    """
    settings = project.settings.monitor
    if settings.prometheus:
        yield lambda: read_prometheus(settings.prometheus, settings.match, settings.token)
        return
    pods = _Pods(project)
    try:
        yield pods.read
    finally:
        pods.close()


class _Pods:
    def __init__(self, project: Project) -> None:
        self._project = project
        self._connection: Connection | None = None

    def read(self) -> Readings:
        settings = self._project.settings.monitor
        if self._connection is None:
            self._connection = connect(self._project)
        return read_pods(self._connection, selector_of(self._project), Scrape(path=settings.path, port=settings.port))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
