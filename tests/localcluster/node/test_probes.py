"""What probes ask and what they say, in the kubelet's words."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mlconsole.localcluster.node.probes import Answer, Target, ask, run_probe

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    async with aiohttp.ClientSession() as session:
        yield Target(lambda port: None if port == "nameless" else int(port), dict(os.environ), tmp_path, session)


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that refuses, and that nobody else can begin to listen at meanwhile."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        yield mute.getsockname()[1]


async def serve(reply: bytes, *, delay: float = 0.0) -> tuple[asyncio.Server, int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(delay)
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("200 OK", Answer(True)),
        ("302 Found\r\nLocation: /x", Answer(True)),
        ("404 Not Found", Answer(False, "HTTP probe failed with statuscode: 404")),
        ("503 Unavailable", Answer(False, "HTTP probe failed with statuscode: 503")),
    ],
)
async def test_http_answers_count_by_their_status(target: Target, status: str, answer: Answer) -> None:
    server, port = await serve(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    assert await ask({"httpGet": {"path": "/healthz", "port": port}}, target, 20) == answer
    server.close()


async def test_http_failures_are_told_as_go_tells_them(target: Target, mute_port: int) -> None:
    gone = await ask({"httpGet": {"path": "/healthz", "port": mute_port}}, target, 20)
    url = f'Get "http://127.0.0.1:{mute_port}/healthz"'
    refused = f"{url}: dial tcp 127.0.0.1:{mute_port}: connect: connection refused"
    assert gone == Answer(False, refused, refused=True)
    server, port = await serve(b"", delay=5)
    slow = await ask({"httpGet": {"port": port}}, target, 0.05)
    waited = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    assert slow.message == f'Get "http://127.0.0.1:{port}/": {waited}'
    server.close()
    server, port = await serve(b"")
    assert (await ask({"httpGet": {"port": port}}, target, 20)).message == f'Get "http://127.0.0.1:{port}/": EOF'
    server.close()
    assert (await ask({"httpGet": {"port": "nameless"}}, target, 20)).message == "couldn't find port: nameless"


async def test_sockets_and_commands(target: Target, mute_port: int) -> None:
    server, port = await serve(b"")
    assert (await ask({"tcpSocket": {"port": port}}, target, 20)).ok
    server.close()
    refused = await ask({"tcpSocket": {"port": mute_port}}, target, 20)
    assert refused.message == f"dial tcp 127.0.0.1:{mute_port}: connect: connection refused"
    assert (await ask({"exec": {"command": ["true"]}}, target, 20)).ok
    assert await ask({"exec": {"command": ["sh", "-c", "echo sick; exit 1"]}}, target, 20) == Answer(False, "sick\n")
    late = await ask({"exec": {"command": ["sleep", "9"]}}, target, 0.05)
    assert late.message == 'command timed out: "sleep 9" timed out after 0.05s'
    assert not (await ask({"exec": {"command": ["/no/such"]}}, target, 20)).ok


async def test_verdicts_come_at_their_thresholds(target: Target, tmp_path: Path) -> None:
    spec: dict[str, Any] = {"exec": {"command": ["test", "-e", "up"]}, "periodSeconds": 0.01, "timeoutSeconds": 20,
                            "failureThreshold": 3, "successThreshold": 2}  # fmt: skip
    answers: list[bool] = []
    verdicts: list[tuple[bool, int]] = []

    async def judge(ok: bool) -> None:
        verdicts.append((ok, len(answers)))
        (tmp_path / "up").touch()
        if ok:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_probe(spec, target, eager=True, on_answer=lambda answer: answers.append(answer.ok), on_verdict=judge)
    assert answers == [False, False, False, True, True]
    assert verdicts == [(False, 3), (True, 5)]
