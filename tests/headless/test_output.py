"""What is printed: tables flush, colours only where somebody sees them, metrics of a step on one line."""

from __future__ import annotations

import io

import pytest

from mlconsole.evidence.base import StageName, now
from mlconsole.evidence.release import Event, EventBody, MetricSeen, Note, ProgressSeen
from mlconsole.evidence.training import MetricPoint, TrainingProgress
from mlconsole.headless.output import is_coloured, table_lines
from mlconsole.headless.release import Printer
from mlconsole.present import Table


def an_event(body: EventBody, stage: StageName = "train") -> Event:
    return Event(id=1, release=1, at=now(), body=body, stage=stage)


def test_tables_are_aligned_and_numbers_are_flush_right() -> None:
    table = Table("t", ("name", "rows"), (("a", "1"), ("longer", "8,645")), frozenset({1}))
    assert table_lines(table) == ("NAME      ROWS", "a            1", "longer   8,645")


def test_metrics_of_one_step_share_a_line_and_progress_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer()
    for step in (1, 2):
        printer(an_event(MetricSeen(point=MetricPoint(name="loss", value=1 / step, step=step))))
        printer(an_event(MetricSeen(point=MetricPoint(name="mae", value=2.5, step=step))))
        printer(an_event(ProgressSeen(progress=TrainingProgress(fraction=step / 2))))
    printer(an_event(MetricSeen(point=MetricPoint(name="final", value=3))))
    printer(an_event(Note(text="stored")))
    lines = [line[17:] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["step 1: loss 1  mae 2.5", "step 2: loss 0.5  mae 2.5", "final 3", "stored"]


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert is_coloured(Terminal())
    assert not is_coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured(Terminal())
