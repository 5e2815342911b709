"""A read-only process changes nothing, whatever asks for it: cluster, repository, journal, releases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlconsole.errors import Exit
from mlconsole.journal import Journal
from mlconsole.project import open_project
from mlconsole.release.launch import launch
from mlconsole.services import local_cluster, readonly
from mlconsole.services.git import clone, initialise, pull
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.readonly import ReadOnly


@pytest.fixture
def read_only() -> Iterator[None]:
    with readonly.switched_on():
        yield


@pytest.mark.usefixtures("read_only")
def test_no_release_is_started(tmp_path: Path) -> None:
    with pytest.raises(ReadOnly, match="No release was started: this console is read-only"):
        launch(open_project(tmp_path), ["run"])
    assert not (tmp_path / ".mlconsole").exists()


@pytest.mark.usefixtures("read_only")
def test_no_cluster_is_started_or_stopped(tmp_path: Path) -> None:
    with pytest.raises(ReadOnly):
        local_cluster.start(tmp_path, tmp_path / "state", "python")
    with pytest.raises(ReadOnly):
        local_cluster.stop(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_the_journal_is_read_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.begin_release(kind="release", who="ada", approved=False)
    journal.close()
    with readonly.switched_on():
        journal = Journal(path)
        assert [release.number for release in journal.releases()] == [1]
        with pytest.raises(ReadOnly):
            journal.decide(1, "approve", "deploy", who="ada")
        with pytest.raises(ReadOnly):
            journal.begin_release(kind="release", who="ada", approved=False)
    assert journal.decisions(1) == ()
    journal.decide(1, "approve", "deploy", who="ada")
    journal.close()


@pytest.mark.usefixtures("read_only")
def test_no_repository_is_made_cloned_or_pulled(tmp_path: Path) -> None:
    never = threading.Event()
    with pytest.raises(ReadOnly):
        initialise(tmp_path, "first")
    with pytest.raises(ReadOnly):
        clone("https://example.com/p.git", tmp_path / "p", report=print, cancelled=never)
    with pytest.raises(ReadOnly):
        pull(tmp_path, report=print, cancelled=never)
    assert list(tmp_path.iterdir()) == []


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: there
contexts: [{name: there, context: {cluster: there, user: me}}]
clusters: [{name: there, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {token: secret}}]
"""


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_request_that_changes_something_is_not_sent(tmp_path: Path, method: str) -> None:
    config = tmp_path / "config"
    config.write_text(KUBECONFIG, encoding="utf-8")
    connection = Connection.open(kubeconfig=config)
    with pytest.raises(ReadOnly) as caught:
        connection.request(method, "/api/v1/namespaces/default/pods/a", body=b"{}")
    assert caught.value.exit_code == Exit.REFUSED
    with pytest.raises(ReadOnly):
        connection.exchange(method, "/api/v1/namespaces/default/services/a/proxy/predict", body=b"{}")
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/api/v1/pods", {}),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/b", {"dryRun": "All"}),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}),
    ],
)
@pytest.mark.usefixtures("read_only")
def test_what_only_looks_goes_through(method: str, path: str, query: dict[str, str]) -> None:
    readonly.check_request(method, path, query)


def test_without_the_switch_nothing_is_refused() -> None:
    readonly.check("Anything")
    readonly.check_request("DELETE", "/api/v1/pods/a", {})
    assert not readonly.is_on()
