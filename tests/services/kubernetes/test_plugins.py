"""Credential plug-ins: run without a terminal, run again when due, and told where they do not work."""

from __future__ import annotations

import json
import stat
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.kubernetes import plugins
from mlconsole.services.kubernetes.connection import Connection, Unauthorized
from tests.living import runs
from tests.services.kubernetes.authority import Authority
from tests.services.kubernetes.fake_cluster import Reply, Request
from tests.services.kubernetes.reaching import OK, REFUSED, ask, at, cluster_of, write
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_proxies")


PLUGIN = """#!{python}
import json, os, sys
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
count = len(open("{log}").readlines()) + 1
open("{log}", "a").write(json.dumps(asked) + "\\n")
{body}
print(json.dumps({{"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


def plugin(folder: Path, body: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    path, log = folder / "plugin", folder / "plugin.log"
    log.write_text("")
    path.write_text(PLUGIN.format(python=sys.executable, log=log, body=body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": "./plugin", **more}}


def asked(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "plugin.log").read_text().splitlines()]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugin_is_told_of_the_cluster_and_gives_a_token(tmp_path: Path, authority: Authority, version: str) -> None:
    body = 'status = {"token": f"token-{count}-" + os.environ["REGION"]}'
    environment = [{"name": "REGION", "value": "eu"}]
    user = plugin(tmp_path, body, version, env=environment, provideClusterInfo=True, interactiveMode="IfAvailable")
    with cluster_of(authority.server(tmp_path)) as cluster:
        ask(write(tmp_path / "config", at(cluster, authority), user))
        assert cluster.requests[0].headers["Authorization"] == "Bearer token-1-eu"
        spec = asked(tmp_path)[0]["spec"]
        assert spec["interactive"] is False
        assert spec["cluster"] == at(cluster, authority)


def test_a_plugin_is_run_again_when_its_token_expires_and_when_it_is_refused(
    tmp_path: Path, authority: Authority
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = f'status = {{"token": f"token-{{count}}", "expirationTimestamp": "{soon}"}}'

    def answer(request: Request) -> Reply:
        return REFUSED if request.headers["Authorization"] == "Bearer token-2" else OK

    with cluster_of(authority.server(tmp_path), answer) as cluster:
        connection = Connection.open(
            kubeconfig=write(tmp_path / "config", at(cluster, authority), plugin(tmp_path, body))
        )
        connection.request("GET", "/version")
        connection._loaded_at -= 100
        with pytest.raises(Unauthorized):
            # Token 2 is new, and refused; a moment later a third is not fetched for it.
            connection.request("GET", "/version")
        connection._loaded_at -= 100
        connection.request("GET", "/version")
        assert [request.headers["Authorization"][-1] for request in cluster.requests] == ["1", "2", "3"]


def test_a_plugin_may_give_a_certificate_and_another_when_that_expires(tmp_path: Path, authority: Authority) -> None:
    for number in (1, 2):
        certificate, key = authority.issue(f"jane-{number}")
        (tmp_path / f"{number}.json").write_text(
            json.dumps(
                {
                    "clientCertificateData": certificate,
                    "clientKeyData": key,
                    "expirationTimestamp": datetime.now(UTC).isoformat(),
                }
            )
        )
    body = f'status = json.load(open("{tmp_path}/%d.json" % count))'
    with cluster_of(authority.server(tmp_path, clients=authority)) as cluster:
        connection = Connection.open(
            kubeconfig=write(tmp_path / "config", at(cluster, authority), plugin(tmp_path, body))
        )
        connection.request("GET", "/version")
        connection._loaded_at -= 100
        connection.request("GET", "/version")
        assert [request.client for request in cluster.requests] == ["jane-1", "jane-2"]


@pytest.mark.parametrize(
    ("body", "more", "told"),
    [
        ("sys.exit('\\x1b[31mlog in first')", {}, "failed: log in first"),
        ("sys.exit(7)", {}, "failed with exit code 7"),
        ("print('Hello!'); sys.exit()", {}, "printed no ExecCredential"),
        ("os.write(1, bytes(range(256))); sys.exit()", {}, "printed no ExecCredential"),
        ("status = {}", {}, "neither a token nor a certificate"),
        ("status = {'clientCertificateData': 'x'}", {}, "not both"),
        (
            "asked['apiVersion'] = 'client.authentication.k8s.io/v1beta1'; status = {'token': 't'}",
            {},
            "answers Exec.*beta",
        ),
        ("input('Password: ')", {}, "failed: EOFError"),
        ("open('/dev/tty').read()", {}, "failed: .*No such device|failed: .*Inappropriate"),
        ("status = {'token': 't'}", {"interactiveMode": "Always"}, "has to ask on a terminal"),
        ("status = {'token': 't'}", {"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "speaks .*v1alpha1"),
        ("status = {'token': 't'}", {"command": "no-such-plugin", "installHint": "brew install it"}, "brew install it"),
        ("status = {'token': 't'}", {"command": "./plugin.log"}, "is not installed"),
    ],
)
def test_a_plugin_that_does_not_work_is_told_and_nothing_is_asked_anonymously(
    tmp_path: Path, authority: Authority, body: str, more: dict[str, Any], told: str
) -> None:
    user = plugin(tmp_path, body)
    user["exec"] |= more
    with cluster_of(authority.server(tmp_path)) as cluster:
        path = write(tmp_path / "config", at(cluster, authority), user)
        with pytest.raises(Unauthorized, match=told):
            ask(path)
        assert cluster.requests == []


def test_a_plugin_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "PLUGIN_SECONDS", 2.0)
    user = plugin(tmp_path, "")
    # no Python: it has to have said who is there before it is ended
    (tmp_path / "plugin").write_text(f"#!/bin/sh\nsleep 600 &\necho $$ $! > '{tmp_path}/pids'\nwait\n")
    path = write(tmp_path / "config", {"server": "https://127.0.0.1:1"}, user)
    with pytest.raises(Unauthorized, match=r"did not end within 2 s\. It may wait for a log-in"):
        ask(path)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    until(lambda: not any(runs(pid) for pid in pids))


def test_many_threads_share_one_run_of_a_plugin(tmp_path: Path, authority: Authority) -> None:
    body = f'status = {{"token": "t", "expirationTimestamp": "{datetime.now(UTC).isoformat()}"}}'
    with cluster_of(authority.server(tmp_path)) as cluster:
        connection = Connection.open(
            kubeconfig=write(tmp_path / "config", at(cluster, authority), plugin(tmp_path, body))
        )
        connection._loaded_at -= 100
        threads = [threading.Thread(target=connection.request, args=("GET", "/version")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(asked(tmp_path)), len(cluster.requests)) == (2, 8)
