"""The console in a browser: textual-serve on loopback, behind a token.

textual-serve asks nobody who they are, so everything is below a path that only the person who started the server was
told. A cookie would do less: browsers send those of one port of this machine to all others.
"""

from __future__ import annotations

import secrets
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mlconsole.errors import OutsideFailed, WrongUse

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

    from mlconsole.project import Project

HOST = "127.0.0.1"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self' ws:; frame-ancestors 'none'"
)
"""Nothing is fetched from elsewhere: textual-serve's page would ask another site for a font."""


def serve(project: Project, options: Sequence[str], *, port: int, tell: Callable[[str], None]) -> None:
    """Serve a project's console until Ctrl+C; each page that is opened is a console of its own.

    Args:
        project: the project.
        options: of `mlconsole DIR`, such as `--readonly`.
        port: where to listen; 0: wherever there is room.
        tell: gets the address, token included, once it is listened on.

    Raises:
        WrongUse: textual-serve is not installed.
        OutsideFailed: the port is taken.
    """
    try:
        from textual_serve.server import Server
    except ImportError as error:
        raise WrongUse("The browser needs textual-serve.", "Install it: pip install 'mlconsole[serve]'") from error
    from aiohttp import web

    listening = _listen(port)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(32)
    command = shlex.join([sys.executable, "-P", "-m", "mlconsole", str(project.root), *options])
    address = f"http://{HOST}:{port}"
    server = Server(command, host=HOST, port=port, title=project.settings.name, public_url=address)

    async def application() -> web.Application:
        console = await server._make_app()
        # what it would print of itself is said by `tell`
        console.on_startup.clear()
        outer = web.Application(middlewares=[guard_of(f"{HOST}:{port}")])
        outer.on_response_prepare.append(_prepared)
        outer.router.add_get(f"/{token}", _whole)
        outer.add_subapp(f"/{token}/", console)
        outer.on_startup.append(announce)
        return outer

    async def announce(_: web.Application) -> None:
        # whoever has the address may end this, and be it by a signal that is ignored until now
        tell(f"{address}/{token}/")

    web.run_app(application(), sock=listening, print=lambda *words: None, access_log=None, shutdown_timeout=3)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise OutsideFailed(f"Port {port} can't be listened on: {error.strerror}.", "Choose another --port.") from error


def guard_of(host: str) -> Middleware:
    """Let only requests through that a page of this very server sends.

    Args:
        host: the server's own `Host`: another one is a name that somebody made point here.
    """
    from aiohttp import web

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host != host or request.headers.get("Origin", f"http://{host}") != f"http://{host}":
            raise web.HTTPForbidden(text="This address is not the console's.")
        return await handler(request)

    return guard


async def _whole(request: web.Request) -> web.StreamResponse:
    """Who copied the address without its last stroke is led there."""
    from aiohttp import web

    raise web.HTTPFound(f"{request.path}/")


async def _prepared(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
