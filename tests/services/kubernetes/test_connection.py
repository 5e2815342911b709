"""A connection reaches its cluster with its credentials, and says clearly where it does not."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlconsole.services.kubernetes.connection import (
    Connection,
    NoCluster,
    NotFound,
    Unauthorized,
    Unreachable,
    contexts,
)
from tests.services.kubernetes.fake_cluster import FakeCluster, Reply, Request, serving


def write(path: Path, name: str, *, server: str = "http://127.0.0.1:1", current: str = "") -> Path:
    content = {
        "current-context": current or name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {"token": f"token-of-{name}"}}],
    }
    path.write_text(json.dumps(content))
    return path


def test_contexts_of_several_files_are_merged_and_the_first_current_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(tmp_path / "a", "lab"), write(tmp_path / "b", "prod")
    monkeypatch.setenv("KUBECONFIG", f"{first}{os.pathsep}{tmp_path / 'absent'}{os.pathsep}{second}")
    found = contexts()
    assert (found.names, found.current) == (("lab", "prod"), "lab")


@pytest.mark.parametrize("content", [None, "", "[]", "a: [", "contexts: 3", "contexts: [{}, 1]", "\x00"])
def test_contexts_never_raise(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    assert contexts(path).names == ()


def test_contexts_do_not_import_the_client() -> None:
    code = (
        "import sys; from mlconsole.services.kubernetes.connection import contexts; contexts(); "
        "sys.exit('kubernetes' in sys.modules or 'urllib3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_a_context_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NoCluster, match="Did you mean lab-berlin"):
        Connection.open(context="lab-berlni", kubeconfig=write(tmp_path / "a", "lab-berlin"))


def test_without_any_kubeconfig_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(NoCluster, match="mlconsole cluster start"):
        Connection.open()


def test_a_kubeconfig_that_is_broken_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("clusters:\n- a: [\n")
    with pytest.raises(NoCluster, match=r"config, line \d"):
        Connection.open(kubeconfig=path)


def test_requests_carry_the_token_and_the_query(tmp_path: Path) -> None:
    with serving(lambda request: Reply(body={"ok": True}), tmp_path) as (cluster, connection):
        assert json.loads(connection.request("GET", "/api/v1/pods", query={"labelSelector": "a in (b, c)"})) == {
            "ok": True
        }
        request = cluster.requests[0]
        assert request.headers["Authorization"] == "Bearer secret-token"
        assert request.query == {"labelSelector": "a in (b, c)"}
        assert (connection.context, connection.namespace) == ("lab", "lab")
        assert connection.target("app=a").server == f"http://127.0.0.1:{cluster.port}"


def test_a_refused_connection_names_host_and_port(tmp_path: Path) -> None:
    with socket.socket() as mute:  # held, so that nobody else begins to listen there
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        connection = Connection.open(kubeconfig=write(tmp_path / "a", "lab", server=f"http://127.0.0.1:{port}"))
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}: the connection was refused"):
            connection.request("GET", "/version")


def test_a_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    connection = Connection.open(kubeconfig=write(tmp_path / "a", "lab", server="https://cluster.invalid"))
    with pytest.raises(Unreachable, match=r"cluster[.]invalid:443"):
        connection.request("GET", "/version")


def test_a_server_that_is_silent_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        connection = Connection.open(kubeconfig=write(tmp_path / "a", "lab", server=server))
        with pytest.raises(Unreachable, match="says nothing"):
            connection.request("GET", "/version", timeout=0.2)


def test_a_server_without_the_expected_certificate_is_not_trusted(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda request: Reply(body={}))
    try:
        server = f"https://127.0.0.1:{cluster.port}"
        connection = Connection.open(kubeconfig=write(tmp_path / "a", "lab", server=server))
        with pytest.raises(Unreachable, match="TLS failed"):
            connection.request("GET", "/version")
    finally:
        cluster.close()


def plugin(folder: Path, script: str) -> dict[str, object]:
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "args": ["a"]}}


GOOD_PLUGIN = """
import json, os, sys
assert sys.stdin.read() == "" and not os.isatty(0) and os.getsid(0) == os.getpid()
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]["interactive"] is False
count = int(open("{count}").read() or 0) + 1
open("{count}", "w").write(str(count))
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                   "status": {{"token": f"token-{{count}}", "expirationTimestamp": "{expiry}"}}}}))
"""


def test_a_plugin_gives_the_token_without_a_terminal_and_is_run_again_when_it_expires(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("")
    expired = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    user = plugin(tmp_path, GOOD_PLUGIN.format(count=count, expiry=expired))
    cluster = FakeCluster(lambda request: Reply(body={}))
    try:
        connection = Connection.open(kubeconfig=cluster.kubeconfig(tmp_path, user=user))
        connection._loaded_at -= 100
        connection.request("GET", "/version")
        assert cluster.requests[0].headers["Authorization"] == "Bearer token-2"
    finally:
        cluster.close()


def test_a_plugin_that_fails_is_told_and_nothing_is_asked_anonymously(tmp_path: Path) -> None:
    user = plugin(tmp_path, "import sys; sys.exit('\\x1b[31mplease log in')")
    cluster = FakeCluster(lambda request: Reply(body={}))
    try:
        with pytest.raises(Unauthorized, match="failed: please log in"):
            Connection.open(kubeconfig=cluster.kubeconfig(tmp_path, user=user))
        assert cluster.requests == []
    finally:
        cluster.close()


def test_a_refused_token_is_read_anew_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def respond(request: Request) -> Reply:
        good = request.headers["Authorization"] == "Bearer new"
        return Reply(body={"ok": 1}) if good else Reply(401, {"kind": "Status", "message": "Unauthorized", "code": 401})

    cluster = FakeCluster(respond)
    try:
        connection = Connection.open(kubeconfig=cluster.kubeconfig(tmp_path, user={"tokenFile": "token"}))
        with pytest.raises(Unauthorized):
            connection.request("GET", "/version")
        token.write_text("new")
        connection._loaded_at -= 100
        assert json.loads(connection.request("GET", "/version")) == {"ok": 1}
    finally:
        cluster.close()


def test_a_stream_hands_out_whole_lines_and_keeps_the_rest(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"on"
        yield b"e\ntwo\nth"
        yield b"ree"

    with serving(lambda request: Reply(chunks=chunks()), tmp_path) as (_, connection):
        stream = connection.stream("/watch", {"watch": "true"})
        assert list(stream) == [b"one", b"two"]
        assert stream.rest == b"three"


@pytest.mark.parametrize("how", ["stop", "interrupt"])
def test_a_silent_stream_is_stopped_at_once_from_another_thread(tmp_path: Path, how: str) -> None:
    release = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        release.wait(30)

    with serving(lambda request: Reply(chunks=chunks()), tmp_path) as (_, connection):
        stream = connection.stream("/watch", {})
        lines: list[bytes] = []
        got = threading.Event()

        def read() -> None:
            try:
                for line in stream:
                    lines.append(line)
                    got.set()
            except Unreachable:
                lines.append(b"interrupted")

        thread = threading.Thread(target=read)
        thread.start()
        assert got.wait(60)
        began = time.monotonic()
        # Whoever opened the stream is whom the connection knows as its user.
        stream.stop() if how == "stop" else connection.interrupt(threading.get_ident())
        thread.join(60)
        assert time.monotonic() - began < 15
        assert lines[0] == b"first"
        release.set()


def test_a_stream_that_is_refused_raises_as_a_request_does(tmp_path: Path) -> None:
    with (
        serving(lambda request: Reply(404, b"404 page not found\n"), tmp_path) as (_, connection),
        pytest.raises(NotFound, match=r"rollouts of argoproj[.]io/v1alpha1"),
    ):
        connection.stream("/apis/argoproj.io/v1alpha1/namespaces/lab/rollouts", {"watch": "true"})


def test_many_threads_may_open_the_first_connections_of_a_process_at_once(tmp_path: Path) -> None:
    kubeconfig = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    code = (
        "import pathlib, sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from mlconsole.services.kubernetes.connection import Connection\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    opened = list(pool.map(lambda _: Connection.open(kubeconfig=path), range(8)))\n"
        "print(len(opened))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "kubeconfig")], capture_output=True, text=True, timeout=120
    )
    assert (found.stdout, found.stderr) == ("8\n", "")
