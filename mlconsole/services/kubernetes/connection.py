"""One way to a cluster: its address, its credentials, raw requests and streams.

The only module that imports the official client, and only when a connection is opened (0.2 to 0.4 s). From it come
the credentials, TLS and the connection pool; requests and answers are bytes, and refusals are typed problems.
"""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from mlconsole.errors import Problem
from mlconsole.evidence.cluster import ClusterTarget
from mlconsole.services import readonly
from mlconsole.services.kubernetes.kubeconfig import ContextList, Entry, as_pem_data, contexts, find, run_plugin
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

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
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

CONNECT_SECONDS = 5.0
CHANNELS = "v4.channel.k8s.io"
SILENCE_SECONDS = 75.0
"""A watch that says nothing for so long is dead: bookmarks come about every 60 s."""

LONGEST_LINE = 8 * 1024 * 1024
"""No object of a cluster is as large; a log line that is gets cut."""

POOL_SIZE = 32
"""More than are ever in use at once: the pool logs a warning for each connection that it can't keep."""

RELOAD_SECONDS = 10.0
EXPIRY_MARGIN = timedelta(seconds=60)
IN_CLUSTER = "in-cluster"
_importing = threading.Lock()
"""The client imports its modules as they are asked for; two threads that do so at once lock each other out."""

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Connection:
    """A context's cluster. Safe to use from several threads at once.

    Attributes:
        context: the context's name; `in-cluster` inside a pod.
        namespace: where requests go that name none.
        server: the cluster's address.
    """

    def __init__(self, entry: Entry | None, namespace: str) -> None:
        """Load the credentials; `entry` is None inside a pod. Use `open`."""
        self._entry = entry
        self._lock = threading.Lock()
        self._expires_at: datetime | None = None
        self._loaded_at = 0.0
        self._configuration: Any
        self._pool: PoolManager
        self._tracker: Tracker
        self._load()
        self.context = entry.context if entry else IN_CLUSTER
        self.namespace = namespace or (entry.namespace if entry else _own_namespace()) or "default"
        self.server = str(self._configuration.host).rstrip("/")

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
        return cls(find(context, kubeconfig), namespace)

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
        with _importing:
            import websocket
            from kubernetes.stream.ws_client import create_websocket

        websocket.setdefaulttimeout(CONNECT_SECONDS)
        headers = {name.lower(): value for name, value in self._authorization().items()}
        headers["sec-websocket-protocol"] = CHANNELS
        url = "ws" + self.server.removeprefix("http") + path + (f"?{urlencode(query)}" if query else "")
        try:
            open_it: Any = create_websocket
            opened: WebSocket = open_it(self._configuration, url, headers)
        except websocket.WebSocketBadStatusException as refused:
            if refused.status_code == 401 and self._reload():
                return self.websocket(path, query)
            body = refused.resp_body or b""
            raise problem_of(refused.status_code, body, method="GET", path=path, context=self.context) from refused
        except websocket.WebSocketTimeoutException as error:
            raise unreachable(self._host, f"no answer within {CONNECT_SECONDS:.0f} s") from error
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise unreachable(self._host, getattr(error, "strerror", None) or str(error)) from error
        opened.settimeout(None)
        return opened

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

    def _load(self) -> None:
        with _importing:
            from kubernetes.client import ApiClient, Configuration
            from kubernetes.config.config_exception import ConfigException
        from urllib3.exceptions import InsecureRequestWarning

        from mlconsole.services.kubernetes.sockets import Tracker, keep_alive_options

        configuration = Configuration()
        try:
            if self._entry is None:
                self._load_in_cluster(configuration)
            else:
                self._load_entry(configuration, self._entry)
        except (ConfigException, ValueError, KeyError, TypeError, OSError) as error:
            name = self._entry.context if self._entry else IN_CLUSTER
            raise NoCluster(f"Context {name} can't be used: {error}.", "Correct it in the kubeconfig.") from error
        configuration.socket_options = keep_alive_options()
        configuration.connection_pool_maxsize = POOL_SIZE
        if not configuration.verify_ssl:
            # The kubeconfig's owner has decided so; a warning at each request would only draw over the screen.
            warnings.simplefilter("ignore", InsecureRequestWarning)
        if urlsplit(configuration.host).hostname in ("127.0.0.1", "localhost", "::1"):
            configuration.proxy = None
        self._configuration = configuration
        self._pool = ApiClient(configuration).rest_client.pool_manager
        self._tracker = Tracker(self._pool)
        self._loaded_at = time.monotonic()

    def _load_in_cluster(self, configuration: Any) -> None:
        from kubernetes import config
        from kubernetes.config.config_exception import ConfigException

        try:
            load: Any = config.load_incluster_config
            load(client_configuration=configuration)
        except ConfigException as error:
            raise NoCluster(
                "There is no kubeconfig, and this is not a pod.",
                'Set KUBECONFIG, or set context = "local" under [deploy] and type `mlconsole cluster start`.',
            ) from error

    def _load_entry(self, configuration: Any, entry: Entry) -> None:
        from kubernetes.config import kube_config

        user = dict(entry.user)
        self._expires_at = None
        if "exec" in user and not (user.get("token") or user.get("tokenFile")):
            credential = run_plugin(entry)
            self._expires_at = credential.expires_at
            if credential.token:
                user["token"] = credential.token
            else:
                user["client-certificate-data"] = as_pem_data(credential.certificate)
                user["client-key-data"] = as_pem_data(credential.key)
        user.pop("exec", None)
        if not entry.cluster.get("server"):
            raise NoCluster(f"The cluster {entry.cluster_name} has no server in the kubeconfig.", "Add its address.")
        content = {
            "current-context": entry.context,
            "contexts": [{"name": entry.context, "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": entry.cluster}],
            "users": [{"name": "it", "user": user}],
        }
        make: Any = kube_config.KubeConfigLoader
        make(config_dict=content, active_context=entry.context, config_base_path="").load_and_set(configuration)

    def _reload(self) -> bool:
        """Load the credentials anew, as after a 401; False where that was done a moment ago."""
        with self._lock:
            if time.monotonic() - self._loaded_at < RELOAD_SECONDS:
                return False
            self._load()
            return True

    def _authorization(self) -> dict[str, str]:
        if self._expires_at is not None and datetime.now(UTC) + EXPIRY_MARGIN > self._expires_at:
            self._reload()
        with self._lock:
            found = self._configuration.auth_settings().get("BearerToken")
        return {"Authorization": found["value"]} if found and found["value"] else {}

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
            raise _problem_of_transport(error, self._host) from error
        except UnicodeError as error:
            raise unreachable(self._host, "its address is not valid", "Correct it in the kubeconfig.") from error

    def _headers(self, method: str, content_type: str, *, stream: bool) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "mlconsole", **self._authorization()}
        if content_type:
            headers["Content-Type"] = content_type
        if stream:
            headers["Accept"] = "application/json, */*"
        elif method == "GET":
            headers["Accept-Encoding"] = "gzip"
        return headers

    def _refusal(self, response: BaseHTTPResponse, data: bytes, method: str, path: str) -> Problem:
        later = response.headers.get("Retry-After")
        return problem_of(response.status, data, method=method, path=path, context=self.context, retry_after=later)

    def _whole(self, response: BaseHTTPResponse) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            return response.read(decode_content=True)
        except HTTPError as error:
            response.close()
            raise _problem_of_transport(error, self._host) from error
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
                *lines, self.rest = (self.rest + chunk).split(b"\n")
                yield from lines
                if len(self.rest) > LONGEST_LINE:
                    yield self.rest
                    self.rest = b""
                if self._stopped.is_set():
                    return
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            # A socket that is shut down under the reader shows as any of these.
            if not self._stopped.is_set():
                raise _problem_of_transport(error, self._host) from error
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


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text("utf-8").strip()
    except OSError:
        return ""


def _problem_of_transport(error: Exception, host: str) -> Problem:
    """Say in words why a server can't be reached."""
    from urllib3 import exceptions

    if isinstance(error, exceptions.NameResolutionError):
        return unreachable(host, "its name can't be resolved")
    if isinstance(error, exceptions.ConnectTimeoutError) and not isinstance(error, exceptions.NewConnectionError):
        return unreachable(host, f"no answer within {CONNECT_SECONDS:.0f} s")
    if isinstance(error, exceptions.ReadTimeoutError):
        return unreachable(host, "it took the request, but says nothing")
    if isinstance(error, exceptions.SSLError):
        return unreachable(
            host,
            f"its certificate is not trusted ({error})" if "CERTIFICATE" in str(error) else f"TLS failed ({error})",
            "Check certificate-authority and server in the kubeconfig.",
        )
    if isinstance(error, exceptions.ProxyError):
        return unreachable(host, "the proxy on the way to it does not answer", "Check HTTPS_PROXY and NO_PROXY.")
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ConnectionRefusedError):
        return unreachable(host, "the connection was refused")
    if isinstance(cause, (ConnectionResetError, BrokenPipeError)) or isinstance(error, exceptions.ProtocolError):
        return unreachable(host, "the connection was broken off")
    if isinstance(cause, socket.timeout):
        return unreachable(host, "no answer in time")
    reason = getattr(cause, "strerror", None) or type(error).__name__
    return unreachable(host, str(reason))
