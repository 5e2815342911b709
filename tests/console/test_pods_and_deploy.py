"""Filter, order and changes of pods, the log screen's keys, and the folding of a plan, as a person uses them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mlconsole.console.messages import PodsSeen
from mlconsole.console.panels.deploy import DeployPanel, verdict_of
from mlconsole.console.panels.pods import PodsPanel
from mlconsole.console.plan_lines import orphan_lines
from mlconsole.console.screens.history import HistoryScreen
from mlconsole.console.screens.log import LogScreen
from mlconsole.evidence.cluster import Orphan, RolloutVerdict, WorkloadRef
from mlconsole.release import launch as launching

from .builder import a_plan, pod, snapshot
from .conftest import Build, Drive, Driven

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: far, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: ada, user: {token: "t"}}]
contexts:
- {name: staging, context: {cluster: far, user: ada, namespace: ml}}
- {name: prod-eu, context: {cluster: far, user: ada, namespace: ml}}
"""


async def with_pods(console: Driven) -> PodsPanel:
    console.app.watching.pods.stop()
    await console.press("6")
    console.app.post_message(PodsSeen(snapshot(*(pod(place, ready=place != 2) for place in range(5)))))
    await console.shows("4/5 ready")
    await console.press("enter")
    panel = console.app.main.panel
    assert isinstance(panel, PodsPanel)
    return panel


async def test_pods_are_filtered_while_one_types(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        panel = await with_pods(console)
        await console.press("slash")
        await console.press(*"!crash")
        await console.until(lambda: len(panel.model) == 4)
        await console.press("enter")
        assert console.app.focused is panel.table
        await console.press("slash", "escape")
        await console.until(lambda: len(panel.model) == 5)


async def test_when_an_unreachable_cluster_is_asked_again_is_told(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        await with_pods(console)
        away = snapshot(pod(1), state="offline", sentence="Can't reach the cluster.", again=7.4)
        console.app.post_message(PodsSeen(away))
        await console.shows("Can't reach the cluster. Trying again in 7 s.")


async def test_what_is_typed_right_after_the_key_is_the_filter(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        panel = await with_pods(console)
        for key in ("slash", *"c0002", "enter"):
            console.type(key)
        await console.until(lambda: len(panel.model) == 1)
        await console.until(lambda: console.app.focused is panel.table)


async def test_what_is_typed_right_after_the_palette_s_key_is_looked_for(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        for key in ("colon", *"hist", "enter"):
            console.type(key)
        await console.until(lambda: isinstance(console.app.screen, HistoryScreen))


async def test_another_context_and_namespace_are_looked_at_and_released_to(
    build: Build, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(config))
    started: list[list[str]] = []
    monkeypatch.setattr(launching, "launch", lambda project, arguments: started.append(list(arguments)) or 2**22 + 1)
    async with drive(build("done").project.root) as console:
        await console.shows("staging")
        for key in ("K", *"prod-eu", "enter"):
            console.type(key)
        await console.shows("prod-eu", "PROTECTED")
        assert console.app.connect().context == "prod-eu"
        await console.press("M")
        await console.shows("Which namespace?")
        await console.press(*"ml-two", "enter")
        await console.shows("prod-eu/ml-two")
        assert console.app.connect().namespace == "ml-two"
        await console.press("N")
        await console.until(lambda: bool(started))
    assert started[0][:1] == ["run"]
    assert started[0][-4:] == ["--context", "prod-eu", "-n", "ml-two"]


async def test_a_wrong_expression_is_said_and_nothing_is_lost(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        panel = await with_pods(console)
        await console.press("slash", *"[")
        await console.shows("is no regular expression")
        assert len(panel.model) == 5


async def test_faults_and_order(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        panel = await with_pods(console)
        await console.press("f")
        await console.shows("faults only", "1 of 1")
        await console.press("f", "greater_than_sign")
        await console.shows("READY↑")
        assert panel.model.pod(panel.model.key(0)).is_ready is False  # type: ignore[union-attr]


async def test_nothing_is_changed_in_a_read_only_console(build: Build, drive: Drive) -> None:
    async with drive(build().project.root, readonly=True) as console:
        await with_pods(console)
        await console.press("D")
        await console.shows("started with --readonly")


async def test_a_log_is_filtered_searched_and_saved(build: Build, drive: Drive) -> None:
    builder = build("training")
    async with drive(builder.project.root) as console:
        await console.press("l")
        await console.shows("Log of train, release 1", "14 lines")
        await console.press("slash", *"epoch 1[01]", "enter")
        await console.shows("/epoch 1[01]/: 2")
        assert "epoch 3/20" not in console.text
        await console.press("right_square_bracket")
        await console.shows("±1: 2", "epoch 9/20", "epoch 12/20")
        await console.press("slash", "escape", "s", *"epoch 3/", "enter")
        screen = console.app.screen
        assert isinstance(screen, LogScreen)
        await console.until(lambda: not screen.view.searching and len(screen.view) == 14)
        await console.press("w", "S")
        await console.shows("Saved to")
        (saved,) = (builder.project.state / "logs").iterdir()
        assert len(saved.read_text(encoding="utf-8").splitlines()) == 14


async def test_an_expression_that_explodes_is_given_up_in_a_sentence(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlconsole.console.patterns.LINE_SECONDS", 0.1)
    builder = build("training")
    log = next(builder.project.state.glob("releases/1/train.log"))
    log.write_text(f"first aaa\n{'a' * 5_000}b\nlast\n", encoding="utf-8")
    async with drive(builder.project.root, (80, 24)) as console:
        await console.press("l")
        await console.shows("3 lines")
        await console.press("slash", *"(a+)+$", "enter")
        await console.shows("/(a+)+$/: 1 given up, it takes too long: try it without", "a repeat inside a repeat")
        await console.press("slash", "escape", "s", *"(a+)+$", "enter")
        await console.shows("?(a+)+$ given up, it takes too long")
        await console.press("s", "ctrl+u", *"last", "enter")
        screen = console.app.screen
        assert isinstance(screen, LogScreen)
        await console.until(lambda: not screen.view.searching)
        await console.press("slash", *"((a{1000}){1000}){1000}", "enter")
        await console.shows("is longer than what is looked for")


async def test_what_is_copied_from_a_log_is_said(build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    async with drive(build("training").project.root, (80, 24)) as console:
        monkeypatch.setattr(console.app, "copy_to_clipboard", copied.append)
        await console.press("l")
        await console.shows("14 lines")
        screen = console.app.screen
        assert isinstance(screen, LogScreen)
        await console.pilot.triple_click(screen.view, offset=(2, 1))
        await console.shows("standing Ctrl+C copies")
        await console.press("ctrl+c")
        await console.shows("Copied 1 line.")
        assert copied == [screen.view.plain.splitlines()[1]]


async def test_a_plan_is_folded_by_object(build: Build, drive: Drive) -> None:
    async with drive(build("waiting").project.root) as console:
        await console.press("5", "enter")
        await console.shows("▾ deployment/ml-model", "value: v2")
        await console.press("enter")
        await console.shows("▸ deployment/ml-model")
        assert "value: v2" not in console.text
        await console.press("F")
        await console.shows("▾ deployment/ml-model", "value: v2")
        assert isinstance(console.app.main.panel, DeployPanel)


@pytest.mark.parametrize("reason", ["m-1: The image can't be pulled.", "m-1: Another reason."])
def test_why_a_rollout_is_stuck_is_said_once_and_where(reason: str) -> None:
    verdict = RolloutVerdict(
        workload=WorkloadRef(kind="Deployment", name="m", namespace="default"),
        succeeded=False,
        sentence="Deployment m will not roll out: The image can't be pulled.",
        reason=reason,
        seconds=3.0,
        events=("Warning Failed " + "word " * 40,),
    )
    lines = [content.plain for content in verdict_of(verdict, 80)]
    assert sum("can't be pulled" in text for text in lines) == 1
    assert any("m-1" in text for text in lines)
    assert all(len(text) <= 80 for text in lines), "events are wrapped"


@pytest.mark.parametrize("width", [40, 60, 100])
def test_how_what_the_manifests_no_longer_have_goes_away_is_said_in_any_width(width: int) -> None:
    orphan = Orphan(api_version="v1", kind="ConfigMap", name="notes", namespace="ml")
    lines = orphan_lines(msgspec.structs.replace(a_plan(), orphans=(orphan,)), width)
    assert all(found.cell_length <= width for found in lines)
    words = " ".join(" ".join(found.plain for found in lines).split())
    assert words == "No longer in the manifests they stay: mlconsole run --prune deletes them - configmap/notes"
