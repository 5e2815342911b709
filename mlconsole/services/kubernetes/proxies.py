"""Which proxy stands on the way to a cluster: the kubeconfig's `proxy-url`, else that of the environment.

As kubectl has it: `proxy-url` always counts; the environment's does not for loopback and for what NO_PROXY names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.problems import NoCluster

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The kinds of proxies, and where they are where no port is named."""


class Proxy(Record, frozen=True, kw_only=True):
    """A proxy: its address without credentials, what it wants to see of us, and where it was named."""

    url: str
    user: str = ""
    password: str = ""
    named_by: str

    @property
    def host(self) -> str:
        """`name:port`, for a sentence."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it is a SOCKS proxy, and not one of HTTP."""
        return self.url.startswith("socks")


def proxy_for(server: str, proxy_url: str = "", environment: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy on the way to `server`; None where there is none.

    Args:
        server: the cluster's address.
        proxy_url: what the kubeconfig says.
        environment: ours where None.

    Raises:
        NoCluster: the proxy's address can't be used.
    """
    variables = os.environ if environment is None else environment
    if proxy_url:
        return _proxy(proxy_url, "proxy-url in the kubeconfig")
    parts = urlsplit(server)
    name = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    found = next((variables[key] for key in (name, name.lower()) if variables.get(key)), "")
    if not found or _bypassed(parts.hostname or "", parts.port, variables):
        return None
    return _proxy(found if "://" in found else f"http://{found}", name)


def _proxy(url: str, named_by: str) -> Proxy:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise NoCluster(f"The proxy of {named_by} has no valid address ({error}).", "Correct it.") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise NoCluster(
            f"The proxy of {named_by} can't be used: its address has to begin with http, https or socks5.",
            "Such as http://proxy.example.com:3128.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Proxy(
        url=f"{parts.scheme}://{host}:{port}",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        named_by=named_by,
    )


def _bypassed(host: str, port: int | None, variables: Mapping[str, str]) -> bool:
    """Whether the environment's proxy is not asked for this host.

    Source: golang.org/x/net/http/httpproxy.
    """
    host = host.lower()
    address = None
    # Else it is a name.
    with contextlib.suppress(ValueError):
        address = ip_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    named = variables.get("NO_PROXY") or variables.get("no_proxy") or ""
    for entry in (part.strip().lower() for part in named.split(",")):
        if entry == "*":
            return True
        if not entry:
            continue
        # Else it is a name, or has a port.
        with contextlib.suppress(ValueError):
            if address is not None and address in ip_network(entry, strict=False):
                return True
        name, _, wanted = entry.rpartition(":") if entry.rpartition(":")[2].isdigit() else (entry, "", "")
        if wanted and wanted != str(port or ""):
            continue
        name = name.removeprefix("*")
        if host == name or host.endswith(name if name.startswith(".") else f".{name}"):
            return True
    return False
