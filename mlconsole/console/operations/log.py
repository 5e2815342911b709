"""Opens logs, and carries out what the log screen's keys say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.console.actions.log import SINCE
from mlconsole.console.log_ask import PodAsk
from mlconsole.console.log_save import save
from mlconsole.console.log_sources import FileLog, LogSource, PodLog, PodsLog, StoryLog
from mlconsole.console.operations.common import aside
from mlconsole.console.screens.choose import Choice, ChooseScreen
from mlconsole.console.screens.log import FILTER, SEARCH, LogScreen
from mlconsole.services.kubernetes.containers import ALL
from mlconsole.text import count

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.services.kubernetes.containers import PodContainer

WAITING = "Waiting for the first line …"
ONLY_PODS = "That is asked of pods' logs; this one is shown whole."


def open_stage_log(app: MlconsoleApp, release: int) -> None:
    """Show the log of the selected stage of a release: its file, or what the release says of it."""
    stage = app.view.selected
    path = app.project.release_folder(release) / f"{stage}.log"

    def source(ask: PodAsk) -> LogSource:
        has_own = path.is_file() and path.stat().st_size > 0
        return FileLog(path) if has_own else StoryLog(stage, lambda: app.view.story)

    app.push_screen(LogScreen(
        f"Log of {stage}, release {release}", source, empty="Nothing was written to this log yet.", folder=_folder(app)
    ))  # fmt: skip


def open_pod_log(app: MlconsoleApp) -> None:
    """Show the log of the pod that the cursor is on."""
    pod = app.selected_pod
    if pod is not None:
        source = partial(PodLog, app.connect, pod.namespace, pod.name)
        app.push_screen(LogScreen(f"Log of {pod.name}", source, empty=WAITING, folder=_folder(app), pod=pod))


def all_logs(app: MlconsoleApp) -> None:
    """Show the logs of all pods as one."""
    pods = app.view.pods
    if pods is not None:
        selector = pods.target.selector
        source = partial(PodsLog, app.connect, selector)
        title = f"Logs of all pods: {selector}"
        app.push_screen(LogScreen(title, source, empty=WAITING, folder=_folder(app), selector=selector))


def _folder(app: MlconsoleApp) -> Path:
    return app.project.state / "logs"


def _screen(app: MlconsoleApp) -> LogScreen | None:
    return app.screen if isinstance(app.screen, LogScreen) else None


def _is_open(app: MlconsoleApp, screen: LogScreen) -> bool:
    """Whether it was not closed while something was waited for."""
    return screen in app.screen_stack


def log_filter(app: MlconsoleApp) -> None:
    """Let a person type which lines to show."""
    if screen := _screen(app):
        screen.open_bar(FILTER)


def log_search(app: MlconsoleApp) -> None:
    """Let a person type what to look for."""
    if screen := _screen(app):
        screen.open_bar(SEARCH)


def log_next(app: MlconsoleApp) -> None:
    """Go to the next match."""
    if screen := _screen(app):
        screen.view.search_on(1)


def log_before(app: MlconsoleApp) -> None:
    """Go to the match before."""
    if screen := _screen(app):
        screen.view.search_on(-1)


def log_follow(app: MlconsoleApp) -> None:
    """Follow the end, or stand still."""
    if screen := _screen(app):
        screen.view.follow(not screen.view.is_following)


def log_wrap(app: MlconsoleApp) -> None:
    """Wrap long lines, or not."""
    if screen := _screen(app):
        screen.view.toggle_wrap()


def log_stamps(app: MlconsoleApp) -> None:
    """Show when lines were written, or not."""
    if screen := _screen(app):
        if screen.source.is_of_pods:
            screen.view.toggle_stamps()
        else:
            screen.say("Only pods' logs tell when a line was written.")


def log_previous(app: MlconsoleApp) -> None:
    """The run before the last restart, or the present one again."""
    if screen := _screen(app):
        if screen.source.is_of_pods:
            screen.ask_for(replace(screen.ask, previous=not screen.ask.previous))
        else:
            screen.say("Only pods' logs have a run before.")


async def log_container(app: MlconsoleApp) -> None:
    """Choose a container of the pod, or of all pods; or all of them."""
    screen = _screen(app)
    if screen is None or not screen.source.is_of_pods:
        if screen is not None:
            screen.say("Only pods' logs are of containers.")
        return
    pod, selector = screen.pod, screen.selector

    def work() -> Sequence[PodContainer]:
        from mlconsole.services.kubernetes.containers import containers_of, containers_of_all

        with closing(app.connect()) as connection:
            if pod is not None:
                return containers_of(connection, pod.namespace, pod.name)
            return containers_of_all(connection, selector)

    found = await aside(app, work)
    if not _is_open(app, screen):
        return
    if len(found) < 2:
        screen.say(f"There is no other container than {found[0].name}." if found else "There is no container.")
        return
    now = screen.ask.container or next((one.name for one in found if one.is_default and pod is not None), "")
    choices = [Choice(one.name, one.name, "●" if one.name == now else " ", _container_words(one)) for one in found]
    choices.append(Choice(ALL, "all containers", "●" if now == ALL else " ", "as one, in order of time"))
    answer = await app.push_screen_wait(ChooseScreen("Containers", choices))
    if answer is not None and answer != now:
        screen.ask_for(replace(screen.ask, container=answer))


def _container_words(container: PodContainer) -> str:
    restarts = f", {count(container.restarts, 'restart')}" if container.restarts else ""
    kind = "" if container.kind == "container" else f"{container.kind}, "
    return f"{kind}{container.state}{restarts}"


def log_more(app: MlconsoleApp) -> None:
    """One more line around each match."""
    if screen := _screen(app):
        screen.more_context(1)


def log_less(app: MlconsoleApp) -> None:
    """One line less around each match."""
    if screen := _screen(app):
        screen.more_context(-1)


async def log_save(app: MlconsoleApp) -> None:
    """Write what is shown to a file, and say where it is."""
    if screen := _screen(app):
        lines, numbers = screen.source.lines, screen.view.numbers
        stamps = screen.view.look.stamps
        path = await aside(app, lambda: save(screen.folder, screen.heading, lines, numbers, stamps=stamps))
        (screen if _is_open(app, screen) else app).say(f"Saved to {path}")


def _since(app: MlconsoleApp, place: int) -> None:
    if screen := _screen(app):
        if screen.source.is_of_pods:
            screen.ask_for(screen.ask.back_to(SINCE[place - 1][0]))
        else:
            screen.say(ONLY_PODS)


log_since_1, log_since_2, log_since_3, log_since_4, log_since_5 = (
    partial(_since, place=place) for place in range(1, 6)
)
