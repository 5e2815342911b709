"""The local cluster by its commands: it is found by its folder alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlconsole.cli import commands
from mlconsole.errors import Exit, Problem
from mlconsole.localcluster import control
from mlconsole.localcluster.records import remember_port

HOW_TO_START = "The local cluster is not running. Start it: mlconsole cluster start"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder whose local cluster runs."""
    state = tmp_path / ".mlconsole" / "cluster"
    control.start(tmp_path, state)
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


@pytest.fixture(params=["stopped", "never started"])
def project_without(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A project whose local cluster does not run."""
    (tmp_path / "mlconsole.toml").write_text('[deploy]\ncontext = "local"\nselector = "app=m"\n')
    if request.param == "stopped":
        state = tmp_path / ".mlconsole" / "cluster"
        state.mkdir(parents=True)
        remember_port(state, 1)
        (state / "kubeconfig").touch()
    return tmp_path


@pytest.mark.parametrize(
    "command", [["pods"], ["logs"], ["logs", "-f"], ["where"], ["port-forward"], ["monitor", "--once"]], ids=" ".join
)
def test_who_asks_a_cluster_that_does_not_run_is_told_how_to_start_it(
    command: list[str], project_without: Path
) -> None:
    ended = CliRunner().invoke(commands, [*command, "-C", str(project_without)])
    assert isinstance(ended.exception, Problem)
    assert str(ended.exception) == HOW_TO_START
    assert ended.exception.exit_code == Exit.OUTSIDE_FAILED


def test_the_same_is_said_where_a_command_names_the_local_cluster(project_without: Path) -> None:
    (project_without / "mlconsole.toml").write_text('[deploy]\ncontext = "other"\nselector = "app=m"\n')
    for command in ("pods", "where"):
        ended = CliRunner().invoke(commands, [command, "--context", "local", "-C", str(project_without)])
        assert str(ended.exception) == HOW_TO_START


def test_and_by_the_doctor(project_without: Path) -> None:
    said = CliRunner().invoke(commands, ["doctor", "-C", str(project_without), "--json"]).output
    found = [finding for finding in map(json.loads, said.splitlines()) if finding["subject"] == "cluster"]
    assert [f"{one['sentence']} {one['next_step']}" for one in found] == [HOW_TO_START]
