"""The HTTP server of the local cluster: who may ask, what is where, and refusals as Status objects."""

from __future__ import annotations

import hmac
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from mlconsole.localcluster.api import discovery, openapi, openapi_v2
from mlconsole.localcluster.api.errors import ApiError, not_found, not_offered, unauthorized
from mlconsole.localcluster.api.handlers import Handlers, respond
from mlconsole.localcluster.api.ownership.managed import record_controller
from mlconsole.localcluster.api.portforward import forward_ports
from mlconsole.localcluster.api.registry import BY_PLURAL
from mlconsole.localcluster.api.targets import resolve
from mlconsole.localcluster.store import NotFound, Store

if TYPE_CHECKING:
    import socket
    import ssl

    from mlconsole.localcluster.api.faults import Choose
    from mlconsole.localcluster.api.hosting import Host

log = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024
OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz"})
SHUTDOWN_SECONDS = 1.0

_STREAMS = re.compile("/api/v1/namespaces/([^/]+)/pods/([^/]+)/(attach|exec|portforward)")


class ApiServer:
    """Serves the API of a store on one socket.

    Args:
        store: the objects.
        host: where logs lie and services answer.
        token: the bearer token that every request must carry.
        faults: what goes wrong, in tests; nothing where None.
    """

    def __init__(self, store: Store, host: Host, token: str, faults: Choose | None = None) -> None:
        self.store = store
        store.recorder = record_controller
        self.handlers = Handlers(store, host)
        self._token = token.encode()
        self._faults = faults
        self._address = ""
        self._runner: web.AppRunner | None = None

    async def start(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Begins to answer on a bound socket, in plain HTTP where there is no TLS context (tests)."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # A watch whose client is gone must end at once, not at its next event.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=75
        )
        await runner.setup()
        await web.SockSite(runner, listening, ssl_context=tls).start()
        self._runner = runner
        host, port = listening.getsockname()[:2]
        self._address = f"{host}:{port}"
        self.handlers.remover.resume()

    async def stop(self) -> None:
        """Ends watches and connections."""
        self.store.end_subscriptions()
        await self.handlers.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authorize(request)
            fault = self._faults(request) if self._faults is not None else None
            if fault is not None:
                return await fault.answer(request, partial(self._route, request))
            return await self._route(request)
        except ApiError as error:
            response = respond(error.status, error.code)
            if error.code == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            return response
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(413, f"Request entity too large: limit is {MAX_BODY}", "RequestEntityTooLarge")
            return respond(too_large.status, 413)
        except ConnectionResetError:
            # The client has left; there is nobody to tell.
            return web.Response(status=499)
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            internal = ApiError(500, f"Internal error occurred: {error}", "InternalError")
            return respond(internal.status, 500)

    def _authorize(self, request: web.Request) -> None:
        if request.path in OPEN_PATHS:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        matches = hmac.compare_digest(token.strip().encode(), self._token)
        if scheme.lower() != "bearer" or not matches:
            raise unauthorized()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        target = resolve(request.rel_url.raw_path)
        if target is not None:
            return await self.handlers.handle(request, target)
        path = request.path.rstrip("/") or "/"
        if found := _STREAMS.fullmatch(path):
            return await self._stream(request, *found.groups())
        if path in OPEN_PATHS:
            return web.Response(text="ok")
        if path == "/openapi/v2":
            return web.Response(body=openapi_v2.document(), content_type=openapi_v2.MEDIA_TYPE)
        document = self._document(path)
        if document is not None and request.method == "GET":
            return respond(document)
        return web.Response(status=404, text="404 page not found\n")

    async def _stream(self, request: web.Request, namespace: str, name: str, subresource: str) -> web.StreamResponse:
        if subresource != "portforward":
            raise not_offered(subresource)
        try:
            pod = self.store.peek("pods", namespace, name)
        except NotFound:
            raise not_found(BY_PLURAL["pods"], name) from None
        return await forward_ports(request, self.handlers.host, namespace, name, pod["metadata"]["uid"])

    def _document(self, path: str) -> dict[str, Any] | None:
        if path == "/version":
            return discovery.version()
        if path == "/api":
            return discovery.core_versions(self._address)
        if path == "/apis":
            return discovery.group_list()
        if path == "/openapi/v3":
            return openapi.index()
        if path.startswith("/openapi/v3/"):
            return openapi.document(path.removeprefix("/openapi/v3/"))
        parts = path.split("/")[1:]
        if parts[0] == "api" and len(parts) == 2:
            return discovery.resource_list("", parts[1])
        if parts[0] == "apis" and len(parts) == 3:
            return discovery.resource_list(parts[1], parts[2])
        return discovery.group(parts[1]) if parts[0] == "apis" and len(parts) == 2 else None
