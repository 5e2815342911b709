"""Curves with a cursor, earlier versions behind them, and what the training uses while it runs."""

from __future__ import annotations

import pytest

from mlconsole.console.panels.train import TrainPanel, use_lines
from mlconsole.console.widgets.metrics_chart import MetricsChart
from mlconsole.console.widgets.plot import area_of
from mlconsole.evidence.release import MetricSeen, SweepSeen, UseSeen
from mlconsole.evidence.training import MetricPoint, Parameter, SweepRun, UseSample

from .builder import model_version, train_evidence
from .conftest import Build, Drive


async def test_use_and_curves_grow_while_it_trains(build: Build, drive: Drive) -> None:
    builder = build("training")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("60%")
        for place in range(6):
            use = UseSample(seconds=place, processors=1.5, memory=(100 + 20 * place) * 2**20, processes=3)
            builder.journal.emit(1, UseSeen(use=use), "train")
        await console.shows("Processors 1.5", "Memory 200 MiB", "in 3 processes")


async def test_a_sweep_is_a_table_with_the_best_run_marked(build: Build, drive: Drive) -> None:
    builder = build("training")
    scores = {1: 5.5, 2: 3.25, 3: None}
    for number, score in scores.items():
        run = SweepRun(
            number=number,
            parameters=(Parameter(name="depth", value=str(number + 4)),),
            state="running" if score is None else "done",
            progress=0.5 if score is None else None,
            score=score,
            seconds=2,
        )
        builder.journal.emit(1, SweepSeen(run=run, total=4), "train")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("62% 2 of 4 runs ended", "depth", "mean_absolute_error")
        await console.shows("2 6 3.25 2.0 s best", "3 7 2.0 s 50%", "1 5 5.5 2.0 s done")


def test_what_is_used_is_told_beside_its_limit() -> None:
    use = UseSample(
        seconds=1, processors=1.5, memory=2**30, processes=3, threads=12, disk_read=0, disk_written=5 * 2**20
    )
    (told,) = use_lines([use], None, 160, "8GB")
    assert "Memory 1.0 GiB of 8GB" in told.plain
    assert told.plain.endswith("in 3 processes, 12 threads; disk 0 B/s read, 5.0 MiB/s written")


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


async def test_the_mouse_reads_the_step_below_it_and_a_click_stays_there(build: Build, drive: Drive) -> None:
    builder = build("training")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("60%")
        panel = console.app.main.panel
        assert isinstance(panel, TrainPanel)
        chart = panel.chart
        steps = chart._at()
        area = area_of(chart._series(), chart.content_size.width, chart.content_size.height - 1)
        assert area is not None
        for x, step in ((0, steps[0]), (area.left, steps[0]), (area.left + area.cells - 1, steps[-1])):
            await console.pilot.hover(MetricsChart, offset=(x, 4))
            await console.until(lambda step=step: chart.cursor == step)
        await console.pilot.click(MetricsChart, offset=(area.left, 4))
        await console.pilot.hover("Rail")
        await console.until(lambda: chart._hovered is None)
        assert chart.cursor == steps[0]
        await console.shows(f"step {steps[0]:g}")


@pytest.mark.parametrize("ended", [False, True])
def test_gpus_are_told_where_the_training_is_on_one(ended: bool) -> None:
    samples = [
        UseSample(seconds=1, processors=1, memory=1, gpu=None, gpu_memory=0),
        UseSample(seconds=2, processors=1, memory=1, gpu=0.9, gpu_memory=4 * 2**30),
        UseSample(seconds=3, processors=1, memory=1, gpu=0.5, gpu_memory=2**30),
    ]
    evidence = train_evidence() if ended else None
    text = "\n".join(part.plain for part in use_lines(samples, evidence, 60))
    assert ("GPU        70%   Memory at most 4.0 GiB" if ended else "GPU        50%   Memory 1.0 GiB") in text
    assert "GPU" not in "\n".join(part.plain for part in use_lines(samples[:1], evidence, 60))


def test_a_gpu_that_does_not_tell_whose_work_it_does_is_in_use() -> None:
    shared = UseSample(seconds=2, processors=1, memory=1, gpu=None, gpu_memory=2**30)
    assert "GPU        in use" in use_lines([shared], None, 60)[-1].plain
