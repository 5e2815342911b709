"""What a request to an object or a collection does, by method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, web

from mlconsole.localcluster.api import options
from mlconsole.localcluster.api.bodies import load_json, load_yaml
from mlconsole.localcluster.api.deletes import Remover, delete_options
from mlconsole.localcluster.api.errors import bad_request, method_not_allowed, unsupported_media_type
from mlconsole.localcluster.api.lists import list_page
from mlconsole.localcluster.api.logs import serve_log
from mlconsole.localcluster.api.protobuf import MEDIA_TYPE, load_protobuf
from mlconsole.localcluster.api.proxy import forward
from mlconsole.localcluster.api.rendering import Renderer, encode
from mlconsole.localcluster.api.reviews import review_access
from mlconsole.localcluster.api.scale import scale_of, set_scale
from mlconsole.localcluster.api.watching import watch
from mlconsole.localcluster.api.writes import Writer
from mlconsole.localcluster.store import Store

if TYPE_CHECKING:
    from mlconsole.localcluster.api.hosting import Host
    from mlconsole.localcluster.api.targets import Target

Object = dict[str, Any]


class Handlers:
    """Answers the requests to resources."""

    def __init__(self, store: Store, host: Host) -> None:
        self.store = store
        self.host = host
        self.writer = Writer(store)
        self.remover = Remover(store)
        self._session: ClientSession | None = None

    async def close(self) -> None:
        """Ends the background work and the connections of the proxy."""
        await self.remover.close()
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Answers one request. Raises ApiError."""
        if target.subresource == "proxy":
            self._session = self._session or ClientSession(auto_decompress=False)
            return await forward(request, self._session, self.host, target)
        if target.subresource == "log":
            return await self._log(request, target)
        if target.subresource == "scale":
            return await self._scale(request, target)
        if "list" not in target.resource.verbs:
            return await self._review(request, target)
        if request.method == "GET":
            return await self._read(request, target)
        if request.method == "POST" and target.name is None:
            return await self._create(request, target)
        if request.method == "DELETE" and not target.subresource:
            return await self._delete(request, target)
        if request.method in ("PUT", "PATCH") and target.name is not None:
            return await self._write(request, target)
        raise method_not_allowed()

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        form = options.shape_asked(request.headers.get("Accept", ""))
        renderer = Renderer(target.resource, form, request.query.get("includeObject", ""))
        if options.flag(request.query, "watch") and not target.subresource:
            return await watch(request, self.store, target, renderer)
        if target.name is not None:
            return respond(renderer.one(self.writer.existing(target)))
        page = list_page(self.store, target, request.query)
        return respond(renderer.many(page.items, page.metadata))

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        if target.resource.namespaced and target.namespace is None:
            raise method_not_allowed()
        value = await _body(request)
        wanted = _write_options(request)
        return self._written(request, target, self.writer.create(target, value, wanted), wanted, 201)

    async def _write(self, request: web.Request, target: Target) -> web.Response:
        wanted = _write_options(request)
        if request.method == "PUT":
            stored = self.writer.replace(target, await _body(request), wanted)
            return self._written(request, target, stored, wanted, 200)
        body = await request.read()
        stored, created = self.writer.patch(target, body, request.content_type, wanted)
        return self._written(request, target, stored, wanted, 201 if created else 200)

    def _written(
        self, request: web.Request, target: Target, stored: Object, wanted: options.WriteOptions, status: int
    ) -> web.Response:
        renderer = Renderer(target.resource, options.shape_asked(request.headers.get("Accept", "")))
        return respond(renderer.one(stored), status, wanted.warnings)

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        body = await _body(request) if request.body_exists else {}
        wanted = delete_options(body, request.query)
        if target.name is not None:
            return respond(self.remover.delete(target, wanted))
        if target.resource.kind == "Namespace":
            raise method_not_allowed()
        page = list_page(self.store, target, request.query)
        answer = Renderer(target.resource, "").many(page.items, page.metadata)
        self.remover.delete_all(target.resource, page.items, wanted)
        return respond(answer)

    async def _log(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method != "GET":
            raise method_not_allowed()
        return await serve_log(request, self.store, self.host, target, self.writer.existing(target))

    async def _scale(self, request: web.Request, target: Target) -> web.Response:
        if request.method == "GET":
            return respond(scale_of(self.writer.existing(target)))
        if request.method not in ("PUT", "PATCH"):
            raise method_not_allowed()
        wanted = _write_options(request)
        if request.method == "PATCH":
            patch = load_json(await request.read())
            return respond(set_scale(self.writer, target, patch, request.content_type, wanted))
        return respond(set_scale(self.writer, target, await _body(request), "", wanted))

    async def _review(self, request: web.Request, target: Target) -> web.Response:
        if request.method != "POST" or target.name is not None:
            raise method_not_allowed()
        return respond(review_access(target.resource, await _body(request)), 201)


def respond(value: Object, status: int = 200, warnings: list[str] | None = None) -> web.Response:
    """A JSON answer, with warnings in the headers that kubectl prints."""
    response = web.Response(body=encode(value), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in warnings or ():
        text = "".join(char for char in warning if char.isprintable()).replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{text}"')
    return response


def _write_options(request: web.Request) -> options.WriteOptions:
    return options.write_options(request.query, request.headers.get("User-Agent", ""))


async def _body(request: web.Request) -> Any:
    data = await request.read()
    if not data:
        raise bad_request("the request has no body")
    load = _BODY_TYPES.get(request.content_type)
    if load is None:
        raise unsupported_media_type(("application/json", "application/yaml", MEDIA_TYPE))
    return load(data)


_BODY_TYPES: dict[str, Callable[[bytes], Any]] = {
    "application/json": load_json,
    "application/octet-stream": load_json,
    "text/plain": load_json,
    "application/yaml": load_yaml,
    MEDIA_TYPE: load_protobuf,
}
