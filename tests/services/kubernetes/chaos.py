"""A cluster on a real socket that does everything wrong, and keeps a log of what was true when."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from mlconsole.localcluster.api import errors, faults
from mlconsole.localcluster.api.server import ApiServer
from mlconsole.localcluster.store import NotFound, Store

T = TypeVar("T")
PODS = 200
CHANGE_SECONDS = 0.006
DISRUPTION_SECONDS = 1.2


class Write(NamedTuple):
    """A pod's write: when it was done, and its version; 0 where the pod was deleted."""

    at: float
    uid: str
    version: int


class NoHost:
    """A node on which nothing runs."""

    def log_path(self, namespace: str, pod: str, container: str, previous: bool) -> Path:
        raise NotFound(pod)

    def service_address(self, namespace: str, service: str, port: str | int) -> tuple[str, int] | None:
        return None

    def pod_address(self, namespace: str, pod: str, port: str | int | None) -> tuple[str, int] | None:
        return None


class ChaoticCluster:
    """An API server in a thread of its own; its pods change all the time.

    Args:
        folder: where its objects and its kubeconfig lie.
        random: decides what goes wrong.
        wanted: so many faults.
    """

    def __init__(self, folder: Path, random: Random, wanted: int) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.counts: Counter[str] = Counter()
        self.writes: list[Write] = []
        self._path = folder / "objects.db"
        self._random = random
        self._wanted = wanted
        self._port = 0
        self._token = ""
        self._names = 0
        self._up = True
        self._restarting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._store: Store
        self._server: ApiServer
        self._call(self._begin())

    @property
    def faults(self) -> int:
        """So many befell its clients until now."""
        return self.counts.total()

    def settle(self) -> dict[str, int]:
        """Changes nothing any more; returns the version of each pod by uid."""
        return self._call(self._settle())

    def close(self) -> None:
        """Ends it."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _begin(self) -> None:
        self._store = Store(self._path)
        self._store.create("namespaces", {"metadata": {"name": "default"}})
        for _ in range(PODS):
            self._create()
        self._renew_token()
        await self._serve()
        self._tasks = [self._loop.create_task(self._change()), self._loop.create_task(self._disrupt())]

    async def _settle(self) -> dict[str, int]:
        async with self._restarting:  # one that was begun comes to its end: else there would be no server any more
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return {pod["metadata"]["uid"]: _version(pod) for pod in self._store.scan("pods")}

    async def _end(self) -> None:
        await self._settle()
        await self._server.stop()
        self._store.close()

    async def _serve(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self._server = ApiServer(self._store, NoHost(), self._token, self._choose)
        await self._server.start(listening, None)
        self._write_kubeconfig()

    def _write_kubeconfig(self) -> None:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        user = {"name": "u", "user": {"token": self._token}}
        context = {"name": "chaos", "context": {"cluster": "c", "user": "u"}}
        config = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "chaos"}
        part = self.kubeconfig.with_suffix(".part")
        part.write_text(json.dumps(config))
        part.replace(self.kubeconfig)

    def _renew_token(self) -> None:
        self._token = secrets.token_hex(8)

    async def _change(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0, 2 * CHANGE_SECONDS))
            if self._up:
                self._change_one()

    def _change_one(self) -> None:
        pods = list(self._store.scan("pods"))
        pod = self._random.choice(pods)
        name = pod["metadata"]["name"]
        if self._random.random() < 0.1:
            self._store.delete("pods", "default", name)
            self.writes.append(Write(time.monotonic(), pod["metadata"]["uid"], 0))
            self._create()
        else:
            status = {"phase": self._random.choice(["Pending", "Running"]), "message": secrets.token_hex(4)}
            stored = self._store.update("pods", pod | {"status": status}, status=True)
            self._note(stored)

    def _create(self) -> None:
        self._names += 1
        metadata = {"name": f"pod-{self._names}", "namespace": "default"}
        spec = {"containers": [{"name": "model", "image": "ml-model:v1"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
        self._note(self._store.create("pods", pod))

    def _note(self, pod: dict[str, Any]) -> None:
        self.writes.append(Write(time.monotonic(), pod["metadata"]["uid"], _version(pod)))

    async def _disrupt(self) -> None:
        while self.faults < self._wanted:
            await asyncio.sleep(self._random.uniform(0, 2 * DISRUPTION_SECONDS))
            if self._random.random() < 0.5:
                await self._restart()
            else:
                # Who has the old token learns at the next request that it has expired.
                self.counts["expired token"] += 1
                self._renew_token()
                self._server._token = self._token.encode()
                self._write_kubeconfig()

    async def _restart(self) -> None:
        async with self._restarting:
            self.counts["restart"] += 1
            self._up = False
            await self._server.stop()
            self._store.close()
            await asyncio.sleep(self._random.uniform(0, 0.3))
            # The new one no longer has the events of before: who goes on from an old version is told 410.
            self._store = Store(self._path)
            await self._serve()
            self._up = True

    def _choose(self, request: web.Request) -> faults.Fault | None:
        if self.faults >= self._wanted or not request.path.endswith("/pods"):
            return None
        watch = "watch" in request.query
        if not watch and self._random.random() < 0.6:
            return None
        name = self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        fault = self._make(name, watch)
        self.counts[name] += 1
        return fault

    def _make(self, name: str, watch: bool) -> faults.Fault:
        random, gone = self._random, errors.expired(5, self._store.version)
        # The head of an answer has some 200 bytes, an event some 700.
        after = random.choice([0, 100, random.randint(200, 1000), random.randint(1000, 8_000)])
        match name:
            case "half-open":
                return faults.Broken(after, "silence")
            case "cut":
                return faults.Broken(after, "reset")
            case "end":
                return faults.Broken(after, "end")
            case "410":
                return faults.Refuse(gone)
            case "410 event":
                return faults.ErrorEvent(gone)
            case "429":
                return faults.too_many_requests()
            case "403":
                return faults.forbidden()
            case "500":
                return faults.failed()
            case "slow" if not watch:
                return faults.Slow(random.uniform(0, 0.3))
            case "bookmarks" if watch:
                version = self._store.version
                return faults.Echo([version, version, version - 50])
            case _:
                return faults.too_large(self._store.version + 1000, self._store.version)


_WEIGHTS = {
    "cut": 40,
    "end": 20,
    "half-open": 8,
    "410": 8,
    "410 event": 8,
    "429": 8,
    "500": 5,
    "403": 3,
    "slow": 3,
    "bookmarks": 3,
    "too large": 3,
}


def _version(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["resourceVersion"])
