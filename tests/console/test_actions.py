"""Keys do what the registry says, ask before anything outside changes, and say why they do not apply."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from textual.content import Content
from textual.widgets import Button, Input

from mlconsole.console.actions import REGISTRY
from mlconsole.console.actions.action import named, written
from mlconsole.console.journal_reader import JournalReader
from mlconsole.console.screens.choose import Choice, found_by
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.view import JournalReading, View
from mlconsole.console.widgets.footer import footer_line
from mlconsole.errors import OutsideFailed
from mlconsole.evidence.base import STAGES, StageName
from mlconsole.evidence.cluster import ObjectConflict
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release import launch as launching

from .builder import a_plan, pod, snapshot
from .conftest import Build, Drive

QUICK_RUNNER = """
import pathlib, sys, msgspec
from mlconsole.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]))
release = journal.begin_release(kind="release", who="ada", approved=False)
journal.save_release(msgspec.structs.replace(release, state="paused"))
"""


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What runners were started with; each takes its release as a real one would."""
    calls: list[list[str]] = []

    def launch(project: Project, arguments: Sequence[str]) -> int:
        calls.append(list(arguments))
        journal = Journal(project.journal_path)
        if arguments[0] == "resume":
            release = journal.take_over(int(arguments[1]), approved=False)
        else:
            release = journal.begin_release(kind="release", who="ada", approved=False)
        journal.close()
        assert release.runner is not None
        return release.runner.pid

    monkeypatch.setattr(launching, "launch", launch)
    return calls


async def test_approving_shows_the_plan_asks_decides_and_goes_on(
    build: Build, drive: Drive, launched: list[list[str]]
) -> None:
    builder = build("done", "waiting")
    async with drive(builder.project.root) as console:
        await console.press("a")
        await console.shows(
            "Approve release 2?", "1 object changed, 1 left as they are", "$ mlconsole approve 2", "kubectl apply"
        )
        assert builder.journal.decisions(2) == ()
        await console.press("tab", "enter")
        await console.until(lambda: launched)
        await console.shows("Release 2 runs")
    decision = builder.journal.decisions(2)[0]
    assert (decision.kind, decision.subject) == ("approve", a_plan().digest)
    assert launched == [["resume", "2"]]


@pytest.mark.parametrize(("letters", "choice"), [("over", "force"), ("leave", "leave")])
async def test_approving_asks_first_whose_fields_are_that_others_own(
    build: Build, drive: Drive, launched: list[list[str]], letters: str, choice: str
) -> None:
    builder = build("done")
    builder.waiting((ObjectConflict(kind="Deployment", name="ml-model", namespace="ml", field=".a", owner="ada"),))
    async with drive(builder.project.root) as console:
        await console.press("a")
        await console.shows("1 field of the plan: set by ada", "take over", "leave to owners")
        await console.press(*letters, "enter")
        await console.shows("ada owns", f"$ mlconsole approve 2 --{choice}-conflicts")
        assert builder.journal.decisions(2) == ()
        await console.press("tab", "enter")
        await console.until(lambda: launched)
    assert [decision.kind for decision in builder.journal.decisions(2)] == [f"{choice}-conflicts", "approve"]


@pytest.mark.parametrize("keys", [("enter",), ("escape",), ("y",), tuple("yes a"), ("a",)])
async def test_no_stray_key_approves(
    build: Build, drive: Drive, launched: list[list[str]], keys: tuple[str, ...]
) -> None:
    builder = build("waiting")
    async with drive(builder.project.root) as console:
        await console.press("a")
        await console.shows("Approve release 1?")
        await console.press(*("space" if key == " " else key for key in keys))
        await console.pilot.pause(0.1)
    assert builder.journal.decisions(1) == ()
    assert launched == []


async def test_a_protected_context_has_to_be_typed(build: Build, drive: Drive, launched: list[list[str]]) -> None:
    builder = build("waiting", context="prod-eu")
    async with drive(builder.project.root) as console:
        await console.shows("PROTECTED")
        await console.press("a")
        await console.shows("Type the context's name, prod-eu, to go on:")
        screen = console.app.screen
        await console.press(*"prod-us", "enter")
        assert screen.query_one("#yes", Button).disabled
        screen.query_one(Input).value = ""
        await console.press(*"prod-eu", "enter", "enter")
        await console.until(lambda: launched)
    assert [decision.kind for decision in builder.journal.decisions(1)] == ["approve"]


async def test_an_override_needs_a_reason_that_is_kept(build: Build, drive: Drive, launched: list[list[str]]) -> None:
    builder = build("refused")
    async with drive(builder.project.root) as console:
        await console.press("o")
        await console.shows("Override the gate of release 1?", "2 of 8 tests failed.")
        await console.press("enter")
        assert console.app.screen.query_one("#yes", Button).disabled
        await console.press(*"known", "enter", "enter")
        await console.until(lambda: launched)
    decision = builder.journal.decisions(1)[0]
    assert (decision.kind, decision.reason) == ("override", "known")


async def test_cancelling_asks_and_writes_the_decision(build: Build, drive: Drive) -> None:
    builder = build("training")
    async with drive(builder.project.root) as console:
        await console.press("c")
        await console.shows("Cancel release 1?", "$ mlconsole cancel 1")
        await console.press("tab", "enter")
        await console.until(lambda: builder.journal.decisions(1))
    assert builder.journal.decisions(1)[0].kind == "cancel"


async def test_a_rollback_shows_from_where_to_where(build: Build, drive: Drive, launched: list[list[str]]) -> None:
    async with drive(build("done").project.root) as console:
        await console.press("b")
        await console.shows("ml-model@v2 serves now → ml-model@v1", "$ mlconsole rollback v1")
        await console.press("tab", "enter")
        await console.until(lambda: launched)
    assert launched == [["rollback", "v1"]]


@pytest.mark.parametrize(
    ("state", "key", "arguments"),
    [
        ("done", "n", ["run", "--until", "repo"]),
        ("done", "g", ["run"]),
        ("paused", "n", ["resume", "1", "--until", "train"]),
        ("paused", "g", ["resume", "1"]),
        ("failed", "n", ["resume", "1", "--until", "train"]),
        ("refused", "n", ["resume", "1", "--until", "test"]),
        ("interrupted", "g", ["resume", "1"]),
        ("cancelled", "n", ["run", "--until", "repo"]),
        ("failed", "N", ["run", "--until", "repo"]),
    ],
)
async def test_going_on_starts_a_runner_where_the_release_stands(
    build: Build, drive: Drive, launched: list[list[str]], state: str, key: str, arguments: list[str]
) -> None:
    async with drive(build(state).project.root) as console:
        await console.press(key)
        await console.until(lambda: launched)
        await console.until(lambda: not console.app.view.busy)
    assert launched == [arguments]


async def test_a_key_that_comes_twice_does_not_do_things_twice(
    build: Build, drive: Drive, launched: list[list[str]]
) -> None:
    async with drive(build("paused").project.root) as console:
        for _ in range(5):
            console.type("g")
        await console.until(lambda: launched)
        await console.until(lambda: not console.app.view.busy)
    assert launched == [["resume", "1"]]


async def test_a_runner_that_ends_before_it_begins_leaves_its_words(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(project: Project, arguments: Sequence[str]) -> int:
        (project.state / "runner.log").write_text("mlconsole: there is no \x1b[31mdisk\n", encoding="utf-8")
        return 2**22 + 1

    monkeypatch.setattr(launching, "launch", launch)
    async with drive(build("done").project.root) as console:
        await console.press("g")
        await console.shows("The runner ended before it began: mlconsole: there is no disk")


async def test_a_runner_that_is_through_before_it_is_looked_for_has_begun(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(project: Project, arguments: Sequence[str]) -> int:
        runner = subprocess.Popen([sys.executable, "-c", QUICK_RUNNER, str(project.journal_path)])
        os.waitid(os.P_PID, runner.pid, os.WEXITED | os.WNOWAIT)
        return runner.pid

    monkeypatch.setattr(launching, "launch", launch)
    async with drive(build("done").project.root) as console:
        await console.press("n")
        await console.shows("Release 2 is paused")
        assert console.app.view.runner_problem is None


async def test_a_runner_that_finds_nothing_to_do_is_no_problem(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(project: Project, arguments: Sequence[str]) -> int:
        words = "Nothing changed since release 1: [b]m@v1 is the champion."
        (project.state / "runner.log").write_text(f"{words}\n", encoding="utf-8")
        return subprocess.Popen([sys.executable, "-c", ""]).pid

    monkeypatch.setattr(launching, "launch", launch)
    async with drive(build("done").project.root) as console:
        await console.press("g")
        await console.shows("Nothing changed since release 1: [b]m@v1 is the champion.")
        assert console.app.view.runner_problem is None


async def test_a_runner_that_can_not_be_started_is_a_sentence(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(project: Project, arguments: Sequence[str]) -> int:
        raise OutsideFailed("Can't start a runner: Cannot allocate memory.")

    monkeypatch.setattr(launching, "launch", launch)
    async with drive(build("done").project.root) as console:
        await console.press("g")
        await console.shows("Can't start a runner: Cannot allocate memory.")
        assert not console.app.view.busy


async def test_what_is_unexpected_is_said_and_written_down(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(project: Project, arguments: Sequence[str]) -> int:
        raise ZeroDivisionError("[red]no\x1b]52;c;x\x07")

    monkeypatch.setattr(launching, "launch", launch)
    builder = build("done")
    async with drive(builder.project.root) as console:
        await console.press("g")
        await console.shows("Something unexpected went wrong (ZeroDivisionError: [red]no).")
        await console.press("2")
        await console.shows("bikers (target)")
    assert "ZeroDivisionError" in (builder.project.state / "console.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("state", "key", "words"),
    [
        ("done", "a", "Nothing waits for an approval."),
        ("done", "o", "No gate has refused the release."),
        ("done", "c", "No release is running."),
        ("done", "s", "This project does not use the local cluster."),
        ("training", "n", "Release 1 is running: wait for it, or cancel it with c."),
        ("training", "b", "Release 1 is running"),
        ("waiting", "g", "Release 1 waits for your approval: a shows the plan."),
        ("paused", "b", "There is no earlier version to go back to."),
    ],
)
async def test_a_key_that_does_not_apply_says_why(
    build: Build, drive: Drive, launched: list[list[str]], state: str, key: str, words: str
) -> None:
    async with drive(build(state).project.root) as console:
        await console.press(key)
        await console.shows(words)
    assert launched == []


async def test_readonly_changes_nothing_and_says_so(build: Build, drive: Drive, launched: list[list[str]]) -> None:
    builder = build("done", "waiting")
    async with drive(builder.project.root, readonly=True) as console:
        await console.shows("READ-ONLY")
        for key in "angNbs":
            await console.press(key)
            await console.shows("The console was started with --readonly")
    assert builder.journal.decisions(2) == ()
    assert launched == []


async def test_a_past_release_is_opened_and_left(build: Build, drive: Drive) -> None:
    async with drive(build("refused", "done").project.root) as console:
        await console.shows("Release 2 is done")
        await console.press("h")
        await console.shows("Releases of ml-model", "✗ refused")
        await console.press("j", "enter")
        await console.shows("release 1 (past)", "Release 1 was refused at Test.")
        await console.press("n")
        await console.shows("Release 1 is past: Esc goes back to the latest one.")
        await console.press("escape")
        await console.shows("Release 2 is done")


async def test_help_lists_every_action_with_the_reason_why_not(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (120, 100)) as console:
        await console.press("question_mark")
        await console.shows("not now: Nothing waits for an approval.")
        text = " ".join(console.text.split())
        for action in REGISTRY.of("pods"):
            assert action.words in text
            assert action.help.split()[0] in text


@pytest.mark.parametrize("key", ["ctrl+p", "colon"])
async def test_the_palette_finds_actions_by_name(build: Build, drive: Drive, key: str) -> None:
    async with drive(build("refused").project.root) as console:
        await console.press(key, *"histo")
        await console.shows("h", "history", "All releases: Enter opens one.")
        await console.press("enter")
        await console.shows("Releases of ml-model")


async def test_the_palette_says_why_an_action_does_not_apply_and_themes_are_chosen_in_the_same_way(
    build: Build, drive: Drive
) -> None:
    async with drive(build("done").project.root, (160, 50)) as console:
        await console.press("colon", *"appr")
        await console.shows("a approve", "not now: Nothing waits for an approval.")
        await console.press("enter")
        await console.shows("! Nothing waits for an approval.")
        await console.press("t", *"gruv", "enter")
        await console.until(lambda: console.app.theme == "gruvbox")
        await console.press("colon", *"qqqq", "enter")
        await console.shows("Commands")
        await console.press("escape")
        await console.until(lambda: console.app.screen is console.app.main)


def test_the_likest_name_is_found_first() -> None:
    choices = [Choice("a", "next stage"), Choice("b", "history"), Choice("c", "start")]
    assert [choice.key for choice in found_by(choices, "hst")] == ["b"]
    assert [choice.key for choice in found_by(choices, "  ")] == ["a", "b", "c"]
    assert found_by(choices, "xyz") == []


async def test_zoom_gives_the_panel_the_whole_width(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        await console.shows("1 ✓ Repo")
        await console.press("z")
        await console.until(lambda: "1 ✓ Repo" not in console.text)
        await console.press("escape")
        await console.shows("1 ✓ Repo")


@pytest.mark.parametrize("width", [58, 78, 158])
@pytest.mark.parametrize("state", ["done", "waiting", "refused", "training"])
def test_the_footer_has_whole_words_and_always_help(build: Build, state: str, width: int) -> None:
    seen: list[JournalReading] = []
    builder = build("done", state)
    JournalReader(builder.project, seen.append).step()
    for stage in STAGES:
        view = View(project=builder.project, journal=seen[0], selected=stage, pods=snapshot(pod(1)))
        hints = {f"{action.key} {action.words}" for action in REGISTRY.of(stage)}
        for inside in (False, True):
            text = footer_line(view, stage, width, inside=inside).plain
            assert len(text) <= width
            assert {"? help", "q quit"} <= set(re.split(" {2}", text)) <= hints


@pytest.mark.parametrize(
    ("state", "stage", "hints"),
    [
        ("done", "pods", ["l log", "d describe", "y YAML"]),
        ("refused", "test", ["o override", "l log", "e run again", "E run failed again"]),
        ("waiting", "deploy", ["a approve", "l log", "] next object", "f fold"]),
    ],
)
def test_inside_a_panel_its_own_keys_come_first(build: Build, state: str, stage: StageName, hints: list[str]) -> None:
    seen: list[JournalReading] = []
    builder = build("done", state)
    JournalReader(builder.project, seen.append).step()
    view = View(project=builder.project, journal=seen[0], selected=stage, pods=snapshot(pod(1)))
    assert re.split(" {2}", footer_line(view, stage, 78, inside=True).plain)[: len(hints)] == hints


async def test_a_long_sentence_takes_more_lines_and_gives_them_back(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (60, 20)) as console:
        console.app.say("It is not known which pods serve the model: there is no deployment.yaml and no selector.")
        await console.shows("! It is not known", "there is no deployment.yaml and no selector.")
        console.app.main.footer.hush()
        await console.shows("n next stage", "? help")
        await console.until(lambda: len(console.text.splitlines()) == 20)


def test_no_key_is_taken_twice() -> None:
    assert REGISTRY.clashes() == []


def test_every_action_is_carried_out_by_its_operation() -> None:
    for action in REGISTRY.actions:
        module = importlib.import_module(f"mlconsole.console.operations.{action.operations}")
        assert callable(getattr(module, action.id)), action.id
    assert len({action.id for action in REGISTRY.actions}) == len(REGISTRY.actions)


@pytest.mark.parametrize(("key", "shown"), [("question_mark", "?"), ("ctrl+p", "ctrl+p"), ("plus", "+"), ("N", "N")])
def test_a_key_is_written_as_people_write_it(key: str, shown: str) -> None:
    assert written(key) == shown
    assert named(shown) == key


async def test_a_key_for_a_screen_that_is_not_there_yet_does_nothing(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        screen = DetailScreen("Slow", lambda width: [Content("what it shows")])
        console.app.push_screen(screen)
        assert not screen.is_mounted
        await console.app._check_bindings("escape")
        assert console.app.screen is screen
        await console.shows("what it shows")
        await console.press("escape")
        assert console.app.screen is not screen


async def test_keys_that_come_while_it_ends_are_nobodys(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        for key in ("q", *"123456jkhl", "enter", "escape", "q") * 3:
            console.type(key)
        await console.until(lambda: not console.app.is_running)
        assert console.app._exception is None
