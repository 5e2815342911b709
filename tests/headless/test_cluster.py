"""The local cluster by its commands: it is found by its folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlconsole.cli import commands
from mlconsole.localcluster import control


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
