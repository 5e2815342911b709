"""Everything that acts on the objects of the local cluster, in one object that the server starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from mlconsole.localcluster.controllers.addresses import LOOPBACK, real_port
from mlconsole.localcluster.controllers.daemonsets import DaemonSetController
from mlconsole.localcluster.controllers.deployments import DeploymentController
from mlconsole.localcluster.controllers.endpoints import EndpointsController
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.garbage import GarbageCollector
from mlconsole.localcluster.controllers.jobs import JobController
from mlconsole.localcluster.controllers.jobsets import JobSetController, TrainJobController
from mlconsole.localcluster.controllers.quota import QuotaController
from mlconsole.localcluster.controllers.replicasets import ReplicaSetController
from mlconsole.localcluster.controllers.scheduler import Scheduler
from mlconsole.localcluster.controllers.statefulsets import StatefulSetController
from mlconsole.localcluster.node.kubelet import Kubelet
from mlconsole.localcluster.node.machine import register_node, renew_lease
from mlconsole.localcluster.node.ports import PortBook
from mlconsole.localcluster.node.proxy import ServiceProxy
from mlconsole.localcluster.node.timing import Timing
from mlconsole.localcluster.store import NotFound, Store

SWEEP_SECONDS = 300.0

log = logging.getLogger(__name__)

_DEFAULT_TIMING = Timing()


class Cluster:
    """The controllers, the kubelet and the Service proxies.

    Args:
        store: the objects that they act on.
        root: the project's folder, where container processes run.
        state: the cluster's own folder.
    """

    def __init__(self, store: Store, root: Path, state: Path, timing: Timing = _DEFAULT_TIMING) -> None:
        self._store = store
        self._state = state
        ports = PortBook()
        self._events = EventRecorder(store)
        self._kubelet = Kubelet(store, self._events, root, state, ports=ports, timing=timing)
        self._proxy = ServiceProxy(store, self._events, ports)
        self._controllers = [
            DeploymentController(store, self._events),
            ReplicaSetController(store, self._events),
            StatefulSetController(store, self._events),
            DaemonSetController(store, self._events),
            JobController(store, self._events, timing.job_backoff),
            JobSetController(store, self._events),
            TrainJobController(store, self._events),
            QuotaController(store, self._events),
            Scheduler(store, self._events),
            EndpointsController(store, self._events),
            GarbageCollector(store, self._events),
            self._proxy,
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes over the containers that survived an earlier server, then starts everything."""
        self._state.mkdir(parents=True, exist_ok=True)
        register_node(self._store, self._state)
        await self._kubelet.start()
        self._tasks = [
            asyncio.create_task(controller.run(), name=type(controller).__name__) for controller in self._controllers
        ]
        self._tasks.append(asyncio.create_task(self._sweep(), name="event sweep"))
        for task in self._tasks:
            task.add_done_callback(_tell_end)

    async def stop(self, *, kill_pods: bool) -> None:
        """Stops everything; the containers end too, or are left running for the next server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._proxy.close()
        await self._kubelet.stop(kill_pods=kill_pods)

    def log_path(self, namespace: str, pod: str, container: str, previous: bool) -> Path:
        """The log of a container's present or previous run. Raises NotFound."""
        return self._kubelet.log_path(namespace, pod, container, previous)

    def service_address(self, namespace: str, service: str, port: str | int) -> tuple[str, int] | None:
        """Where a port of a Service, given by name or number, answers; None where it does not."""
        return self._proxy.address(namespace, service, port)

    def pod_address(self, namespace: str, pod: str, port: str | int | None) -> tuple[str, int] | None:
        """Where a port of a pod, given by name or number (None: the first), answers; None where there is none."""
        with contextlib.suppress(NotFound):
            real = real_port(self._store.peek("pods", namespace, pod), port)
            return None if real is None else (LOOPBACK, real)
        return None

    async def _sweep(self) -> None:
        while True:
            self._events.sweep()
            renew_lease(self._store)
            await asyncio.sleep(SWEEP_SECONDS)


def _tell_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s ended", task.get_name(), exc_info=task.exception())
