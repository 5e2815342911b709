"""Curves with a cursor, earlier versions behind them, and what the training uses while it runs."""

from __future__ import annotations

from mlconsole.console.panels.train import TrainPanel
from mlconsole.evidence.release import MetricSeen, UseSeen
from mlconsole.evidence.training import MetricPoint, UseSample

from .builder import model_version
from .conftest import Build, Drive


async def test_use_and_curves_grow_while_it_trains(build: Build, drive: Drive) -> None:
    builder = build("training")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("60%")
        for place in range(6):
            use = UseSample(seconds=place, processors=1.5, memory=(100 + 20 * place) * 2**20, processes=3)
            builder.journal.emit(1, UseSeen(use=use), "train")
        await console.shows("Processors 1.5", "Memory 200 MiB", "in 3 processes")


async def test_the_cursor_reads_a_step_and_stays_there(build: Build, drive: Drive) -> None:
    builder = build("training")
    for step in range(20, 26):
        builder.journal.emit(1, MetricSeen(point=MetricPoint(name="extra", value=step * 1.0, step=step)), "train")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("60%")
        await console.press("enter")
        panel = console.app.main.panel
        assert isinstance(panel, TrainPanel)
        while panel.chart.group is None or panel.chart.group.measure != "extra":
            await console.press("m")
        await console.press("left", "left")
        assert panel.chart.cursor == 23
        await console.shows("step 23", "extra 23")
        await console.press("end")
        await console.shows("step 25", "extra 25")


async def test_curves_of_the_last_version_are_drawn_behind_and_left_out_by_a_key(build: Build, drive: Drive) -> None:
    builder = build("training")
    builder.end(builder.journal.release(1), "paused")
    builder.journal.add_version(model_version(1))
    release = builder.begin()
    builder.stage(release, "train", "running")
    for step in range(1, 6):
        builder.journal.emit(2, MetricSeen(point=MetricPoint(name="valid_mae", value=40.0 / step, step=step)), "train")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.press("3")
        await console.shows("valid_mae 8", "v1 valid_mae")
        await console.press("p")
        await console.until(lambda: "v1 valid_mae" not in console.text)
