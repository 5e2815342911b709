"""The history says how releases stand now, not how they stood."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.headless.reports import show_history
from mlconsole.journal import Journal
from mlconsole.project import open_project


def test_only_the_latest_release_can_be_approved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlconsole.toml").write_text('name = "m"\n')
    project = open_project(tmp_path)
    project.state.mkdir()
    journal = Journal(project.journal_path)
    for _ in range(2):
        release = journal.begin_release(kind="release", who="ada", approved=False)
        journal.save_release(msgspec.structs.replace(release, state="waiting", finished_at=now()))
    journal.close()
    show_history(project, 10, as_json=False)
    latest, replaced = capsys.readouterr().out.splitlines()[-2:]
    assert "waits for approval" in latest
    assert "never approved" in replaced
