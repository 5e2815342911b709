"""In a pod: what the cluster put into it is enough."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.kubernetes import kubeconfig
from mlconsole.services.kubernetes.connection import Connection, NoCluster
from tests.services.kubernetes.authority import Authority
from tests.services.kubernetes.reaching import cluster_of

pytestmark = pytest.mark.usefixtures("no_proxies")


@pytest.fixture
def pod_files(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster puts into a pod, in a folder of the test's."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    for name, text in (("token", "own-token"), ("ca.crt", authority.pem), ("namespace", "ml\n")):
        (folder / name).write_text(text)
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    return folder


def test_in_a_pod_its_own_token_namespace_and_authority_are_taken(
    tmp_path: Path, authority: Authority, pod_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster_of(authority.server(tmp_path)) as cluster:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))
        connection = Connection.open()
        connection.request("GET", "/version")
        # The cluster writes a new token about every hour; what is there is read again after a minute.
        (pod_files / "token").write_text("next-token")
        connection._credential = _aged(connection._credential)
        connection._loaded_at -= 100
        connection.request("GET", "/version")
        assert (connection.context, connection.namespace) == ("in-cluster", "ml")
        assert connection.server == f"https://127.0.0.1:{cluster.port}"
        assert [request.headers["Authorization"] for request in cluster.requests] == [
            "Bearer own-token",
            "Bearer next-token",
        ]


def _aged(credential: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(credential, renew_at=datetime.now(UTC))


def test_a_pod_without_a_token_is_told(pod_files: Path) -> None:
    (pod_files / "token").unlink()
    with pytest.raises(NoCluster, match=r"This is a pod, but there is no token .* automountServiceAccountToken"):
        Connection.open()


def test_where_there_is_neither_kubeconfig_nor_pod_the_way_out_is_told(
    pod_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(NoCluster, match=r"no kubeconfig, and this is not a pod\. Set KUBECONFIG"):
        Connection.open()
