"""A runner's process, and the log that all of them share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlconsole.release import launch
from mlconsole.release.launch import hold_short


def test_a_log_that_became_long_is_begun_anew_and_whoever_writes_to_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "MOST_LOG_BYTES", 20)
    log, before = tmp_path / "runner.log", tmp_path / "runner.log.1"
    hold_short(log)
    assert not log.exists(), "there is nothing to hold short"
    with log.open("ab", buffering=0) as watcher:
        for line in (b"the first long line\n", b"another long line\n", b"short\n"):
            watcher.write(line)
            hold_short(log)
        assert (log.read_bytes(), before.read_bytes()) == (b"short\n", b"the first long line\nanother long line\n")
        watcher.write(b"and now a long one\n")
        hold_short(log)
    assert (log.read_bytes(), before.read_bytes()) == (b"", b"short\nand now a long one\n")
