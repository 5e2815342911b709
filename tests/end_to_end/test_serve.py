"""The console in a browser: only for whoever has the address, read-only, and gone with its server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import aiohttp
import psutil
import pytest
from yarl import URL

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end


class Served:
    """A server, and the address that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.address = URL(process.stdout.readline().strip())


@pytest.fixture
def served(bench: Workbench) -> Iterator[Served]:
    """A server of the tiny project; it is ended at the end."""
    process = bench.start("serve", ".")
    yield Served(process)
    process.kill()
    process.wait(60)


async def status(address: URL, **headers: str) -> int:
    """What a request is answered with."""
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers) as answer:
        return answer.status


async def test_without_the_token_there_is_nothing(served: Served) -> None:
    address = served.address
    assert address.host == "127.0.0.1"
    assert len(address.path.strip("/")) >= 40
    assert await status(address) == 200
    assert await status(address.with_path(address.path.rstrip("/"))) == 200, "led to the same page"
    assert await status(address.with_path("/")) == 404
    assert await status(address.with_path("/ws")) == 404
    assert await status(address.with_path("/guessed/")) == 404


async def test_other_sites_and_other_names_are_refused(served: Served) -> None:
    assert await status(served.address, Host="evil.example:80") == 403
    assert await status(served.address / "ws", Origin="https://evil.example") == 403


async def test_the_page_asks_no_other_site(served: Served) -> None:
    async with aiohttp.ClientSession() as session, session.get(served.address) as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
    assert policy.startswith("default-src 'self';")
    assert str(served.address / "ws").replace("http:", "ws:") in text
    async with aiohttp.ClientSession() as session, session.get(served.address / "static/js/textual.js") as answer:
        assert answer.status == 200


def commands_below(process: psutil.Process) -> Iterator[list[str]]:
    """The command lines of a process's descendants."""
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield child.cmdline()


async def test_a_page_is_a_read_only_console_that_ends_with_it(bench: Workbench, served: Served) -> None:
    server = psutil.Process(served.process.pid)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(served.address / "ws", params={"width": "100", "height": "30"}) as page:
            drawn = b""
            async with asyncio.timeout(90):
                while b"READ-ONLY" not in drawn:
                    drawn += (await page.receive()).data
                await page.send_json(["stdin", "n"])
                while b"--readonly" not in drawn:
                    drawn += (await page.receive()).data
        assert b"tiny" in drawn
    deadline = time.monotonic() + 90
    while any("--readonly" in command for command in commands_below(server)):
        assert time.monotonic() < deadline, "the page's console goes on"
        await asyncio.sleep(0.05)
    assert not (bench.root / ".mlconsole" / "journal.db").exists()


def test_the_server_ends_at_once(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(60) in (0, 130)


def test_a_taken_port_is_a_sentence(bench: Workbench, served: Served) -> None:
    done = bench.type("serve", ".", "--port", str(served.address.port))
    assert done.returncode == 3
    assert f"Port {served.address.port} can't be listened on" in done.stderr
