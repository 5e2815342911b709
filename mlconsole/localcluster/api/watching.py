"""Watches: a response that never ends, with one JSON line a change."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from mlconsole.localcluster.api import options
from mlconsole.localcluster.api.errors import expired
from mlconsole.localcluster.api.lists import predicates
from mlconsole.localcluster.api.rendering import Renderer, encode
from mlconsole.localcluster.store import Event, Expired, Store, Subscription

if TYPE_CHECKING:
    from mlconsole.localcluster.api.selectors import Predicate
    from mlconsole.localcluster.api.targets import Target

Object = dict[str, Any]

BOOKMARK_SECONDS = 60.0
BACKLOG = 10_000
"""Events that may wait for a client that does not read; then its watch ends and it has to list again."""
DEFAULT_SECONDS = (1800, 3600)


async def watch(request: web.Request, store: Store, target: Target, renderer: Renderer) -> web.StreamResponse:
    """Answers a watch until its time is over, the client leaves or the store closes. Raises ApiError."""
    tests = predicates(target, request.query)
    since = options.version(request.query)
    initial = options.flag(request.query, "sendInitialEvents")
    try:
        follow = since if since and not initial else None
        subscription = store.watch(target.resource.plural, target.namespace, follow, limit=BACKLOG)
    except Expired as gone:
        return await _too_old(request, gone)
    start = store.version
    response = _response()
    try:
        await response.prepare(request)
        stream = _Stream(response, renderer, tests)
        if initial or not since:
            objects = store.scan(target.resource.plural, target.namespace)
            await stream.send([Event("ADDED", obj, None, start) for obj in list(objects)])
        bookmarks = options.flag(request.query, "allowWatchBookmarks")
        if initial and bookmarks:
            await response.write(renderer.bookmark(start, initial=True))
        stop = time.monotonic() + _seconds(request)
        await stream.follow(subscription, store, stop, bookmarks=bookmarks)
        await response.write_eof()
    except ConnectionResetError:
        # The client has left; there is nobody to tell.
        return response
    finally:
        subscription.close()
    return response


def _seconds(request: web.Request) -> float:
    asked = options.number(request.query, "timeoutSeconds")
    return asked if asked and asked > 0 else random.uniform(*DEFAULT_SECONDS)


def _response() -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    return response


async def _too_old(request: web.Request, gone: Expired) -> web.StreamResponse:
    response = _response()
    await response.prepare(request)
    await response.write(encode({"type": "ERROR", "object": expired(*gone.args).status}) + b"\n")
    await response.write_eof()
    return response


class _Stream:
    """Writes those events that the selectors let through."""

    def __init__(self, response: web.StreamResponse, renderer: Renderer, tests: list[Predicate]) -> None:
        self.response = response
        self.renderer = renderer
        self.tests = tests

    async def follow(self, subscription: Subscription, store: Store, stop: float, *, bookmarks: bool) -> None:
        """Sends what comes, until the time is over or the subscription ends."""
        next_bookmark = time.monotonic() + BOOKMARK_SECONDS
        while True:
            now = time.monotonic()
            if now >= stop:
                break
            try:
                wait = min(stop, next_bookmark) - now
                event = await asyncio.wait_for(subscription.__anext__(), max(wait, 0.001))
            except StopAsyncIteration:
                return
            except TimeoutError:
                if bookmarks and time.monotonic() >= next_bookmark:
                    await self.response.write(self.renderer.bookmark(store.version))
                    next_bookmark = time.monotonic() + BOOKMARK_SECONDS
                elif time.monotonic() >= next_bookmark:
                    next_bookmark = stop
                continue
            await self.send([event, *subscription.pending()])

    async def send(self, events: list[Event]) -> None:
        """Writes events in one piece."""
        lines = [self.renderer.event(kind, obj) for kind, obj in map(self._seen, events) if kind]
        if lines:
            await self.response.write(b"".join(lines))

    def _seen(self, event: Event) -> tuple[str, Object]:
        """The event as it looks through the selectors: an object that starts to fit is added, and so on."""
        fits = all(test(event.object) for test in self.tests)
        if event.type == "ADDED" or not self.tests:
            return (event.type if fits else ""), event.object
        before = event.previous is not None and all(test(event.previous) for test in self.tests)
        if event.type == "DELETED":
            return ("DELETED" if before or fits else ""), event.object
        if fits:
            return ("MODIFIED" if before else "ADDED"), event.object
        return ("DELETED" if before else ""), event.object
