"""One container from its first start to its last end: starts, probes, restarts with back-off, graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.localcluster.controllers.addresses import real_port
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import parse_time
from mlconsole.localcluster.node import runtime
from mlconsole.localcluster.node.environment import ConfigMissing
from mlconsole.localcluster.node.health import HealthCheck
from mlconsole.localcluster.node.images import ImageUnknown
from mlconsole.localcluster.node.plan import Site, plan
from mlconsole.localcluster.node.probes import Answer, Target, ask
from mlconsole.localcluster.node.status import ContainerRecord, container_id
from mlconsole.localcluster.node.timing import BackOff, Timing, go_duration
from mlconsole.localcluster.node.volumes import VolumeMissing
from mlconsole.localcluster.store import NotFound, Object, Store, timestamp

if TYPE_CHECKING:
    import aiohttp

MESSAGE_LIMIT = 2048


@dataclass(frozen=True)
class PodContext:
    """What the containers of one pod share.

    Args:
        pod: gives the pod as it is now; raises NotFound when it is gone.
        where: ``name_namespace(uid)``, as the kubelet's messages name a pod.
        grace: the pod's terminationGracePeriodSeconds.
        publish: writes the pod's status.
        ports: gives the pod's real ports.
    """

    store: Store
    events: EventRecorder
    site: Site
    timing: Timing
    session: aiohttp.ClientSession
    uid: str
    where: str
    grace: float
    pod: Callable[[], Object]
    publish: Callable[[], None]
    ports: Callable[[], dict[str, int]]


class ContainerRunner:
    """Runs one container of a pod; `run` returns when it has ended for good."""

    def __init__(self, context: PodContext, record: ContainerRecord, *, restart: str, group: str) -> None:
        timing = context.timing
        self._field = f"spec.{group}{{{record.name}}}"
        self.record = record
        self.process: runtime.Process | None = None
        self.out_of_memory = False
        self._context = context
        self._restart = restart
        self._stopping = asyncio.Event()
        self._ended: runtime.Exit | None = None
        self._target: Target | None = None
        self._command: runtime.Command | None = None
        self._crashes = BackOff(timing.crash_backoff, timing.crash_backoff_cap, timing.crash_reset)
        self._images = BackOff(timing.image_backoff, timing.crash_backoff_cap, timing.crash_reset)
        self._images.next()
        self._missing = ""

    def adopt(self) -> None:
        """Finds what became of the process that an earlier server started."""
        record = self.record
        noted = {(state.get("terminated") or {}).get("containerID") for state in (record.state, record.last_state)}
        for attempt in (record.restart_count + 1, record.restart_count):
            found = runtime.adopt(self.folder(attempt)) if self.folder(attempt).is_dir() else None
            if found is None:
                continue
            record.restart_count = attempt
            record.container_id = container_id(self._context.uid, record.name, attempt)
            if isinstance(found, runtime.Process):
                self.process = found
                if "running" not in record.state:
                    self._show_running()
            elif record.container_id not in noted:
                self._ended = found
                record.ready = False
            break
        code = record.exit_code
        record.over = code is not None and self._ended is None and not self._wants_restart(code)

    async def run(self) -> None:
        """Starts the container as often as its restart policy says."""
        while not self._stopping.is_set():
            if self._ended is None:
                if self.process is None and not await self._start():
                    break
                self._ended = await self._supervise()
            ended, self._ended, self.process = self._ended, None, None
            self._note_exit(ended)
            if self._stopping.is_set() or not self._wants_restart(ended.code):
                break
            self._context.publish()
            await self._back_off()
        self.record.over = True
        self.record.ready = False
        self._context.publish()

    async def stop(self, grace: float, *, hooks: bool = True) -> None:
        """Ends the container within ``grace`` seconds; it is not started again."""
        begin = time.monotonic()
        self._stopping.set()
        if self.process is None:
            return
        if hooks:
            await self._pre_stop(grace)
        if self.process is not None:
            self.process.stop(max(0.0, grace - (time.monotonic() - begin)))

    def kill(self, *, out_of_memory: bool = False) -> None:
        """Kills the container at once; its restart policy decides what follows."""
        self.out_of_memory = self.out_of_memory or out_of_memory
        if self.process is not None:
            self.process.kill()

    def folder(self, attempt: int | None = None) -> Path:
        """Where the records and the log of one start are; None for the latest."""
        number = self.record.restart_count if attempt is None else attempt
        return self._context.site.folder / self.record.name / str(number)

    async def _start(self) -> bool:
        """Starts the process, waiting as long as something is missing; False where the pod is to end instead."""
        while not self._stopping.is_set():
            try:
                return await self._start_once()
            except ImageUnknown as error:
                await self._wait_for_image(str(error))
            except VolumeMissing as error:
                await self._wait_for_missing("ContainerCreating", str(error))
            except ConfigMissing as error:
                await self._wait_for_missing("CreateContainerConfigError", str(error))
            except runtime.StartFailed as error:
                await self._wait_after_failed_start(str(error))
            except NotFound:
                return False
            except (OSError, KeyError, TypeError, ValueError) as error:
                await self._wait_for_missing("CreateContainerError", f"{type(error).__name__}: {error}")
        return False

    async def _wait_for_missing(self, reason: str, problem: str) -> None:
        """Shows what is missing, in an event too where that is news, and waits before the next try."""
        if problem != self._missing:
            self._missing = problem
            if reason == "ContainerCreating":
                self._say("FailedMount", problem, warning=True, field="")
            else:
                self._say("Failed", f"Error: {problem}", warning=True)
        if reason != "ContainerCreating":
            self._show_waiting(reason, problem)
        await self._pause(self._context.timing.config_retry)

    async def _start_once(self) -> bool:
        record, pod = self.record, self._context.pod()
        self._context.site.make_folder()
        command, record.image_id = plan(
            self._context.store, pod, record.spec, self._context.ports(), self._context.site
        )
        image = record.spec.get("image", "")
        self._say("Pulled", f'Container image "{image}" already present on machine and can be accessed by the pod')
        attempt = self._next_attempt()
        self._say("Created", "Container created")
        process = await runtime.start(self.folder(attempt), command)
        self._command = command
        record.restart_count = attempt
        record.container_id = container_id(self._context.uid, record.name, attempt)
        self.process = process
        self._forget(attempt - 2)
        self._say("Started", "Container started")
        self._show_running()
        if self._stopping.is_set():
            process.kill()
        self._context.publish()
        return True

    def _next_attempt(self) -> int:
        ever_started = self.folder().is_dir() and bool(self.record.container_id)
        return self.record.restart_count + 1 if ever_started else self.record.restart_count

    def _forget(self, attempt: int) -> None:
        if attempt >= 0:
            shutil.rmtree(self.folder(attempt), ignore_errors=True)

    def _show_running(self) -> None:
        record = self.record
        if "terminated" in record.state:
            record.last_state = record.state
        record.state = {"running": {"startedAt": timestamp()}}
        record.started = "startupProbe" not in record.spec
        record.ready = record.started and "readinessProbe" not in record.spec

    def _show_waiting(self, reason: str, message: str) -> None:
        record = self.record
        if "terminated" in record.state:
            record.last_state = record.state
        record.state = {"waiting": {"reason": reason, "message": message}}
        record.ready = record.started = False
        self._context.publish()

    async def _wait_for_image(self, problem: str) -> None:
        image = self.record.spec.get("image", "")
        message = f'failed to pull and unpack image "{image}": {problem}'
        self._say("Pulling", f'Pulling image "{image}"')
        self._say("Failed", f'Failed to pull image "{image}": {message}', warning=True)
        self._say("Failed", "Error: ErrImagePull", warning=True)
        self._show_waiting("ErrImagePull", message)
        delay = self._images.next()
        settle = min(self._context.timing.settle, delay / 2)
        await self._pause(settle)
        if not self._stopping.is_set():
            back_off = f'Back-off pulling image "{image}"'
            self._say("BackOff", back_off)
            self._say("Failed", "Error: ImagePullBackOff", warning=True)
            self._show_waiting("ImagePullBackOff", f"{back_off}: ErrImagePull: {message}")
            await self._pause(delay - settle)

    async def _wait_after_failed_start(self, problem: str) -> None:
        record, now = self.record, timestamp()
        message = f'failed to start container "{record.name}": {problem}'
        attempt = self._next_attempt()
        record.restart_count = attempt
        record.container_id = container_id(self._context.uid, record.name, attempt)
        self._say("Failed", f"Error: {message}", warning=True)
        ended = {"exitCode": 128, "reason": "StartError", "message": message, "startedAt": now, "finishedAt": now,
                 "containerID": record.container_id}  # fmt: skip
        record.state = {"terminated": ended}
        if self._restart == "Never":
            self._stopping.set()
            return
        self._show_waiting("RunContainerError", message)
        await self._pause(self._crashes.next() or self._crashes.next())

    async def _supervise(self) -> runtime.Exit:
        """Waits for the end of the process, probing it meanwhile."""
        process, target = self.process, self._make_target()
        if process is None:
            return runtime.Exit(137, 9, timestamp())
        if target is None:
            return await process.wait()
        self._target = target
        health = HealthCheck(
            self.record, target, say=self._say_of_health, publish=self._context.publish, restart=self._restart_because
        )
        checks = asyncio.create_task(health.run(fresh=self._command is not None))
        try:
            return await process.wait()
        finally:
            checks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await checks

    def _make_target(self) -> Target | None:
        """What probes ask; None for an adopted container whose command can't be worked out any more."""
        context = self._context
        with contextlib.suppress(ImageUnknown, VolumeMissing, ConfigMissing, NotFound):
            command = self._command
            if command is None:
                command, _ = plan(context.store, context.pod(), self.record.spec, context.ports(), context.site)
            return Target(self._port, command.env, command.cwd, context.session)
        return None

    def _restart_because(self, reason: str) -> None:
        if self.process is None or self._stopping.is_set():
            return
        self._say("Killing", f"Container {self.record.name} {reason}, will be restarted")
        self.process.stop(self._context.grace)

    async def _pre_stop(self, grace: float) -> None:
        hook = (self.record.spec.get("lifecycle") or {}).get("preStop")
        if not hook or self._target is None:
            return
        try:
            async with asyncio.timeout(grace):
                answer = await ask(hook, self._target, max(grace, 1.0))
        except TimeoutError:
            answer = Answer(False, f"not done within {go_duration(grace)}")
        if not answer.ok:
            self._say("FailedPreStopHook", f"PreStopHook failed: {answer.message}", warning=True)

    def _port(self, port: int | str) -> int | None:
        return real_port(self._context.pod(), port, self.record.spec)

    def _note_exit(self, ended: runtime.Exit) -> None:
        record = self.record
        if "terminated" in record.state:
            record.last_state = record.state
        reason = "Completed" if ended.code == 0 else "Error"
        if self.out_of_memory and ended.code == 137:
            reason = "OOMKilled"
        self.out_of_memory = False
        running = record.state.get("running") or {}
        finished = ended.finished_at[:19] + "Z"
        state: Object = {"exitCode": ended.code, "reason": reason, "startedAt": running.get("startedAt", finished),
                         "finishedAt": finished, "containerID": record.container_id}  # fmt: skip
        if ended.signal:
            state["signal"] = ended.signal
        if ended.code and record.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            state["message"] = self._last_words()
        record.state = {"terminated": state}
        record.ready = record.started = False

    def _last_words(self) -> str:
        try:
            with (self.folder() / "log").open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 2 * MESSAGE_LIMIT))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(line.partition(" ")[2] for line in lines)[-MESSAGE_LIMIT:]

    def _wants_restart(self, code: int) -> bool:
        return self._restart == "Always" or (self._restart == "OnFailure" and code != 0)

    async def _back_off(self) -> None:
        ended = self.record.state["terminated"]
        ran = parse_time(ended["finishedAt"]) - parse_time(ended["startedAt"])
        delay = self._crashes.next(max(ran.total_seconds(), 0.0))
        if not delay:
            return
        where = self._context.where
        self._say("BackOff", f"Back-off restarting failed container {self.record.name} in pod {where}", warning=True)
        settle = min(self._context.timing.settle, delay / 2)
        await self._pause(settle)
        if not self._stopping.is_set():
            message = f"back-off {go_duration(delay)} restarting failed container={self.record.name} pod={where}"
            self._show_waiting("CrashLoopBackOff", message)
            await self._pause(delay - settle)

    async def _pause(self, seconds: float) -> None:
        """Waits, but no longer than until the container is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _say_of_health(self, reason: str, message: str, *, warning: bool = False) -> None:
        """What probes say counts no more once the container is to stop."""
        if not self._stopping.is_set():
            self._say(reason, message, warning=warning)

    def _say(self, reason: str, message: str, *, warning: bool = False, field: str | None = None) -> None:
        place = self._field if field is None else field
        with contextlib.suppress(NotFound):
            self._context.events.record(
                "kubelet", "Pod", self._context.pod(), reason, message, warning=warning, field=place
            )
