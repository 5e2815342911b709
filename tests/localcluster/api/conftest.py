"""An API server over an empty store in memory, and a client that speaks with it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from mlconsole.localcluster.api.server import ApiServer
from mlconsole.localcluster.store import NotFound, Store

TOKEN = "the-token-of-this-test"

Object = dict[str, Any]


@dataclass
class FakeHost:
    """A node without containers: logs and addresses are what a test puts here."""

    logs: dict[tuple[str, str, str, bool], Path] = field(default_factory=dict)
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)

    def log_path(self, namespace: str, pod: str, container: str, previous: bool) -> Path:
        try:
            return self.logs[(namespace, pod, container, previous)]
        except KeyError:
            raise NotFound(pod) from None

    def service_address(self, namespace: str, service: str, port: str | int) -> tuple[str, int] | None:
        return self.addresses.get(f"{namespace}/{service}")

    def pod_address(self, namespace: str, pod: str, port: str | int | None) -> tuple[str, int] | None:
        return self.addresses.get(f"{namespace}/{pod}")


@dataclass
class Answer:
    """An answer, read whole."""

    status: int
    headers: Any
    content: bytes

    @property
    def body(self) -> Object:
        value: Object = json.loads(self.content)
        return value

    @property
    def text(self) -> str:
        return self.content.decode()


class Api:
    """Requests to the server of a test."""

    token = TOKEN

    def __init__(self, server: ApiServer, host: FakeHost, session: aiohttp.ClientSession, port: int) -> None:
        self.server = server
        self.store = server.store
        self.host = host
        self.session = session
        self.url = f"http://127.0.0.1:{port}"

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "tests/1.0"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, URL(self.url + path, encoded=True), data=data, headers=sent
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def create(self, path: str, body: Object) -> Object:
        answer = await self.ask("POST", path, body)
        assert answer.status == 201, answer.text
        return answer.body

    async def patch(self, path: str, body: Any, kind: str = "strategic-merge-patch+json") -> Answer:
        return await self.ask("PATCH", path, body, Content_Type=f"application/{kind}")

    async def apply(self, path: str, body: Any) -> Answer:
        return await self.patch(path, body, "apply-patch+yaml")

    def watch(self, path: str, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {TOKEN}"} | headers
        return self.session.get(self.url + path, headers=sent)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    store, host = Store(None), FakeHost()
    for name in ("default", "errs"):
        head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        store.create("namespaces", head | {"status": {"phase": "Active"}})
    server = ApiServer(store, host, TOKEN)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    await server.start(listening, None)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Api(server, host, session, listening.getsockname()[1])
    await server.stop()


@pytest.fixture
def deployment() -> Object:
    """What a person writes to serve a model."""
    container = {
        "name": "model",
        "image": "ml-model:v1",
        "ports": [{"containerPort": 8080}],
        "env": [{"name": "MODEL_VERSION", "value": "v1"}],
    }
    template = {"metadata": {"labels": {"app": "ml-model"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "ml-model"}}, "template": template}
    meta = {"name": "ml-model", "labels": {"app": "ml-model"}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def make_pod(name: str, **labels: str) -> Object:
    spec = {"containers": [{"name": "model", "image": "ml-model:v1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.fixture
def pod() -> Any:
    """Makes pods: ``pod(name, label=value)``."""
    return make_pod
