"""Keeps the view up to date: threads look at journal, repository, data, cluster and pods as long as the app runs."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from mlconsole.console.background import Background, Ticker
from mlconsole.console.faults import as_record, console_log
from mlconsole.console.journal_reader import INTERVAL, JournalReader
from mlconsole.console.live import PodsFeed, read_data, read_place, read_repo
from mlconsole.console.live_words import kubectl
from mlconsole.console.messages import Faulted, JournalSeen

if TYPE_CHECKING:
    from textual.message import Message

    from mlconsole.console.app import MlconsoleApp
    from mlconsole.console.view import ClusterPlace, RepoReading

T = TypeVar("T")

REST = 9.0
"""A look rests so many times as long as it took: in a repository of any size, it takes a tenth of the time at most."""


class Watching:
    """What runs beside the screen. All of it ends with `stop`, and none of it is waited for.

    Args:
        app: whose view it is.
        background: where single looks are taken.
    """

    def __init__(self, app: MlconsoleApp, background: Background) -> None:
        self._app = app
        self._untold: set[str] = set()
        """What is looked at and was not told as a command yet."""
        self._background = background
        self._rest_until: dict[str, float] = {}
        """When each look may be taken again."""
        project = app.project
        self.pods = PodsFeed(project, background, app.post_message)
        self._reader = JournalReader(project, lambda reading: self._post(JournalSeen(reading)))
        self._reading = Ticker(
            "journal",
            self._reader.step,
            INTERVAL,
            lambda error: self._post(Faulted("journal", error)),
            least=0.05,
            at_end=self._reader.close,
        )

    def _post(self, message: Message) -> None:
        self._app.post_message(message)

    def start(self) -> None:
        """Begin to look at everything."""
        self._reading.start()
        self.refresh()

    def stop(self) -> None:
        """End; wait for nothing."""
        self._reading.stop()
        self.pods.stop()

    def show_release(self, number: int | None) -> None:
        """Read a past release from now on, or the latest one (None)."""
        self._reader.show(number)
        self._reading.wake()

    def look_at_journal(self) -> None:
        """Read the journal now."""
        self._reading.wake()

    def refresh(self) -> None:
        """Look anew at repository, data and cluster."""
        self._untold = {"repo", "pods"}
        self._rest_until.clear()
        self.look_at_repo()
        self.look_at_place()
        project = self._app.project
        self._background.run("data", lambda stop: read_data(project), lambda found: self._app.change(data=found))
        self.watch_pods()

    def look_at_repo(self) -> None:
        """Look at the repository, unless that is going on."""
        root = self._app.project.root
        self._look("repo", lambda: read_repo(root), self._repo_seen)

    def _repo_seen(self, found: RepoReading) -> None:
        self._app.change(repo=found)
        if found.repo is not None:
            self._tell("repo", "git status --short --branch")

    def tell_pods(self) -> None:
        """Say how the pods are watched, once they are."""
        pods = self._app.view.pods
        if pods is not None and pods.watch.state == "live":
            self._tell("pods", f"{kubectl(self._app.view)} get pods -l {shlex.quote(pods.target.selector)} --watch")

    def _tell(self, about: str, command: str) -> None:
        if about in self._untold:
            self._untold.discard(about)
            self._app.note_command(command)

    def look_at_place(self) -> None:
        """Look where releases go, unless that is going on."""
        project = self._app.project
        self._look("place", lambda: read_place(project), self._place_seen)

    def _look(self, group: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Look, unless that is going on, or the last look took so long that it is not time for another."""
        if self._background.is_busy(group) or time.monotonic() < self._rest_until.get(group, 0):
            return
        began = time.monotonic()

        def seen(found: T) -> None:
            ended = time.monotonic()
            self._rest_until[group] = ended + REST * (ended - began)
            then(found)

        self._background.run(group, lambda stop: work(), seen)

    def _place_seen(self, place: ClusterPlace) -> None:
        view = self._app.view
        came_up = view.cluster.local_running is False and place.local_running
        self._app.place_seen(place)
        if came_up:
            self.watch_pods()

    def watch_pods(self) -> None:
        """Watch the pods anew."""
        self._untold.add("pods")
        log = console_log(self._app.project)
        self.pods.start(lambda error: self._app.change(pods_problem=as_record(error, log)))
