"""The local cluster by its commands: it is found by its folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlconsole.cli import commands
from mlconsole.errors import OutsideFailed
from mlconsole.localcluster import control
from mlconsole.localcluster.records import remember_port


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder whose local cluster runs."""
    state = tmp_path / ".mlconsole" / "cluster"
    control.start(tmp_path, state, timeout=60)
    yield tmp_path
    control.stop(state)


def told(command: str, project: Path) -> str:
    """What `mlconsole cluster COMMAND` says."""
    ended = CliRunner().invoke(commands, ["cluster", command, "-C", str(project)])
    assert ended.exception is None, ended.output
    return ended.output


def test_a_cluster_is_stopped_whose_projects_settings_cant_be_read(project: Path) -> None:
    (project / "mlconsole.toml").write_text("[deploy\n")
    assert told("status", project).startswith("running at https://127.0.0.1")
    assert told("stop", project) == "The local cluster is stopped.\n"
    assert told("status", project).startswith("The local cluster is not running.")


@pytest.mark.parametrize(
    "command", [["pods"], ["logs"], ["diff"], ["where"], ["port-forward"], ["monitor", "--once"]], ids=" ".join
)
def test_who_asks_a_cluster_that_was_stopped_is_told_how_to_start_it(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "mlconsole.toml").write_text('[deploy]\ncontext = "local"\nselector = "app=m"\n')
    state = tmp_path / ".mlconsole" / "cluster"
    state.mkdir(parents=True)
    remember_port(state, 1)
    (state / "kubeconfig").touch()
    ended = CliRunner().invoke(commands, [*command, "-C", str(tmp_path)])
    assert isinstance(ended.exception, OutsideFailed)
    assert str(ended.exception) == "The local cluster is not running. Start it: mlconsole cluster start"
