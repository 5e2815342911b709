"""``services/proxy`` and ``pods/proxy``: a request handed on to what runs in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from mlconsole.localcluster.api.errors import unavailable

if TYPE_CHECKING:
    from mlconsole.localcluster.api.hosting import Host
    from mlconsole.localcluster.api.targets import Target

_HOP_BY_HOP = frozenset(
    {
        "authorization",
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


async def forward(request: web.Request, session: ClientSession, host: Host, target: Target) -> web.StreamResponse:
    """Hands the request on and streams the answer back. Raises ApiError 503 where nothing answers."""
    name, port = _name_and_port(target.name or "")
    namespace = target.namespace or ""
    if target.resource.plural == "services":
        address = host.service_address(namespace, name, port)
    else:
        address = host.pod_address(namespace, name, port or None)
    if address is None:
        raise unavailable(f'no endpoints available for service "{name}"' if port else f'address not known: "{name}"')
    url = f"http://{address[0]}:{address[1]}/{target.rest}"
    _, asked, query = request.raw_path.partition("?")
    url += asked + query
    headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
    body = request.content if request.body_exists else None
    try:
        return await _exchange(request, session, url, headers, body)
    except (ClientError, TimeoutError) as error:
        raise unavailable(f"error trying to reach service: {error}") from None


async def _exchange(
    request: web.Request, session: ClientSession, url: str, headers: dict[str, str], body: object
) -> web.StreamResponse:
    from yarl import URL

    timeout = ClientTimeout(total=None, sock_connect=10)
    target = URL(url, encoded=True)
    async with session.request(
        request.method, target, headers=headers, data=body, timeout=timeout, allow_redirects=False
    ) as answer:
        kept = [(key, value) for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP]
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=kept)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _name_and_port(text: str) -> tuple[str, str | int]:
    """``[scheme:]name[:port]``, the port as a number where it is one."""
    parts = text.split(":")
    if len(parts) == 3:
        parts = parts[1:]
    port = parts[1] if len(parts) > 1 else ""
    return parts[0], int(port) if port.isdecimal() else port
