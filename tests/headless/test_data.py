"""The schema as a file, and the data held against it, without a release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlconsole.cli import commands
from mlconsole.errors import WrongUse


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/training.csv").write_text("hour,weather\n" + "".join(f"{n % 24},dry\n" for n in range(300)))
    (tmp_path / "mlconsole.toml").write_text('[data]\npath = "data/training.csv"\n')
    return tmp_path


def typed(root: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(commands, [*words, "-C", str(root)], standalone_mode=False, catch_exceptions=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value or 0), done.output


def test_learns_writes_and_checks(root: Path) -> None:
    assert "checks = " in typed(root, "data", "schema")[1]
    text = (root / "data/checks.yaml").read_text()
    assert "weather:\n    kind: category" in text
    assert typed(root, "data", "check") == (0, "300 rows break none of the rules of 2 columns.\n")

    (root / "mlconsole.toml").write_text('[data]\npath = "data/training.csv"\nchecks = "data/checks.yaml"\n')
    (root / "data/checks.yaml").write_text(text.replace("maximum: 25", "maximum: 22\n    severity: fail"))
    code, output = typed(root, "data", "check")
    assert code == 1
    assert "hour is out of range in 12 rows" in output
    assert "row 24: 23" in output
    code, output = typed(root, "data", "check", "--json")
    assert (code, json.loads(output)["count"]) == (1, 12)


def test_a_schema_that_people_edited_is_not_replaced(root: Path) -> None:
    (root / "data/checks.yaml").write_text("mine")
    with pytest.raises(WrongUse, match="is there already"):
        typed(root, "data", "schema")
    assert (root / "data/checks.yaml").read_text() == "mine"
    typed(root, "data", "schema", "--force")
    assert "columns:" in (root / "data/checks.yaml").read_text()
