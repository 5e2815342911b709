"""The auth provider oidc: tokens used, renewed and stored; others are told what took their place."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlconsole.services.kubernetes import kubeconfig
from mlconsole.services.kubernetes.connection import Unauthorized
from mlconsole.services.kubernetes.oidc import id_token
from tests.services.kubernetes.authority import DAY, Authority, data
from tests.services.kubernetes.fake_cluster import Reply, Request
from tests.services.kubernetes.reaching import ask, at, cluster_of, write

pytestmark = pytest.mark.usefixtures("no_proxies")


def web_token(expires: datetime, name: str = "t") -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'exp': expires.timestamp(), 'sub': name})}.c2ln"


def provider(authority: Authority, issuer: str, token: str, **more: str) -> dict[str, Any]:
    config = {
        "idp-issuer-url": issuer,
        "client-id": "mlconsole",
        "idp-certificate-authority-data": data(authority.pem),
        "id-token": token,
        "refresh-token": "refresh-1",
        **more,
    }
    return {"auth-provider": {"name": "oidc", "config": config}}


OLD, FRESH = web_token(datetime.now(UTC) - DAY, "old"), web_token(datetime.now(UTC) + DAY, "fresh")


def issuer_of(port: list[int], *, secret_in_form: bool = False) -> Any:
    """An issuer that takes each refresh token once."""
    valid = ["refresh-1"]

    def respond(request: Request) -> Reply:
        if request.path.endswith("openid-configuration"):
            return Reply(body={"token_endpoint": f"https://127.0.0.1:{port[0]}/token"})
        form = dict(part.split("=", 1) for part in request.body.decode().split("&"))
        if secret_in_form and "client_secret" not in form:
            return Reply(401, {"error": "invalid_client"})
        if form["grant_type"] != "refresh_token" or form["refresh_token"] not in valid:
            return Reply(400, {"error": "invalid_grant", "error_description": "Session not active"})
        valid[:] = [f"refresh-{int(form['refresh_token'][-1]) + 1}"]
        return Reply(body={"id_token": FRESH, "refresh_token": valid[0]})

    return respond


def test_an_id_token_that_is_valid_is_used_as_it_is(tmp_path: Path, authority: Authority) -> None:
    with cluster_of(authority.server(tmp_path)) as cluster:
        ask(write(tmp_path / "config", at(cluster, authority), provider(authority, "https://127.0.0.1:1", FRESH)))
        assert cluster.requests[0].headers["Authorization"] == f"Bearer {FRESH}"


@pytest.mark.parametrize("secret", ["", "basic", "form"])
def test_an_expired_id_token_is_renewed_and_stored_since_refresh_tokens_are_taken_once(
    tmp_path: Path, authority: Authority, secret: str
) -> None:
    tls = authority.server(tmp_path)
    port: list[int] = []
    with cluster_of(tls) as cluster, cluster_of(tls, issuer_of(port, secret_in_form=secret == "form")) as issuer:
        port.append(issuer.port)
        more = {"client-secret": "s3cret"} if secret else {}
        user = provider(authority, f"https://127.0.0.1:{issuer.port}", OLD, **more)
        path = write(tmp_path / "config", at(cluster, authority), user)
        path.chmod(0o600)
        ask(path)
        # The next process finds the new tokens, and asks nobody.
        before = len(issuer.requests)
        ask(path)
        assert len(issuer.requests) == before
        assert {request.headers["Authorization"] for request in cluster.requests} == {f"Bearer {FRESH}"}
        config = yaml.safe_load(path.read_text())["users"][0]["user"]["auth-provider"]["config"]
        assert (config["id-token"], config["refresh-token"]) == (FRESH, "refresh-2")
        assert path.stat().st_mode & 0o777 == 0o600
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["config", "server.pem"]


def test_who_is_open_all_day_takes_what_another_process_renewed(tmp_path: Path, authority: Authority) -> None:
    tls = authority.server(tmp_path)
    port: list[int] = []
    with cluster_of(tls) as cluster, cluster_of(tls, issuer_of(port)) as issuer:
        port.append(issuer.port)
        path = write(
            tmp_path / "config",
            at(cluster, authority),
            provider(authority, f"https://127.0.0.1:{issuer.port}", web_token(datetime.now(UTC) - DAY)),
        )
        opened = kubeconfig.find(kubeconfig=path)
        ask(path)
        before = len(issuer.requests)
        assert id_token(opened)[0] == FRESH
        assert len(issuer.requests) == before
        assert opened.user["auth-provider"]["config"]["refresh-token"] == "refresh-2"


def test_who_slept_meanwhile_renews_by_the_refresh_token_that_another_process_left(
    tmp_path: Path, authority: Authority
) -> None:
    tls = authority.server(tmp_path)
    port: list[int] = []
    with cluster_of(tls) as cluster, cluster_of(tls, issuer_of(port)) as issuer:
        port.append(issuer.port)
        user = provider(authority, f"https://127.0.0.1:{issuer.port}", web_token(datetime.now(UTC) - DAY))
        path = write(tmp_path / "config", at(cluster, authority), user)
        opened = kubeconfig.find(kubeconfig=path)
        ask(path)
        path.write_text(path.read_text().replace(FRESH, OLD))
        assert id_token(opened)[0] == FRESH
        assert opened.user["auth-provider"]["config"]["refresh-token"] == "refresh-3"


def test_who_is_second_at_the_same_moment_takes_what_the_first_one_got(tmp_path: Path, authority: Authority) -> None:
    tls = authority.server(tmp_path)
    port: list[int] = []
    path = tmp_path / "config"
    answer = issuer_of(port)

    def first_is_another(request: Request) -> Reply:
        if request.path.endswith("openid-configuration"):
            return answer(request)
        answer(request)
        refused = answer(request)
        content = yaml.safe_load(path.read_text())
        content["users"][0]["user"]["auth-provider"]["config"]["id-token"] = FRESH
        path.write_text(yaml.safe_dump(content))
        return refused

    with cluster_of(tls) as cluster, cluster_of(tls, first_is_another) as issuer:
        port.append(issuer.port)
        ask(write(path, at(cluster, authority), provider(authority, f"https://127.0.0.1:{issuer.port}", OLD)))
        assert cluster.requests[0].headers["Authorization"] == f"Bearer {FRESH}"


def test_an_issuer_that_no_longer_renews_is_told_in_its_words(tmp_path: Path, authority: Authority) -> None:
    port: list[int] = []
    with cluster_of(authority.server(tmp_path), issuer_of(port)) as issuer:
        port.append(issuer.port)
        user = provider(authority, f"https://127.0.0.1:{issuer.port}", OLD) | {}
        user["auth-provider"]["config"]["refresh-token"] = "refresh-7"
        with pytest.raises(Unauthorized, match=r"has expired .* does not renew it: Session not active\. Log in again"):
            ask(write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, user))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"refresh-token": ""}, "has expired .* no refresh-token"),
        ({"idp-issuer-url": ""}, "lacks idp-issuer-url"),
        ({"idp-issuer-url": "https://127.0.0.1:1"}, "127.0.0.1:1 does not answer"),
        ({"idp-issuer-url": "http://127.0.0.1:1"}, "has no https address"),
        ({"id-token": "", "refresh-token": ""}, "is missing"),
    ],
)
def test_an_id_token_that_can_not_be_renewed_is_told(
    tmp_path: Path, authority: Authority, config: dict[str, str], told: str
) -> None:
    user = provider(authority, "https://127.0.0.1:1", OLD)
    user["auth-provider"]["config"] |= config
    with pytest.raises(Unauthorized, match=told):
        ask(write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, user))


def test_an_issuer_of_another_authority_is_not_trusted(tmp_path: Path, authority: Authority) -> None:
    with cluster_of(authority.server(tmp_path)) as issuer:
        user = provider(Authority("another"), f"https://127.0.0.1:{issuer.port}", OLD)
        with pytest.raises(Unauthorized, match=r"is not trusted: .*idp-certificate-authority"):
            ask(write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, user))


@pytest.mark.parametrize(("name", "told"), [("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin"), ("x", "exec")])
def test_an_auth_provider_that_is_no_more_names_what_took_its_place(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(Unauthorized, match=told):
        ask(write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, {"auth-provider": {"name": name}}))
