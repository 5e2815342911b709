"""Probes: what is asked of a container, how often, and what the answers come to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlconsole.localcluster.controllers.addresses import LOOPBACK
from mlconsole.localcluster.store import Object

if TYPE_CHECKING:
    import aiohttp

OUTPUT_LIMIT = 10 * 1024
FIRST_WAIT = 1.0
USER_AGENT = "kube-probe/1.33"


class Answer(NamedTuple):
    """Whether a probe succeeded, what it said, and whether nobody listened yet."""

    ok: bool
    message: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Target:
    """The container that is asked.

    Args:
        port: gives the real port for a port number or name, None where it is unknown.
        env: the environment for commands.
        cwd: the folder for commands.
    """

    port: Callable[[int | str], int | None]
    env: dict[str, str]
    cwd: Path
    session: aiohttp.ClientSession = field(repr=False)


async def ask(action: Object, target: Target, timeout: float) -> Answer:
    """Performs the action of a probe or a hook once: httpGet, tcpSocket, grpc (as a connection), exec or sleep."""
    if "httpGet" in action:
        return await _http_get(action["httpGet"], target, timeout)
    if "exec" in action:
        return await _execute(action["exec"].get("command") or [], target, timeout)
    if "sleep" in action:
        await asyncio.sleep(float(action["sleep"]["seconds"]))
        return Answer(True)
    return await _connect((action.get("tcpSocket") or action.get("grpc") or {}).get("port", 0), target, timeout)


async def _http_get(action: Object, target: Target, timeout: float) -> Answer:
    import aiohttp

    port = target.port(action["port"])
    if port is None:
        return Answer(False, f"couldn't find port: {action['port']}")
    path = str(action.get("path") or "/")
    url = f"{str(action.get('scheme') or 'HTTP').lower()}://{LOOPBACK}:{port}/{path.lstrip('/')}"
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
    headers |= {item["name"]: item["value"] for item in action.get("httpHeaders") or []}
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with target.session.get(url, headers=headers, timeout=limit, ssl=False, allow_redirects=False) as reply:
            await reply.content.read(OUTPUT_LIMIT)
            ok = 200 <= reply.status < 400
            return Answer(ok, "" if ok else f"HTTP probe failed with statuscode: {reply.status}")
    except TimeoutError:
        reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Answer(False, f'Get "{url}": {reason}')
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return Answer(False, f'Get "{url}": dial tcp {LOOPBACK}:{port}: {_dial_error(error.os_error)}', refused)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        gone = isinstance(error, aiohttp.ServerDisconnectedError)
        return Answer(False, f'Get "{url}": {"EOF" if gone else error}')


def _dial_error(error: OSError) -> str:
    return f"connect: {os.strerror(error.errno).lower()}" if error.errno else "i/o timeout"


async def _connect(port: int | str, target: Target, timeout: float) -> Answer:
    real = target.port(port)
    if real is None:
        return Answer(False, f"couldn't find port: {port}")
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(LOOPBACK, real)
        writer.close()
        return Answer(True)
    except TimeoutError:
        return Answer(False, f"dial tcp {LOOPBACK}:{real}: i/o timeout")
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        return Answer(False, f"dial tcp {LOOPBACK}:{real}: {_dial_error(error)}", refused)


async def _execute(command: list[str], target: Target, timeout: float) -> Answer:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=target.env,
            cwd=target.cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Answer(False, f"command {command!r} could not be started: {error}")
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except TimeoutError:
        return Answer(False, f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s')
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return Answer(process.returncode == 0, output[:OUTPUT_LIMIT].decode(errors="replace"))


async def run_probe(
    spec: Object,
    target: Target,
    *,
    eager: bool,
    on_answer: Callable[[Answer], None],
    on_verdict: Callable[[bool], Awaitable[None]],
) -> None:
    """Asks again and again until cancelled.

    Args:
        eager: where nobody listens, ask as soon as somebody does, not only when the period is over. The first
            question waits for that in any case, at most one period.
        on_answer: told each answer.
        on_verdict: told, with every answer, that a threshold is reached: True for success, False for failure.
    """
    period = float(spec.get("periodSeconds") or 10)
    timeout = float(spec.get("timeoutSeconds") or 1)
    needed = {True: int(spec.get("successThreshold") or 1), False: int(spec.get("failureThreshold") or 3)}
    await asyncio.sleep(float(spec.get("initialDelaySeconds") or 0))
    await _wait_for_listener(spec, target, min(period, FIRST_WAIT) if eager else period)
    last, streak = False, 0
    while True:
        answer = await ask(spec, target, timeout)
        streak = streak + 1 if answer.ok == last else 1
        last = answer.ok
        on_answer(answer)
        if streak >= needed[answer.ok]:
            await on_verdict(answer.ok)
        if eager and answer.refused:
            await _wait_for_listener(spec, target, period)
        else:
            await asyncio.sleep(period)


async def _wait_for_listener(spec: Object, target: Target, longest: float) -> None:
    """Waits until something listens at the probe's port, at most so long; does not wait for probes without a port."""
    action = spec.get("httpGet") or spec.get("tcpSocket") or spec.get("grpc")
    if not action:
        return
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + longest, 0.02
    while loop.time() < end:
        if not (await _connect(action.get("port", 0), target, pause + 0.1)).refused:
            return
        await asyncio.sleep(min(pause, max(0.0, end - loop.time())))
        pause = min(pause * 1.5, 0.5)
