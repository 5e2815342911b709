"""Whom we trust on the way to a cluster, over real TLS sockets: certificates and proxies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.kubernetes.connection import Connection, NoCluster, ServerFailed, Unreachable
from tests.services.kubernetes.authority import DAY, Authority
from tests.services.kubernetes.fake_cluster import FakeCluster, Reply, Request
from tests.services.kubernetes.proxy import Proxy
from tests.services.kubernetes.reaching import OK, ask, at, cluster_of, write

pytestmark = pytest.mark.usefixtures("no_proxies")


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, authority: Authority) -> None:
    with (
        cluster_of(authority.server(tmp_path)) as cluster,
        pytest.raises(Unreachable, match="signed by an authority that certificate-authority does not have"),
    ):
        ask(write(tmp_path / "config", at(cluster, Authority("another")), {"token": "t"}))


def test_an_expired_certificate_of_the_server_is_told(tmp_path: Path, authority: Authority) -> None:
    with (
        cluster_of(authority.server(tmp_path, ends=-DAY)) as cluster,
        pytest.raises(Unreachable, match="not trusted: it has expired"),
    ):
        ask(write(tmp_path / "config", at(cluster, authority), {"token": "t"}))


def test_a_certificate_for_another_name_is_told_and_tls_server_name_helps(tmp_path: Path, authority: Authority) -> None:
    with cluster_of(authority.server(tmp_path, names=("api.example.com",))) as cluster:
        section = at(cluster, authority)
        with pytest.raises(Unreachable, match=r"it is not for 127\.0\.0\.1.* tls-server-name"):
            ask(write(tmp_path / "config", section, {"token": "t"}))
        assert ask(write(tmp_path / "config", section | {"tls-server-name": "api.example.com"}, {"token": "t"}))


def test_insecure_skip_tls_verify_trusts_anybody_but_not_beside_an_authority(
    tmp_path: Path, authority: Authority
) -> None:
    with cluster_of(authority.server(tmp_path, ends=-DAY)) as cluster:
        skipping = at(cluster) | {"insecure-skip-tls-verify": True}
        assert ask(write(tmp_path / "config", skipping, {"token": "t"})) == {"ok": True}
        with pytest.raises(NoCluster, match="both certificate-authority and insecure-skip-tls-verify"):
            ask(write(tmp_path / "config", skipping | at(cluster, authority), {"token": "t"}))


def test_a_server_that_wants_a_certificate_which_we_have_not(tmp_path: Path, authority: Authority) -> None:
    with (
        cluster_of(authority.server(tmp_path, clients=authority)) as cluster,
        pytest.raises(Unreachable, match=r"asks for a client certificate"),
    ):
        ask(write(tmp_path / "config", at(cluster, authority), {"token": "t"}))


def test_a_server_that_speaks_no_tls_is_told(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda request: OK)
    try:
        with pytest.raises(Unreachable, match=r"does not speak TLS.* Check server"):
            ask(write(tmp_path / "config", at(cluster), {"token": "t"}))
    finally:
        cluster.close()


@pytest.mark.parametrize("server", ["", "https://", "ftp://a", "https://a:port", "https://[::1"])
def test_an_address_that_is_none_is_told(tmp_path: Path, server: str) -> None:
    with pytest.raises(NoCluster, match=r"has no server|is not valid"):
        ask(write(tmp_path / "config", {"server": server}, {}))


def test_proxy_url_leads_through_a_proxy_with_its_password(tmp_path: Path, authority: Authority) -> None:
    with cluster_of(authority.server(tmp_path, names=("api.example.com",))) as cluster, Proxy(login="me:p@ss") as proxy:
        section = at(cluster, authority, "api.example.com") | {"proxy-url": f"http://me:p%40ss@127.0.0.1:{proxy.port}"}
        assert ask(write(tmp_path / "config", section, {"token": "t"})) == {"ok": True}
        assert proxy.asked == [f"api.example.com:{cluster.port}"]
        # Nobody but the cluster gets to see the token.
        assert cluster.requests[0].headers["Authorization"] == "Bearer t"


def test_proxy_url_counts_for_loopback_too_and_leads_streams_and_websockets(
    tmp_path: Path, authority: Authority
) -> None:
    lines = Reply(chunks=iter([b"one\n", b"two\n"]))

    def answer(request: Request) -> Reply:
        return lines if request.path == "/watch" else Reply(403, b"no websockets here")

    with cluster_of(authority.server(tmp_path), answer) as cluster, Proxy() as proxy:
        section = at(cluster, authority) | {"proxy-url": f"http://127.0.0.1:{proxy.port}"}
        connection = Connection.open(kubeconfig=write(tmp_path / "config", section, {"token": "t"}))
        assert list(connection.stream("/watch", {})) == [b"one", b"two"]
        with pytest.raises(Exception, match="no websockets here"):
            connection.websocket("/api/v1/namespaces/a/pods/p/portforward", {"ports": "1"})
        assert proxy.asked == [f"127.0.0.1:{cluster.port}"] * 2
        assert [request.headers["Authorization"] for request in cluster.requests] == ["Bearer t"] * 2


def test_https_proxy_of_the_environment_counts_but_not_for_what_no_proxy_names(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("api.example.com", "127.0.0.1", "localhost")
    with cluster_of(authority.server(tmp_path, names=names)) as cluster, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        path = write(tmp_path / "config", at(cluster, authority, "api.example.com"), {"token": "t"})
        assert ask(path) == {"ok": True}
        assert len(proxy.asked) == 1
        # Loopback never goes through the environment's.
        assert ask(write(tmp_path / "other", at(cluster, authority), {"token": "t"})) == {"ok": True}
        assert len(proxy.asked) == 1
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, .example.com")
        with pytest.raises(Unreachable, match="can't be resolved"):
            ask(path)
        assert len(proxy.asked) == 1


def test_a_socks_proxy_leads_there_too(tmp_path: Path, authority: Authority) -> None:
    with cluster_of(authority.server(tmp_path, names=("api.example.com",))) as cluster, Proxy(socks=True) as proxy:
        section = at(cluster, authority, "api.example.com") | {"proxy-url": f"socks5h://127.0.0.1:{proxy.port}"}
        path = write(tmp_path / "config", section, {"token": "t"})
        assert ask(path) == {"ok": True}
        with pytest.raises(ServerFailed):
            # That it is no websocket is what the cluster itself says.
            Connection.open(kubeconfig=path).websocket("/api", {})
        assert proxy.asked == [f"api.example.com:{cluster.port}"] * 2


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"login": "me:pass"}, r"the proxy 127\.0\.0\.1:\d+ wants a name and a password\. Check proxy-url"),
        ({"refuse": True}, r"does not let us through \(403"),
    ],
)
def test_a_proxy_that_does_not_let_us_through_is_told(tmp_path: Path, made: dict[str, Any], told: str) -> None:
    with Proxy(**made) as proxy:
        section = {"server": "https://api.example.com", "proxy-url": f"http://127.0.0.1:{proxy.port}"}
        path = write(tmp_path / "config", section, {"token": "t"})
        with pytest.raises(Unreachable, match=told):
            ask(path)
        with pytest.raises(Unreachable, match=told):
            Connection.open(kubeconfig=path).websocket("/api", {})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1", r"the proxy 127\.0\.0\.1:1 does not answer"),
        ("http://proxy.invalid:3128", r"the name of the proxy proxy\.invalid:3128 can't be resolved"),
        ("gopher://127.0.0.1", "has to begin with http"),
        ("http://a:port", "has no valid address"),
    ],
)
def test_a_proxy_that_is_not_there_is_told_apart_from_the_cluster(tmp_path: Path, url: str, told: str) -> None:
    section = {"server": "https://api.example.com", "proxy-url": url}
    with pytest.raises((Unreachable, NoCluster), match=told):
        ask(write(tmp_path / "config", section, {"token": "t"}))
