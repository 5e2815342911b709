"""Shows something else, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.background import Post
from mlconsole.console.log_feed import Feed, FileFeed, PodFeed, StoryFeed
from mlconsole.console.screens.history import HistoryScreen
from mlconsole.console.screens.log import LogScreen

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


async def log(app: MlconsoleApp) -> None:
    """Open the log of the selected stage, or of the selected pod."""
    if app.view.selected == "pods":
        _pod_log(app)
    elif app.view.shown is not None:
        _stage_log(app, app.view.shown.number)


def _pod_log(app: MlconsoleApp) -> None:
    pod = app.selected_pod
    if pod is None:
        return
    app.push_screen(
        LogScreen(
            f"Log of {pod.name}",
            lambda post: PodFeed(app.connect, pod.namespace, pod.name, post),
            empty="Waiting for the first line …",
        )
    )


def _stage_log(app: MlconsoleApp, release: int) -> None:
    stage = app.view.selected
    path = app.project.release_folder(release) / f"{stage}.log"

    def feed(post: Post) -> Feed:
        has_own = path.is_file() and path.stat().st_size > 0
        return FileFeed(path, post) if has_own else StoryFeed(stage, lambda: app.view.story, post)

    app.push_screen(LogScreen(f"Log of {stage}, release {release}", feed, empty="Nothing was written to this log yet."))


async def history(app: MlconsoleApp) -> None:
    """Choose a release to show."""
    number = await app.push_screen_wait(HistoryScreen(app.view))
    if number is not None:
        latest = app.view.latest
        app.show_release(None if latest is not None and latest.number == number else number)


async def refresh(app: MlconsoleApp) -> None:
    """Look anew at everything that is live."""
    app.refresh_live()
    app.say("Looking again at repository, data and cluster.")


async def zoom(app: MlconsoleApp) -> None:
    """Give the panel the whole width, or take it back."""
    app.main.zoom()
