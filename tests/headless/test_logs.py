"""`mlconsole logs`: of one container of a pod, of its default one, or of all, as kubectl has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlconsole.cli import commands
from mlconsole.localcluster import control
from mlconsole.services.kubernetes.connection import Connection
from tests.services.kubernetes.several import run_several

pytestmark = pytest.mark.end_to_end
Logs = Callable[..., Result]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project in whose cluster a pod's three containers have run and ended."""
    root = tmp_path_factory.mktemp("project")
    (root / "mlconsole.toml").write_text('[deploy]\ncontext = "local"\nselector = "app=several"\n')
    state = root / ".mlconsole" / "cluster"
    info = control.start(root, state)
    try:
        with closing(Connection.open(kubeconfig=info.kubeconfig, namespace="default")) as connection:
            scripts = {"fetch": "echo fetched", "metrics": "echo read; echo scraped", "server": "echo served"}
            run_several(connection, scripts)
        yield root
    finally:
        control.stop(state)


@pytest.fixture
def logs(project: Path) -> Logs:
    """Types `mlconsole logs …`."""
    return lambda *words: CliRunner().invoke(commands, ["logs", "-C", str(project), *words])


@pytest.mark.parametrize("follow", [[], ["-f"]])
@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["served"]),
        (["-c", "metrics"], ["read", "scraped"]),
        (["-c", "metrics", "-n", "1"], ["scraped"]),
        (["--container", "fetch"], ["fetched"]),
        (["--all-containers", "-n", "1"], ["fetch | fetched", "metrics | scraped", "server | served"]),
    ],
)
def test_of_a_pod(logs: Logs, words: list[str], lines: list[str], follow: list[str]) -> None:
    ended = logs("several", *words, *follow)
    assert ended.exception is None, ended.output
    assert sorted(ended.stdout.splitlines()) == lines


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["several | served"]),
        (["-c", "fetch"], ["several | fetched"]),
        (["--all-containers", "-n", "1"], [
            "several/fetch | fetched", "several/metrics | scraped", "several/server | served",
        ]),
    ],
)  # fmt: skip
def test_of_all_pods(logs: Logs, words: list[str], lines: list[str]) -> None:
    ended = logs(*words)
    assert ended.exception is None, ended.output
    assert sorted(ended.stdout.splitlines()) == lines


@pytest.mark.parametrize("pod", [["several"], []])
def test_a_container_that_is_not_there_is_said_with_those_that_are(logs: Logs, pod: list[str]) -> None:
    problem = logs(*pod, "-c", "sever").exception
    assert "has no container sever. There are: metrics, server, fetch." in str(problem)


def test_one_and_all_are_not_asked_for_at_once(logs: Logs) -> None:
    ended = logs("several", "-c", "server", "--all-containers")
    assert ended.exit_code == 2
    assert "don't go together" in ended.output
