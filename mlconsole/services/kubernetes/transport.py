"""In words why a server can't be reached: what the transport raises, as problems."""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING

from mlconsole.errors import Problem
from mlconsole.services.kubernetes.problems import unreachable
from mlconsole.services.kubernetes.tls import is_verification, verification_sentence
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.proxies import Proxy

CONNECT_SECONDS = 5.0


def problem_of_transport(error: BaseException, host: str, proxy: Proxy | None = None) -> Problem:
    """Return the problem that fits what urllib3, or a websocket, raised.

    Args:
        error: that.
        host: the cluster's `name:port`.
        proxy: the one on the way to it.
    """
    from urllib3 import exceptions

    if isinstance(error, exceptions.ProxyError):
        return _proxy_problem(error, host, proxy)
    if isinstance(error, exceptions.NameResolutionError):
        return unreachable(host, "its name can't be resolved")
    if isinstance(error, exceptions.ConnectTimeoutError) and not isinstance(error, exceptions.NewConnectionError):
        return unreachable(host, f"no answer within {CONNECT_SECONDS:.0f} s")
    if isinstance(error, exceptions.ReadTimeoutError):
        return unreachable(host, "it took the request, but says nothing")
    if isinstance(error, (exceptions.SSLError, ssl.SSLError)):
        return _tls_problem(error, host)
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ConnectionRefusedError) or isinstance(error, ConnectionRefusedError):
        return unreachable(host, "the connection was refused")
    if isinstance(cause, ssl.SSLError):
        return _tls_problem(cause, host)
    if isinstance(cause, (ConnectionResetError, BrokenPipeError)) or isinstance(error, exceptions.ProtocolError):
        return unreachable(host, "the connection was broken off")
    if isinstance(cause, socket.timeout):
        return unreachable(host, "no answer in time")
    reason = getattr(cause, "strerror", None) or getattr(error, "strerror", None) or type(error).__name__
    return unreachable(host, str(reason))


def _tls_problem(error: BaseException, host: str) -> Problem:
    words = verification_sentence(error)
    if is_verification(error):
        return unreachable(
            host,
            f"its certificate is not trusted: {words}",
            "Fetch the kubeconfig anew, or correct certificate-authority, tls-server-name and server in it.",
        )
    next_step = "Check server in the kubeconfig."
    if "client certificate" in words:
        next_step = "Fetch the kubeconfig anew, or log in again as your cluster asks for."
    return unreachable(host, f"TLS failed: {words}", next_step)


def _proxy_problem(error: BaseException, host: str, proxy: Proxy | None) -> Problem:
    """A proxy that can't be reached, or that does not let us through: urllib3 tells them apart by text only."""
    where = f"the proxy {proxy.host}" if proxy else "the proxy on the way to it"
    check = f"Check {proxy.named_by}." if proxy else "Check HTTPS_PROXY and NO_PROXY."
    text = " ".join(str(part) for part in (error, getattr(error, "original_error", ""), error.__cause__))
    if "407" in text:
        return unreachable(host, f"{where} wants a name and a password", f"{check} Write http://name:password@….")
    refused = re.search(r"(?:Tunnel connection failed|via proxy status): ([^'\")]+)", text)
    if refused:
        return unreachable(host, f"{where} does not let us through ({clean_line(refused.group(1))[:80]})", check)
    if "resolve" in text:
        return unreachable(host, f"the name of {where} can't be resolved", check)
    return unreachable(host, f"{where} does not answer", check)
