"""The command log tells what was done as commands, opens, and copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlconsole.console.widgets.command_log import commands_of
from mlconsole.evidence.base import CommandRun
from mlconsole.evidence.release import CommandNoted

from .builder import NASTY, Builder
from .conftest import Build, Drive, Driven

TRAIN = "python train_model.py --data data/training.csv --output models/model_v1.pkl"
SIZES = [(60, 20), (80, 24), (160, 50)]


@pytest.fixture
def noted(build: Build) -> Builder:
    builder = build("training")
    builder.journal.emit(1, CommandNoted(command=CommandRun(line="git rev-parse HEAD")), "repo")
    builder.journal.emit(1, CommandNoted(command=CommandRun(line=TRAIN, note="in the project's Python")), "train")
    return builder


@pytest.mark.parametrize("size", SIZES)
async def test_the_last_command_is_at_the_foot_and_all_of_them_behind_a_key(
    noted: Builder, drive: Drive, size: tuple[int, int]
) -> None:
    async with drive(noted.project.root, size) as console:
        await console.shows("$ python train_model.py", "@ all 2")
        assert "git rev-parse" not in console.text
        await console.press("at")
        await console.shows("Commands that do what was done", "Repo $ git rev-parse HEAD", "y copy")
        await console.press("escape")
        await console.shows("@ all 2")
        assert console.app.main.scope == "train"


async def test_the_selected_command_is_copied(noted: Builder, drive: Drive) -> None:
    async with drive(noted.project.root) as console:
        await console.press("at", "y")
        await console.shows(f"Copied: {TRAIN}")
        assert console.app.clipboard == TRAIN
        await console.press("k", "y")
        assert console.app.clipboard == "git rev-parse HEAD"
        await console.press("k", "k", "j", "j", "j", "y")
        assert console.app.clipboard == TRAIN


async def test_what_is_done_meanwhile_is_added_and_the_cursor_stays(noted: Builder, drive: Drive) -> None:
    async with drive(noted.project.root) as console:
        await console.press("at", "k")
        noted.journal.emit(1, CommandNoted(command=CommandRun(line="pytest tests")), "test")
        await console.shows("Test $ pytest tests")
        assert console.app.main.command_log.selected == "git rev-parse HEAD"


async def test_many_commands_scroll_under_their_heading(noted: Builder, drive: Drive) -> None:
    for number in range(40):
        noted.journal.emit(1, CommandNoted(command=CommandRun(line=f"echo {number}")), "train")
    async with drive(noted.project.root, (80, 24)) as console:
        await console.shows("@ all 42")
        await console.press("at")
        await console.shows("Commands that do what was done", "echo 39")
        await console.press(*("k" for _ in range(45)))
        await console.shows("Commands that do what was done", "git rev-parse HEAD")


async def test_what_the_console_does_itself_is_told(build: Build, drive: Drive, git_repository: str) -> None:
    async with drive(build().project.root) as console:
        await console.shows("$ git status --short --branch")


async def test_the_local_cluster_is_named_in_commands_of_a_runner(build: Build, drive: Drive) -> None:
    builder = build("training", context="local")
    line = "kubectl --context local -n default get pods -l app=ml-model"
    builder.journal.emit(1, CommandNoted(command=CommandRun(line=line)), "deploy")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("$ kubectl --kubeconfig .mlconsole/cluster/kubeconfig --context local")
        assert len(commands_of(console.app.view)) == 1


@pytest.mark.parametrize(("context", "option"), [("local", " --kubeconfig .mlconsole/cluster/kubeconfig"), ("lab", "")])
async def test_commands_by_hand_in_a_panel_find_the_cluster_of_the_release(
    build: Build, drive: Drive, context: str, option: str
) -> None:
    builder = build(context=context)
    release = builder.begin()
    commands = (CommandRun(line=f"kubectl --context {context} -n default get pods"), CommandRun(line="git log -1"))
    builder.stage(release, "repo", "done", commands=commands)
    builder.end(release, "paused")
    async with drive(builder.project.root, (160, 50)) as console:
        text = await console.shows("By hand")
        assert f"$ kubectl{option} --context {context} -n default get pods" in text
        assert "$ git log -1" in text


async def test_foreign_text_in_a_command_is_text(noted: Builder, drive: Drive) -> None:
    noted.journal.emit(1, CommandNoted(command=CommandRun(line=f"python {NASTY}", note=NASTY)), "train")
    async with drive(noted.project.root) as console:
        await console.shows("$ python a [/oops] b [red]c[/red]")
        await console.press("at")
        await console.shows("# a [/oops]")
        assert no_control(console)


def no_control(console: Driven) -> bool:
    """Whether no control character is on the screen."""
    return not any(letter < " " for letter in console.text.replace("\n", ""))


async def test_there_is_a_sentence_where_there_is_no_command(tmp_path: Path, drive: Drive) -> None:
    async with drive(tmp_path) as console:
        await console.shows("no command yet")
        await console.press("at", "y", "j", "k", "at")
        assert console.app.clipboard == ""
