"""What lies in the journal is readable whatever the settings say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from mlconsole.cli import commands
from mlconsole.errors import Exit
from mlconsole.evidence.base import now
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.journal import Journal
from mlconsole.project.settings import SettingsInvalid
from mlconsole.trigger_queue import TriggerQueue


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A project with a release, a version and a proposal, whose settings somebody has broken since."""
    journal = Journal(tmp_path / ".mlconsole" / "journal.db")
    release = journal.begin_release(kind="release", who="ada", approved=True, version="bikes@v1", reason="first")
    journal.save_release(msgspec.structs.replace(release, state="done", finished_at=now()))
    file = ModelFile(digest="sha256:1", size=1, filename="m.pkl")
    journal.add_version(ModelVersion(name="bikes", number=1, model=file, release=1, created_at=now()))
    TriggerQueue(journal).put("data", "sha256:2", "inbox/may.csv", then="propose")
    journal.close()
    (tmp_path / "mlconsole.toml").write_text('name = "bikes"\n[[data\n')
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("history", "first"),
        ("status", "release of bikes@v1"),
        ("show 1", "release of bikes@v1"),
        ("record 1", '"started_by": "ada"'),
        ("models list", "bikes@v1"),
        ("models show v1", "bikes@v1"),
        ("triggers", "inbox/may.csv"),
        ("triggers accept 1", "To be released: 1 (inbox/may.csv)"),
    ],
)
def test_what_goes_by_the_journal_says_that_the_settings_are_broken_and_goes_on(
    broken: Path, typed: str, shown: str
) -> None:
    done = CliRunner().invoke(commands, [*typed.split(), "-C", str(broken)], standalone_mode=False)
    assert done.exception is None
    assert "mlconsole.toml is not valid TOML" in done.stderr
    assert shown in done.output
    assert "not valid TOML" not in done.stdout, "that is data"


@pytest.mark.parametrize("typed", ["run", "watch", "models compare v1 v1"])
def test_what_goes_by_the_settings_does_not(broken: Path, typed: str) -> None:
    done = CliRunner().invoke(commands, [*typed.split(), "-C", str(broken)], standalone_mode=False)
    assert isinstance(done.exception, SettingsInvalid)
    assert done.exception.exit_code == Exit.WRONG_USE
