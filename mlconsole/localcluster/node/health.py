"""Looks after one running container: the hook after its start, then its startup, readiness and liveness probes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from mlconsole.localcluster.node.probes import Answer, Target, ask, run_probe
from mlconsole.localcluster.node.status import ContainerRecord
from mlconsole.localcluster.store import Object

log = logging.getLogger(__name__)

HOOK_TIMEOUT = 30.0
RETRY_SECONDS = 1.0


class Say(Protocol):
    """Writes an event about the container."""

    def __call__(self, reason: str, message: str, *, warning: bool = False) -> None: ...


class HealthCheck:
    """Probes a container until cancelled.

    Args:
        publish: called when ``record.started`` or ``record.ready`` has changed.
        restart: called once with the reason when the container has to be restarted.
    """

    def __init__(
        self,
        record: ContainerRecord,
        target: Target,
        *,
        say: Say,
        publish: Callable[[], None],
        restart: Callable[[str], None],
    ) -> None:
        self._record = record
        self._target = target
        self._say = say
        self._publish = publish
        self._restart = restart

    async def run(self, *, fresh: bool) -> None:
        """Runs hook and probes; ``fresh`` tells that the container was started just now, not adopted."""
        while True:
            try:
                return await self._run(fresh)
            except Exception:
                log.exception("the probes of container %s failed; starting them again", self._record.name)
                await asyncio.sleep(RETRY_SECONDS)
                fresh = False

    async def _run(self, fresh: bool) -> None:
        spec = self._record.spec
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if hook and fresh:
            answer = await ask(hook, self._target, HOOK_TIMEOUT)
            if not answer.ok:
                self._say("FailedPostStartHook", f"PostStartHook failed: {answer.message}", warning=True)
                self._restart("FailedPostStartHook")
                return
        if "startupProbe" in spec and not self._record.started:
            await self._until_started(spec["startupProbe"])
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in spec:
                group.create_task(self._probe("Readiness", spec["readinessProbe"], self._judge_ready))
            if "livenessProbe" in spec:
                group.create_task(self._probe("Liveness", spec["livenessProbe"], self._judge_alive))

    async def _until_started(self, spec: Object) -> None:
        up = asyncio.Event()

        async def judge(ok: bool) -> None:
            if not ok:
                await self._end("failed startup probe")
            self._record.started = True
            self._record.ready = "readinessProbe" not in self._record.spec
            self._publish()
            up.set()

        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probe("Startup", spec, judge))
            await up.wait()
            probing.cancel()

    async def _probe(self, kind: str, spec: Object, judge: Callable[[bool], Awaitable[None]]) -> None:
        def note(answer: Answer) -> None:
            if not answer.ok:
                self._say("Unhealthy", f"{kind} probe failed: {answer.message}", warning=True)

        await run_probe(spec, self._target, eager=kind != "Liveness", on_answer=note, on_verdict=judge)

    async def _judge_ready(self, ok: bool) -> None:
        if self._record.ready != ok:
            self._record.ready = ok
            self._publish()

    async def _judge_alive(self, ok: bool) -> None:
        if not ok:
            await self._end("failed liveness probe")

    async def _end(self, reason: str) -> None:
        """Has the container restarted, and waits for the end of these probes that comes with it."""
        self._restart(reason)
        await asyncio.Event().wait()
