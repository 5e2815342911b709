"""One way to a cluster: its address, its credentials, raw requests and streams.

The only module that imports the official client, and only when a connection is opened (0.2 to 0.4 s). From it comes
the connection pool; requests and answers are bytes, and refusals are typed problems.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from mlconsole.errors import Problem
from mlconsole.evidence.cluster import ClusterTarget
from mlconsole.services import readonly
from mlconsole.services.kubernetes.credentials import Credential, credential_of
from mlconsole.services.kubernetes.kubeconfig import ContextList, Entry, contexts, find
from mlconsole.services.kubernetes.problems import (
    ApplyConflict,
    Expired,
    Forbidden,
    Invalid,
    NoCluster,
    NotFound,
    QuotaExceeded,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    problem_of,
    unreachable,
)
from mlconsole.services.kubernetes.proxies import Proxy, proxy_for
from mlconsole.services.kubernetes.tls import context_for, has_expired
from mlconsole.services.kubernetes.transport import CONNECT_SECONDS, problem_of_transport

if TYPE_CHECKING:
    import ssl

    from urllib3 import BaseHTTPResponse, HTTPHeaderDict, PoolManager
    from websocket import WebSocket

    from mlconsole.services.kubernetes.sockets import Tracker

__all__ = [
    "ApplyConflict",
    "Connection",
    "ContextList",
    "Expired",
    "Forbidden",
    "Invalid",
    "NoCluster",
    "NotFound",
    "QuotaExceeded",
    "ServerFailed",
    "Stream",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
    "contexts",
]

CHANNELS = "v4.channel.k8s.io"
SILENCE_SECONDS = 75.0
"""A watch that says nothing for so long is dead: bookmarks come about every 60 s."""

LONGEST_LINE = 8 * 1024 * 1024
"""No object of a cluster is as large; a log line that is gets cut."""

POOL_SIZE = 32
"""More than are ever in use at once: the pool logs a warning for each connection that it can't keep."""

RELOAD_SECONDS = 10.0
EXPIRY_MARGIN = timedelta(seconds=60)
_importing = threading.Lock()
"""The client imports its modules as they are asked for; two threads that do so at once lock each other out."""


class Connection:
    """A context's cluster. Safe to use from several threads at once.

    Attributes:
        context: the context's name; `in-cluster` inside a pod.
        namespace: where requests go that name none.
        server: the cluster's address.
    """

    def __init__(self, entry: Entry, namespace: str, kubeconfig: Path | None = None) -> None:
        """Load the credentials of a context that was found in `kubeconfig`. Use `open`."""
        self._entry, self._kubeconfig = entry, kubeconfig
        self._lock = threading.Lock()
        self._credential = Credential()
        self._loaded_at = 0.0
        self._proxy: Proxy | None
        self._tls: ssl.SSLContext | None
        self._pool: PoolManager
        self._tracker: Tracker
        self.context = entry.context
        self.namespace = namespace or entry.namespace or "default"
        self.server = _server_of(entry)
        self._load(entry)

    @classmethod
    def open(cls, *, context: str = "", namespace: str = "", kubeconfig: Path | None = None) -> Connection:
        """Open a connection. Nothing is asked of the cluster yet, but a credential plug-in may run.

        Args:
            context: its name; the current one where empty.
            namespace: the context's own, else `default`, where empty.
            kubeconfig: the file; where None, those in KUBECONFIG, else `~/.kube/config`, else that of the pod we
                are in.

        Raises:
            NoCluster: there is no kubeconfig, or no such context in it.
            Unauthorized: the credentials can't be had.
        """
        return cls(find(context, kubeconfig), namespace, kubeconfig)

    def target(self, selector: str) -> ClusterTarget:
        """Say where this leads, for pods that match `selector`."""
        return ClusterTarget(context=self.context, namespace=self.namespace, selector=selector, server=self.server)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = {},
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 15,
    ) -> bytes:
        """Send one request and return the answer's body.

        Args:
            method: GET, POST, PATCH, PUT or DELETE.
            path: from `/api…`, without the server's address.
            query: its parameters.
            body: what to send.
            content_type: of `body`.
            timeout: seconds without a byte after which it is given up.

        Raises:
            Problem: one of this module's, by what the server answered or why it could not be reached.
        """
        response = self._send(method, path, query, body, content_type, timeout)
        data = self._whole(response)
        if response.status == 401 and self._reload():
            response = self._send(method, path, query, body, content_type, timeout)
            data = self._whole(response)
        if response.status >= 300:
            raise self._refusal(response, data, method, path)
        return data

    def exchange(
        self, method: str, path: str, *, body: bytes | None = None, content_type: str = "", timeout: float = 15
    ) -> tuple[int, bytes]:
        """Send one request, as to a pod behind the API server, and return status and body whatever they are.

        Raises:
            Unreachable: no answer came.
        """
        response = self._send(method, path, {}, body, content_type, timeout, stream=True)
        if response.status == 401 and self._reload():
            response.close()
            response = self._send(method, path, {}, body, content_type, timeout, stream=True)
        return response.status, self._whole(response)

    def stream(self, path: str, query: Mapping[str, str], *, silence: float = SILENCE_SECONDS) -> Stream:
        """Open a stream of lines: a watch, or a log that is followed.

        Args:
            path: from `/api…`, without the server's address.
            query: its parameters.
            silence: seconds without a byte after which it is given up.

        Raises:
            Problem: as `request` does.
        """
        response = self._send("GET", path, query, None, "", silence, stream=True)
        if response.status == 401 and self._reload():
            response.close()
            response = self._send("GET", path, query, None, "", silence, stream=True)
        if response.status >= 300:
            data = self._whole(response)
            raise self._refusal(response, data, "GET", path)
        return Stream(response, self._host)

    def websocket(self, path: str, query: Mapping[str, str]) -> WebSocket:
        """Open a websocket by which channels are multiplexed (`v4.channel.k8s.io`).

        Raises:
            Problem: as `request` does.
        """
        from mlconsole.services.kubernetes.sockets import open_websocket

        headers = [*self._authorization(), ("Sec-WebSocket-Protocol", CHANNELS)]
        url = "ws" + self.server.removeprefix("http") + path + (f"?{urlencode(query)}" if query else "")
        server_name = str(self._entry.cluster.get("tls-server-name") or "")
        opened = open_websocket(url, headers, self._tls, server_name, self._proxy, CONNECT_SECONDS)
        if not isinstance(opened, tuple):
            return opened
        status, body = opened
        if status == 401 and self._reload():
            return self.websocket(path, query)
        raise problem_of(status, body, method="GET", path=path, context=self.context)

    def interrupt(self, thread: int) -> None:
        """End what the thread of this identity waits for here, from another thread; its call raises Unreachable."""
        self._tracker.shut_down(thread)

    def close(self) -> None:
        """Close the sockets that nobody uses at the moment."""
        self._pool.clear()

    @property
    def _host(self) -> str:
        parts = urlsplit(self.server)
        return f"{parts.hostname or self.server}:{parts.port or (443 if parts.scheme == 'https' else 80)}"

    def _load(self, entry: Entry, *, refused: bool = False) -> None:
        """Have the credential, and a pool that shows it; the pool stays where it need not be another one."""
        before, credential = self._credential, credential_of(entry, refused=refused)
        self._entry, self._credential = entry, credential
        self._loaded_at = time.monotonic()
        same = (before.certificate, before.key) == (credential.certificate, credential.key)
        if not same or not hasattr(self, "_pool"):
            self._make_pool(entry, credential)

    def _make_pool(self, entry: Entry, credential: Credential) -> None:
        with _importing:
            from kubernetes.client import ApiClient, Configuration
        from urllib3.exceptions import InsecureRequestWarning

        from mlconsole.services.kubernetes.sockets import Tracker, keep_alive_options, lead_through, use_tls

        cluster = entry.cluster
        self._proxy = proxy_for(self.server, str(cluster.get("proxy-url") or ""))
        self._tls = None
        if self.server.startswith("https:"):
            self._tls = context_for(cluster, credential.certificate, credential.key)
        configuration = Configuration(host=self.server)
        configuration.verify_ssl = not cluster.get("insecure-skip-tls-verify")
        configuration.tls_server_name = cluster.get("tls-server-name")
        configuration.socket_options = keep_alive_options()
        configuration.connection_pool_maxsize = POOL_SIZE
        lead_through(configuration, self._proxy)
        if not configuration.verify_ssl:
            # The kubeconfig's owner has decided so; a warning at each request would only draw over the screen.
            warnings.simplefilter("ignore", InsecureRequestWarning)
        self._pool = ApiClient(configuration).rest_client.pool_manager
        use_tls(self._pool, self._tls)
        self._tracker = Tracker(self._pool)

    def _reload(self) -> bool:
        """Have the credential anew, as after a 401; False where that was done a moment ago and nothing is new."""
        with self._lock:
            before = self._credential
            recent = time.monotonic() - self._loaded_at < RELOAD_SECONDS
            if recent and not self._entry.user.get("tokenFile"):
                return False
            self._load(self._fresh_entry(), refused=True)
            return not recent or self._credential.authorization != before.authorization

    def _fresh_entry(self) -> Entry:
        """The context as the kubeconfig has it now: a log-in may have changed it. Never another cluster's."""
        try:
            found = find(self._entry.context, self._kubeconfig)
        except NoCluster:
            return self._entry
        return found if found.cluster == self._entry.cluster else self._entry

    def _authorization(self) -> list[tuple[str, str]]:
        """The headers that say who asks."""
        renew_at = self._credential.renew_at
        if renew_at is not None and datetime.now(UTC) + EXPIRY_MARGIN > renew_at:
            self._renew()
        credential = self._credential
        found = list(credential.headers)
        return [("Authorization", credential.authorization), *found] if credential.authorization else found

    def _renew(self) -> None:
        """Have a credential anew that is about to expire, once however many threads ask."""
        with self._lock:
            renew_at = self._credential.renew_at
            recent = time.monotonic() - self._loaded_at < RELOAD_SECONDS
            if renew_at is not None and datetime.now(UTC) + EXPIRY_MARGIN > renew_at and not recent:
                self._load(self._entry)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        timeout: float,
        *,
        stream: bool = False,
    ) -> BaseHTTPResponse:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError, ProtocolError

        readonly.check_request(method, path, query)
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = self._headers(method, content_type if body is not None else "", stream=stream)
        limits = Timeout(connect=min(CONNECT_SECONDS, timeout), read=timeout)
        send = partial(
            self._pool.request,
            method,
            url,
            body=body,
            headers=headers,
            timeout=limits,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            try:
                return send()
            except ProtocolError:
                # A kept connection may be closed by the server at the very moment of its next use.
                if method != "GET":
                    raise
                return send()
        except HTTPError as error:
            raise problem_of_transport(error, self._host, self._proxy) from error
        except UnicodeError as error:
            raise unreachable(self._host, "its address is not valid", "Correct it in the kubeconfig.") from error

    def _headers(self, method: str, content_type: str, *, stream: bool) -> HTTPHeaderDict:
        from urllib3 import HTTPHeaderDict

        headers = HTTPHeaderDict({"Accept": "application/json", "User-Agent": "mlconsole"})
        for name, value in self._authorization():
            headers.add(name, value)
        if content_type:
            headers["Content-Type"] = content_type
        if stream:
            headers["Accept"] = "application/json, */*"
        elif method == "GET":
            headers["Accept-Encoding"] = "gzip"
        return headers

    def _refusal(self, response: BaseHTTPResponse, data: bytes, method: str, path: str) -> Problem:
        expired = has_expired(self._credential.certificate) if response.status == 401 else None
        if expired is not None:
            return Unauthorized(
                f"The client certificate of context {self.context} expired at {expired:%Y-%m-%d %H:%M} UTC.",
                "Fetch the kubeconfig anew, or log in again as your cluster asks for.",
            )
        later = response.headers.get("Retry-After")
        return problem_of(response.status, data, method=method, path=path, context=self.context, retry_after=later)

    def _whole(self, response: BaseHTTPResponse) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            return response.read(decode_content=True)
        except HTTPError as error:
            response.close()
            raise problem_of_transport(error, self._host) from error
        finally:
            response.release_conn()


class Stream:
    """Lines as bytes, as they come. A last line without a newline is not handed out, but kept in `rest`."""

    def __init__(self, response: BaseHTTPResponse, host: str) -> None:
        self.rest = b""
        self._response = response
        self._host = host
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines until the server ends the stream, or `stop`.

        Raises:
            Unreachable: it broke, or was silent for too long.
        """
        from urllib3.exceptions import HTTPError

        try:
            for chunk in self._chunks():
                if self._stopped.is_set():
                    return
                *lines, self.rest = (self.rest + chunk).split(b"\n")
                yield from lines
                if len(self.rest) > LONGEST_LINE:
                    yield self.rest
                    self.rest = b""
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            # A socket that is shut down under the reader shows as any of these.
            if not self._stopped.is_set():
                raise problem_of_transport(error, self._host) from error
        finally:
            self._response.close()

    def _chunks(self) -> Iterator[bytes]:
        response = self._response
        if getattr(response, "chunked", False):
            yield from response.stream(amt=None, decode_content=False)
            return
        while chunk := response.read1(decode_content=False):
            yield chunk

    def stop(self) -> None:
        """End it from another thread: the reader leaves at once."""
        self._stopped.set()
        try:
            self._response.shutdown()
        except (OSError, RuntimeError, ValueError):
            # It has ended by itself.
            return

    def close(self) -> None:
        """Give the socket back, from the reader's own thread."""
        self._stopped.set()
        self._response.close()


def _server_of(entry: Entry) -> str:
    """The cluster's address.

    Raises:
        NoCluster: there is none, or it is none.
    """
    server = str(entry.cluster.get("server") or "")
    if not server:
        raise NoCluster(f"The cluster {entry.cluster_name} has no server in the kubeconfig.", "Add its address.")
    server = server if "://" in server else f"http://{server}"
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise NoCluster(f"The address {server} of cluster {entry.cluster_name} is not valid.", "Correct it.")
    return server.rstrip("/")
