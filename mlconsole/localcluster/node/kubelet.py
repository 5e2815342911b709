"""The kubelet: gives every pod of the node a worker, takes over what an earlier server left, and watches memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import NODE_NAME, is_deleted, is_finished, quantity
from mlconsole.localcluster.node import runtime
from mlconsole.localcluster.node.memory import Limited, watch_memory
from mlconsole.localcluster.node.plan import Site
from mlconsole.localcluster.node.pod import PodWorker
from mlconsole.localcluster.node.ports import PortBook
from mlconsole.localcluster.node.timing import Timing
from mlconsole.localcluster.store import Event, Key, NotFound, Object, Store, Subscription, key_of

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)


class Kubelet:
    """Runs the pods that are bound to the node.

    Args:
        root: the project's folder, where containers run.
        state: the cluster's folder; pods have theirs in ``pods/<uid>``.
    """

    def __init__(
        self, store: Store, events: EventRecorder, root: Path, state: Path, *, ports: PortBook, timing: Timing
    ) -> None:
        self._store = store
        self._events = events
        self._root = root.resolve()
        self._state = state.resolve()
        self._ports = ports
        self._timing = timing
        self._workers: dict[str, PodWorker] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._dropping: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Takes over the containers that survived, ends those whose pod is gone, then follows the pods."""
        import aiohttp

        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
        subscription = self._store.watch("pods")
        self._end_strays()
        for pod in list(self._store.scan("pods")):
            self._look_at(pod)
        self._tasks = [
            asyncio.create_task(self._follow(subscription), name="kubelet"),
            asyncio.create_task(watch_memory(self._limited, self._timing.memory_check), name="memory"),
        ]

    async def stop(self, *, kill_pods: bool) -> None:
        """Stops; the containers end too, or are left for the next server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._dropping, return_exceptions=True)
        workers = list(self._workers.values())
        grace = self._timing.stop_grace
        await asyncio.gather(*(worker.halt(grace) if kill_pods else worker.release() for worker in workers))
        if self._session is not None:
            await self._session.close()

    def log_path(self, namespace: str, pod: str, container: str, previous: bool) -> Path:
        """The log of a container's present or previous run. Raises NotFound."""
        stored = self._store.peek("pods", namespace, pod)
        status = stored.get("status") or {}
        known = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        entry = next((item for item in known if item["name"] == container), None)
        if entry is None:
            raise NotFound("logs", f"{pod}/{container}")
        attempt = int(entry.get("restartCount", 0))
        if previous and "waiting" not in entry["state"]:
            attempt -= 1
        path: Path = self._state / "pods" / stored["metadata"]["uid"] / container / str(attempt) / "log"
        if not path.is_file():
            raise NotFound("logs", f"{pod}/{container}")
        return path

    def _limited(self) -> list[Limited]:
        """The running containers that have a memory limit."""
        found: list[Limited] = []
        for worker in self._workers.values():
            for runner in worker.runners.values():
                limit = ((runner.record.spec.get("resources") or {}).get("limits") or {}).get("memory")
                if limit and runner.process is not None:
                    found.append((runner.process.container_pid(), int(quantity(limit)), runner))
        return found

    async def _follow(self, subscription: Subscription) -> None:
        async for event in subscription:
            try:
                self._on_event(event)
            except Exception:
                log.exception("the kubelet can't act on a change of %s", event.object["metadata"].get("name"))

    def _on_event(self, event: Event) -> None:
        if event.type == "DELETED":
            worker = self._workers.pop(event.object["metadata"]["uid"], None)
            if worker is not None and not worker.is_ending:
                task = asyncio.create_task(worker.drop())
                self._dropping.add(task)
                task.add_done_callback(self._dropping.discard)
        else:
            with contextlib.suppress(NotFound):
                self._look_at(self._store.peek("pods", *key_of(event.object)))

    def _look_at(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        ours = pod["spec"].get("nodeName") == NODE_NAME and not is_finished(pod)
        if worker is None and ours and (not is_deleted(pod) or self._folder(uid).exists()):
            worker = self._workers[uid] = self._make_worker(pod)
        if is_deleted(pod):
            if worker is not None:
                worker.end(float(pod["metadata"].get("deletionGracePeriodSeconds", 30)))
            else:
                self._remove(key_of(pod), uid)

    def _make_worker(self, pod: Object) -> PodWorker:
        if self._session is None:
            raise RuntimeError("the kubelet was not started")
        site = Site(self._root, self._folder(pod["metadata"]["uid"]), self._state / "volumes")
        return PodWorker(
            pod, site, self._ports, store=self._store, events=self._events, timing=self._timing, session=self._session
        )

    def _remove(self, key: Key, uid: str) -> None:
        with contextlib.suppress(NotFound):
            self._store.delete("pods", *key)
        shutil.rmtree(self._folder(uid), ignore_errors=True)

    def _folder(self, uid: str) -> Path:
        return self._state / "pods" / uid

    def _end_strays(self) -> None:
        """Ends containers whose pod was deleted while no server ran."""
        folder = self._state / "pods"
        known = {pod["metadata"]["uid"] for pod in self._store.scan("pods")}
        for stray in folder.iterdir() if folder.is_dir() else []:
            if stray.name in known:
                continue
            for record in stray.glob("*/*/shim.json"):
                found = runtime.adopt(record.parent)
                if isinstance(found, runtime.Process):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(found.pid, signal.SIGUSR1)
            shutil.rmtree(stray, ignore_errors=True)
