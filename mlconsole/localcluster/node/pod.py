"""One pod on the node: its folder and ports, its containers in their order, its status, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

from mlconsole.localcluster.controllers.addresses import PORTS, port_map
from mlconsole.localcluster.controllers.objects import annotations_of, seconds_since
from mlconsole.localcluster.node.container import ContainerRunner, PodContext
from mlconsole.localcluster.node.plan import Site
from mlconsole.localcluster.node.ports import PortBook, declared_ports, host_ports
from mlconsole.localcluster.node.status import ContainerRecord, build_status, is_initialized
from mlconsole.localcluster.store import Key, NotFound, Object, key_of

if TYPE_CHECKING:
    import aiohttp

    from mlconsole.localcluster.controllers.events import EventRecorder
    from mlconsole.localcluster.node.timing import Timing
    from mlconsole.localcluster.store import Store

log = logging.getLogger(__name__)

INIT_POLL = 0.02
FINAL_WAIT = 5.0
RETRY_SECONDS = 1.0
TOO_LONG = "Pod was active on the node longer than the specified deadline"


class PodWorker:
    """Runs one pod from the moment that it is bound to the node until it is gone.

    Args:
        pod: the pod as stored.
        site: where it runs.
        ports: hands out real ports.
    """

    def __init__(
        self,
        pod: Object,
        site: Site,
        ports: PortBook,
        *,
        store: Store,
        events: EventRecorder,
        timing: Timing,
        session: aiohttp.ClientSession,
    ) -> None:
        self.key: Key = key_of(pod)
        self.uid: str = pod["metadata"]["uid"]
        self._store = store
        self._events = events
        self._timing = timing
        self._book = ports
        self._site = site
        self._ports: dict[str, int] = {}
        self._ending: asyncio.Task[None] | None = None
        self._grace = float("inf")
        self._too_long = False
        spec = pod["spec"]
        self._init = [ContainerRecord(item) for item in spec.get("initContainers") or []]
        self._main = [ContainerRecord(item) for item in spec["containers"]]
        grace = spec.get("terminationGracePeriodSeconds")
        context = PodContext(
            store,
            events,
            site,
            timing,
            session,
            uid=self.uid,
            where=f"{self.key[1]}_{self.key[0]}({self.uid})",
            grace=30.0 if grace is None else float(grace),
            pod=self.pod,
            publish=self.publish,
            ports=lambda: self._ports,
        )
        self._spec_grace = context.grace
        policy = spec.get("restartPolicy", "Always")
        once = "Never" if policy == "Never" else "OnFailure"
        self.runners = {
            record.name: ContainerRunner(
                context, record, restart="Always" if record.is_sidecar else restart, group=group
            )
            for records, restart, group in (
                (self._init, once, "initContainers"),
                (self._main, policy, "containers"),
            )
            for record in records
        }
        self._take_over(pod)
        self._task = asyncio.create_task(self._run(), name=f"pod {'/'.join(self.key)}")
        deadline = spec.get("activeDeadlineSeconds")
        self._deadline = None if deadline is None else asyncio.create_task(self._fail_after(float(deadline)))

    @property
    def is_ending(self) -> bool:
        """Whether the pod's graceful end is under way."""
        return self._ending is not None

    def pod(self) -> Object:
        """The pod as it is stored now (read only). Raises NotFound when it, or its name's owner, is another."""
        pod = self._store.peek("pods", *self.key)
        if pod["metadata"]["uid"] != self.uid:
            raise NotFound("pods", self.key[1])
        return pod

    def publish(self) -> None:
        """Writes the pod's status where it has changed."""
        try:
            pod = self.pod()
        except NotFound:
            return
        status = build_status(pod, self._init, self._main)
        if self._too_long:
            status |= {"phase": "Failed", "reason": "DeadlineExceeded", "message": TOO_LONG}
        if status != pod.get("status"):
            try:
                self._store.update("pods", {"metadata": _bare(pod), "status": status}, status=True, manager="kubelet")
            except sqlite3.Error:
                log.exception("the status of pod %s can't be written", "/".join(self.key))

    def end(self, grace: float) -> None:
        """Ends the pod gracefully and removes it; asked again, a shorter grace counts."""
        if self._ending is None:
            self._grace = grace
            self._ending = asyncio.create_task(self._end(grace))
        elif grace < self._grace:
            self._grace = grace
            asyncio.get_running_loop().call_later(grace, self.kill)

    def kill(self) -> None:
        """Kills every container at once."""
        for runner in self.runners.values():
            runner.kill()

    async def drop(self) -> None:
        """Ends what runs without any grace: the pod is gone from the store already."""
        for runner in self.runners.values():
            await runner.stop(0, hooks=False)
        self.kill()
        await self._finish()

    async def release(self) -> None:
        """Lets go of the pod; its containers live on for the next server."""
        for task in (self._deadline, self._ending, self._task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def halt(self, grace: float) -> None:
        """Ends the containers but keeps the pod: the next server restarts them, as a node does that reboots."""
        processes = [runner.process for runner in self.runners.values() if runner.process is not None]
        await self.release()
        for process in processes:
            process.stop(grace)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(process.wait() for process in processes)), grace + FINAL_WAIT)

    def _take_over(self, pod: Object) -> None:
        status = pod.get("status") or {}
        known = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        for entry in known:
            runner = self.runners.get(entry["name"])
            if runner is not None:
                runner.record.take_over(entry)
                runner.adopt()
        if self._init and not known:
            for record in self._main:
                record.state = {"waiting": {"reason": "PodInitializing"}}
        self._allot_ports(pod)
        self.publish()

    def _allot_ports(self, pod: Object) -> None:
        before = host_ports(pod) | port_map(pod)
        alive = any(runner.process is not None for runner in self.runners.values())
        for number in declared_ports(pod):
            wanted = before.get(number)
            if alive and wanted is not None:
                self._book.keep(wanted)
                self._ports[number] = wanted
            else:
                self._ports[number] = self._book.take(wanted)
        text = json.dumps(self._ports)
        if annotations_of(pod).get(PORTS) != text:
            changed = self._store.get("pods", *self.key)
            changed["metadata"].setdefault("annotations", {})[PORTS] = text
            self._store.update("pods", changed)

    async def _fail_after(self, seconds: float) -> None:
        """Ends the pod's containers for good once it was active for so long (``activeDeadlineSeconds``)."""
        with contextlib.suppress(NotFound):
            begun = (self.pod().get("status") or {}).get("startTime")
            await asyncio.sleep(seconds - (seconds_since(begun) if begun else 0.0))
            if not self._task.done() and self._ending is None:
                self._too_long = True
                self._events.record("kubelet", "Pod", self.pod(), "DeadlineExceeded", TOO_LONG)
                await asyncio.gather(*(runner.stop(self._spec_grace) for runner in self.runners.values()))
                self.publish()

    async def _run(self) -> None:
        while True:
            try:
                return await self._run_containers()
            except Exception:
                log.exception("pod %s lost its supervision; taking it up again", "/".join(self.key))
                await asyncio.sleep(RETRY_SECONDS)

    async def _run_containers(self) -> None:
        sidecars: list[asyncio.Task[None]] = []
        try:
            if await self._run_init(sidecars):
                async with asyncio.TaskGroup() as group:
                    for record in self._main:
                        if not record.over:
                            group.create_task(self.runners[record.name].run())
            await self._stop_all(sidecars)
        finally:
            for task in sidecars:
                task.cancel()
        self.publish()

    async def _run_init(self, sidecars: list[asyncio.Task[None]]) -> bool:
        """Runs the init containers in their order; tells whether the others may start."""
        for record in self._init:
            runner = self.runners[record.name]
            if record.over:
                continue
            if record.is_sidecar:
                sidecars.append(asyncio.create_task(runner.run()))
                while not record.started and not record.over:
                    await asyncio.sleep(INIT_POLL)
            else:
                await runner.run()
                if record.exit_code != 0:
                    return False
        return is_initialized(self._init)

    async def _stop_all(self, sidecars: list[asyncio.Task[None]]) -> None:
        for record in self._init:
            if record.is_sidecar:
                await self.runners[record.name].stop(self._spec_grace)
        for task in sidecars:
            await task

    async def _end(self, grace: float) -> None:
        begin = time.monotonic()
        running = [runner for runner in self.runners.values() if runner.process is not None]
        for runner in running:
            message = f"Stopping container {runner.record.name}"
            field = f"spec.containers{{{runner.record.name}}}"
            with contextlib.suppress(NotFound):
                self._events.record("kubelet", "Pod", self.pod(), "Killing", message, field=field)
        if running:
            await asyncio.sleep(min(self._timing.drain, grace))
        left = max(0.0, grace - (time.monotonic() - begin))
        await asyncio.gather(*(runner.stop(left) for runner in self.runners.values()))
        try:
            await asyncio.wait_for(asyncio.shield(self._task), left + FINAL_WAIT)
        except TimeoutError:
            self.kill()
        await self._finish()

    async def _finish(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._task), FINAL_WAIT)
        self._task.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        for port in self._ports.values():
            self._book.give_back(port)
        with contextlib.suppress(NotFound):
            self.pod()
            self._store.delete("pods", *self.key)
        shutil.rmtree(self._site.folder, ignore_errors=True)


def _bare(pod: Object) -> Object:
    return {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
