"""Every way to show who one is, over real TLS sockets; what is wrong is told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.kubernetes.connection import Connection, NoCluster, Unauthorized
from tests.services.kubernetes.authority import DAY, Authority, data
from tests.services.kubernetes.fake_cluster import Reply, Request
from tests.services.kubernetes.reaching import OK, REFUSED, ask, at, cluster_of, write

pytestmark = pytest.mark.usefixtures("no_proxies")


@pytest.mark.parametrize("form", ["file", "data"])
def test_a_client_certificate_is_shown(tmp_path: Path, authority: Authority, form: str) -> None:
    certificate, key = authority.issue("jane")
    user = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    section_of_authority = {"certificate-authority-data": data(authority.pem)}
    if form == "file":
        for name, text in (("jane.crt", certificate), ("jane.key", key), ("ca.crt", authority.pem)):
            (tmp_path / name).write_text(text)
        # As in the file: relative to it, wherever we are.
        user = {"client-certificate": "jane.crt", "client-key": "jane.key"}
        section_of_authority = {"certificate-authority": "ca.crt"}
    with cluster_of(authority.server(tmp_path, clients=authority)) as cluster:
        section = {"server": f"https://127.0.0.1:{cluster.port}"} | section_of_authority
        assert ask(write(tmp_path / "config", section, user)) == {"ok": True}
        assert cluster.requests[0].client == "jane"


def test_a_key_given_as_data_is_left_nowhere(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    certificate, key = authority.issue("jane")
    user = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    with cluster_of(authority.server(tmp_path, clients=authority)) as cluster:
        assert ask(write(tmp_path / "config", at(cluster, authority), user)) == {"ok": True}
    assert list(scratch.iterdir()) == []


def test_an_expired_client_certificate_is_named_with_its_end(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("jane", ends=-DAY)
    user = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    # An API server takes the connection, and says 401 of such a one.
    with (
        cluster_of(authority.server(tmp_path), REFUSED) as cluster,
        pytest.raises(
            Unauthorized, match=r"client certificate of context lab expired at 20\d\d-.* Fetch the kubeconfig"
        ),
    ):
        ask(write(tmp_path / "config", at(cluster, authority), user))


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"client-certificate-data": "{certificate}"}, "has a client-certificate, but no client-key"),
        ({"client-certificate": "gone.crt", "client-key": "gone.key"}, r"client-certificate \(.*gone.crt\).* No such"),
        ({"client-certificate-data": "%%%", "client-key-data": "x"}, "holds no PEM text|not valid base64"),
        ({"client-certificate-data": "abc", "client-key-data": "x"}, "not valid base64"),
        ({"client-certificate-data": "{certificate}", "client-key-data": "{other}"}, "do not belong together"),
        ({"token": "a", "username": "b", "password": "c"}, "both a token and a user name"),
        ({"exec": {"command": "a"}, "auth-provider": {"name": "oidc"}}, "both exec and auth-provider"),
    ],
)
def test_a_user_that_can_not_be_used_is_told(
    tmp_path: Path, authority: Authority, user: dict[str, Any], told: str
) -> None:
    texts = {"{certificate}": data(authority.issue("a")[0]), "{other}": data(authority.issue("b")[1])}
    user = {name: texts.get(value, value) if isinstance(value, str) else value for name, value in user.items()}
    with pytest.raises(NoCluster, match=told):
        ask(write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, user))


def test_a_name_with_password_is_basic_auth(tmp_path: Path, authority: Authority) -> None:
    with cluster_of(authority.server(tmp_path)) as cluster:
        ask(write(tmp_path / "config", at(cluster, authority), {"username": "jane", "password": "pä:ss"}))
        shown = cluster.requests[0].headers["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(shown).decode() == "jane:pä:ss"


def test_another_user_may_be_impersonated(tmp_path: Path, authority: Authority) -> None:
    user = {"token": "t", "as": "deployer", "as-groups": ["ml"], "as-user-extra": {"reason": ["release"]}}
    with cluster_of(authority.server(tmp_path)) as cluster:
        ask(write(tmp_path / "config", at(cluster, authority), user))
        headers = cluster.requests[0].headers
        assert [headers[f"Impersonate-{name}"] for name in ("User", "Group", "Extra-reason")] == [
            "deployer",
            "ml",
            "release",
        ]


def test_a_token_file_is_read_again_when_it_changed(tmp_path: Path, authority: Authority) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    def answer(request: Request) -> Reply:
        return OK if request.headers["Authorization"] == f"Bearer {token.read_text().strip()}" else REFUSED

    with cluster_of(authority.server(tmp_path), answer) as cluster:
        path = write(tmp_path / "config", at(cluster, authority), {"tokenFile": "token", "token": "not-this"})
        connection = Connection.open(kubeconfig=path)
        connection.request("GET", "/version")
        token.write_text("second")
        connection.request("GET", "/version")
        assert [request.headers["Authorization"] for request in cluster.requests] == [
            "Bearer first",
            "Bearer first",
            "Bearer second",
        ]


@pytest.mark.parametrize(("content", "told"), [(None, "No such file"), ("", "is empty"), ("a\nb", "has signs in it")])
def test_a_token_file_that_can_not_be_used_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(Unauthorized, match=told):
        ask(write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, {"tokenFile": "token"}))


def test_a_log_in_that_changed_the_kubeconfig_is_taken_up_after_a_refusal(tmp_path: Path, authority: Authority) -> None:
    def answer(request: Request) -> Reply:
        return OK if request.headers["Authorization"] == "Bearer new" else REFUSED

    with cluster_of(authority.server(tmp_path), answer) as cluster:
        path = write(tmp_path / "config", at(cluster, authority), {"token": "old"})
        connection = Connection.open(kubeconfig=path)
        connection._loaded_at -= 100
        write(path, at(cluster, authority), {"token": "new"})
        assert json.loads(connection.request("GET", "/version")) == {"ok": True}


def test_parts_of_a_context_may_be_in_several_files_each_with_paths_of_its_own(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "ca.crt").write_text(authority.pem)
    (tmp_path / "two" / "token").write_text("from-two\n")
    with cluster_of(authority.server(tmp_path)) as cluster:
        section = {"server": f"https://127.0.0.1:{cluster.port}", "certificate-authority": "ca.crt"}
        first = write(tmp_path / "one" / "config", section)
        second = write(tmp_path / "two" / "config", {"server": "https://not.this.one"}, {"tokenFile": "token"})
        monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'absent'}:{second}")
        # The first file says that the context has no user, and it was there first.
        Connection.open().request("GET", "/version")
        write(first, section, context=False)
        Connection.open().request("GET", "/version")
        assert [request.headers.get("Authorization") for request in cluster.requests] == [None, "Bearer from-two"]


def test_each_context_has_its_own_cluster_and_user(tmp_path: Path, authority: Authority) -> None:
    tls = authority.server(tmp_path)
    with cluster_of(tls) as one, cluster_of(tls) as two:
        path = tmp_path / "config"
        content = {
            "current-context": "a",
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": name, "namespace": f"of-{name}"}} for name in "ab"
            ],
            "clusters": [{"name": name, "cluster": at(where, authority)} for name, where in (("a", one), ("b", two))],
            "users": [{"name": name, "user": {"token": f"token-{name}"}} for name in "ab"],
        }
        path.write_text(json.dumps(content))
        ask(path)
        ask(path, "b")
        assert [request.headers["Authorization"] for request in one.requests] == ["Bearer token-a"]
        assert [request.headers["Authorization"] for request in two.requests] == ["Bearer token-b"]
        assert Connection.open(kubeconfig=path, context="b").namespace == "of-b"
