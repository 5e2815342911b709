"""`mlconsole watch`: settings that somebody saves while they are read are read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlconsole.errors import Exit
from mlconsole.headless import watching
from mlconsole.project import Project, open_project
from mlconsole.watcher.loop import Watcher

BEGUN = 'name = "m"\n'
WHOLE = BEGUN + '[[watch]]\nkind = "schedule"\ncron = "0 6 * * 1"\n'
LATER = WHOLE.replace("0 6", "0 7")


@pytest.mark.parametrize(
    "written",
    [[LATER], ["[deploy", LATER], [WHOLE, "[[watch]]\n", LATER]],
    ids=["at the start", "half of it", "again and again"],
)
def test_settings_that_are_written_while_they_are_read_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[str]
) -> None:
    settings = tmp_path / "mlconsole.toml"
    settings.write_text(WHOLE)
    project = open_project(tmp_path)
    rest = iter(written)
    watched: list[str] = []

    def read(root: Path) -> Project:
        try:
            return open_project(root)
        finally:
            if (text := next(rest, "")) != "":
                settings.write_text(text)

    def step(watcher: Watcher) -> float:
        watched.extend(watch.name for watch in watcher._watches)
        if "schedule 0 7 * * 1" in watched or len(watched) > 20:
            watcher._stopped.set()
        return 0.0

    monkeypatch.setattr(watching, "open_project", read)
    monkeypatch.setattr(Watcher, "step", step)
    assert watching.watch(project) == Exit.DONE
    assert watched[-1] == "schedule 0 7 * * 1"
