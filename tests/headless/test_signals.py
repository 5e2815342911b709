"""A signal ends a command in order, whatever has become of its terminal."""

from __future__ import annotations

import errno
import signal

import pytest

from mlconsole.headless import release
from mlconsole.headless.release import ended_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "problem",
    [OSError(errno.EIO, "the terminal is gone"), BrokenPipeError(), RuntimeError("reentrant call")],
    ids=["gone", "pipe", "busy"],
)
def test_a_line_that_can_not_be_printed_keeps_nothing_from_ending(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, problem: Exception
) -> None:
    def narrate(words: str) -> None:
        raise problem

    monkeypatch.setattr(release, "narrate", narrate)
    with ended_by_signals() as ended:
        signal.raise_signal(number)
        assert ended.is_set()
