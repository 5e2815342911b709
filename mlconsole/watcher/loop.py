"""The watcher: looks, puts what is new into the queue, and has releases carried out, one at a time.

It keeps nothing that the journal does not hold. Releases are processes of their own; a watcher that is killed harms
none, and the next one goes on where it was.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from mlconsole.errors import Problem, Refused
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Release
from mlconsole.evidence.watching import WatcherState
from mlconsole.journal import Journal, this_runner
from mlconsole.project import Project
from mlconsole.project.settings import SETTINGS_FILE
from mlconsole.release.launch import LOG, hold_short, runner_process
from mlconsole.stages.target import context_name
from mlconsole.text import clean_line, count, duration, listed
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher.adding import sweep
from mlconsole.watcher.answering import end_words, is_answered, settle_outcomes
from mlconsole.watcher.pace import Begin, GoOn, Wait, count_try, is_unfinished, next_move
from mlconsole.watcher.standing import Alone, Standing
from mlconsole.watcher.telling import Teller
from mlconsole.watcher.waking import Waker
from mlconsole.watcher.watches import KEPT, MonitorWatch, Watch, watches_of

Stamps = tuple[tuple[int, int], ...]
BEAT_SECONDS = 5.0
LOOK_SECONDS = 0.5
"""How often the journal is looked at while a release is on its way."""
BURST_SECONDS = 60.0
"""Files that arrive together are one trigger; but the first of them waits no longer than this for the last."""


class Watcher:
    """Watches one project until it is told to stop.

    Args:
        project: it.
        journal: its journal.
        stopped: ends it.
        say: takes a line about each thing that happens.
        teller: notifies people.
        standing: says whether this process is the one that acts, where others watch the same target.
        target: options that lead releases elsewhere than the settings do, such as `--context staging`.
        halted: why no release can be begun at the moment; empty: it can.
        stamps: of the settings' files from before they were read: what was changed since is then not missed.

    Raises:
        Refused: another process of this project watches already.
        SettingsInvalid: there is nothing to watch, or it can't be watched.
    """

    def __init__(
        self,
        project: Project,
        journal: Journal,
        *,
        stopped: threading.Event,
        say: Callable[[str], None] = lambda words: None,
        teller: Teller | None = None,
        standing: Standing | None = None,
        target: Sequence[str] = (),
        halted: str = "",
        stamps: Stamps | None = None,
    ) -> None:
        self._project, self._journal, self._say = project, journal, say
        self._stopped = stopped
        self._queue = TriggerQueue(journal)
        self._watches: Sequence[Watch] = watches_of(project, journal)
        self._wake = threading.Event()
        self._waker = Waker(self._wake)
        self._teller = teller or Teller(project, journal)
        self._standing = standing or Alone()
        self._runner: subprocess.Popen[bytes] | None = None
        self._asked: tuple[int, ...] = ()
        self._target, self._halted = list(target), halted
        self._stamps = stamps_of(project.root) if stamps is None else stamps
        for watch in self._watches:
            if isinstance(watch, MonitorWatch):
                watch.attend(say, self._target)
        self._state = WatcherState(runner=this_runner(), started_at=now(), beat_at=now())
        self._beaten_at = 0.0
        self._end = self._last_end()
        self._queue.save_watcher(self._state)
        sweep(project.state / KEPT)

    def run(self) -> bool:
        """Watch, until it is stopped, or the settings were changed; returns whether they were.

        What goes wrong outside, such as a journal that is locked or a disk that is full, is said once, and it goes on.

        Raises:
            Refused: another process has taken its place.
            ProjectGone: the project's folder was removed.
        """
        told = ""
        try:
            while not self._stopped.is_set():
                self._journal.check_there()
                if stamps_of(self._project.root) != self._stamps:
                    return True
                try:
                    seconds, wrong = self.step(), ""
                except Refused:
                    raise
                except (Problem, OSError) as error:
                    seconds, wrong = BEAT_SECONDS, _words_of(error)
                if wrong and wrong != told:
                    self._say(wrong)
                told = wrong
                self._wait(seconds)
            return False
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything, and say that nobody watches any more."""
        self._waker.stop()
        for watch in self._watches:
            watch.close()
        self._standing.close()
        self._teller.close()
        with contextlib.suppress(Problem):
            self._queue.no_watcher(self._state.runner)

    def _wait(self, seconds: float) -> None:
        """Wait for so long, or until a folder changes, or the end."""
        deadline = time.monotonic() + seconds
        while not self._stopped.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._wake.wait(min(left, LOOK_SECONDS)):
                self._wake.clear()
                for watch in self._watches:
                    if watch.folder is not None:
                        watch.due_at = 0.0
                return

    def step(self) -> float:
        """Do everything that is due; returns the seconds until something may be due again."""
        self._look()
        settle_outcomes(self._project, self._journal)
        holder = self._standing.other()
        for watch in self._watches:
            if isinstance(watch, MonitorWatch):
                watch.acts = not holder
        busy, seconds = (holder, BEAT_SECONDS) if holder else self._move()
        self._teller.tell()
        self._note(busy=busy, holder=holder)
        due = min((watch.due_at for watch in self._watches), default=float("inf")) - time.monotonic()
        return max(0.0, min(due, seconds, BEAT_SECONDS))

    def _look(self) -> None:
        self._waker.listen(folder for watch in self._watches if (folder := watch.folder) is not None)
        last = self._newest()
        for watch in self._watches:
            if watch.due_at <= time.monotonic():
                before = watch.state.problem
                watch.step()
                if watch.state.problem and watch.state.problem != before:
                    self._say(f"{watch.name}: {watch.state.problem}")
        for trigger in reversed(self._queue.triggers()):
            if trigger.id > last:
                self._say(f"new {trigger.kind}: {trigger.words}, {trigger.state}")

    def _newest(self) -> int:
        return next((trigger.id for trigger in self._queue.triggers(most=1)), 0)

    def _move(self) -> tuple[str, float]:
        """Do what follows from the queue; returns what it is busy with, and when to look again."""
        if self._runner is not None:
            if self._runner.poll() is None:
                return "a release is on its way", LOOK_SECONDS
            self._runner_ended()
        self._say_ended()
        if self._halted:
            return self._halted, BEAT_SECONDS
        move = next_move(self._journal)
        if isinstance(move, Wait):
            return move.why, move.seconds if move.seconds is not None else LOOK_SECONDS if move.why else BEAT_SECONDS
        if is_answered(self._project):
            return "a release is on its way", LOOK_SECONDS
        if isinstance(move, GoOn):
            count_try(self._queue, self._queue.taken_by(move.release))
            self._say(f"release {move.release} goes on")
            self._launch(["resume", str(move.release)])
            return f"release {move.release} goes on", LOOK_SECONDS
        if (left := self._burst_left(move)) > 0:
            return "more is arriving", min(left, LOOK_SECONDS)
        self._begin(move)
        return "a release is on its way", LOOK_SECONDS

    def _begin(self, move: Begin) -> None:
        self._asked = move.triggers
        options = [option for number in move.triggers for option in ("--trigger", str(number))]
        if (move.to_the_end or move.words) and self._project.settings.deploy.protects(context_name(self._project)):
            self._say("the context is protected: the release waits for its approval")
        elif move.to_the_end:
            options.append("--approve")
        elif move.words:
            self._say(move.words)
        self._say(f"a release begins for {count(len(move.triggers), 'trigger')}")
        self._launch(["run", *options, *self._target])

    def _burst_left(self, move: Begin) -> float:
        """How long to wait for files that are still being written, so that a burst is one release."""
        if not any(watch.growing for watch in self._watches):
            return 0
        first = min(self._queue.trigger(number).seen_at for number in move.triggers)
        return BURST_SECONDS - (now() - first).total_seconds()

    def _launch(self, arguments: list[str]) -> None:
        try:
            self._runner = runner_process(self._project, arguments)
        except Problem as problem:
            self._say(str(problem))
            self._count_tries()

    def _runner_ended(self) -> None:
        assert self._runner is not None
        self._runner = None
        settle_outcomes(self._project, self._journal)
        self._say_ended()
        asked = [self._queue.trigger(number) for number in self._asked]
        for trigger in asked:
            if trigger.release is None and trigger.state == "ended":
                self._say(f"{trigger.words} {trigger.outcome}: {trigger.sentence}")
        apart = [trigger for trigger in asked if len(asked) > 1 and trigger.alone and trigger.state == "waiting"]
        if apart:
            self._say(f"each of these is judged by itself now: {listed([trigger.words for trigger in apart])}")
            self._asked = tuple(trigger.id for trigger in asked if trigger not in apart)
        self._count_tries()

    def _say_ended(self) -> None:
        """Say how the latest release ended, once, whichever process began it or went on with it."""
        end = self._last_end()
        if end is None or end == self._end:
            return
        self._end = end
        release = self._journal.release(end[0])
        if release.trigger is None:
            return
        words = f"{end_words(self._journal, end[0]) or 'its process has ended.'}{self._again(release)}"
        self._say(f"release {release.number} {release.state}: {words}")

    def _last_end(self) -> tuple[int, str, int] | None:
        """What tells one end of a release from another; None where none has ended, or the latest is on its way."""
        latest = self._journal.latest_release()
        if latest is None or latest.state == "running":
            return None
        last = self._journal.last_event(latest.number)
        return latest.number, latest.state, last.id if last is not None else 0

    def _again(self, release: Release) -> str:
        """When a release is tried again, if it is."""
        move = next_move(self._journal)
        if isinstance(move, GoOn) and move.release == release.number:
            return " It goes on."
        waits = isinstance(move, Wait) and move.seconds is not None and is_unfinished(self._journal, release)
        return f" It is tried again in {duration(move.seconds or 0)}." if waits and isinstance(move, Wait) else ""

    def _count_tries(self) -> None:
        """Triggers whose runner ended without taking them wait a while before the next."""
        left = [trigger for number in self._asked if (trigger := self._queue.trigger(number)).state == "waiting"]
        self._asked = ()
        if left and not is_answered(self._project):
            count_try(self._queue, left)
            self._say(f"the release could not be begun: {left[0].sentence or 'see .mlconsole/runner.log'}")

    def _note(self, *, busy: str, holder: str = "") -> None:
        """Write down how it stands, where that changed or some time has passed."""
        watches = tuple(watch.state for watch in self._watches)
        fresh = msgspec.structs.replace(self._state, busy=busy, holder=holder, watches=watches)
        if fresh != self._state or time.monotonic() - self._beaten_at > BEAT_SECONDS:
            self._beaten_at = time.monotonic()
            self._state = msgspec.structs.replace(fresh, beat_at=now())
            self._queue.save_watcher(self._state)
            hold_short(self._project.state / LOG)


def _words_of(error: Problem | OSError) -> str:
    if isinstance(error, Problem):
        return str(error)
    place = clean_line(str(error.filename)) if error.filename else "A file"
    return f"{place} can't be used: {error.strerror}. Check the disk's space and the file's permissions."


def stamps_of(root: Path) -> Stamps:
    """What tells that a file with settings was changed."""
    found = []
    for name in (SETTINGS_FILE, "pyproject.toml"):
        with contextlib.suppress(OSError):
            stat = (root / name).stat()
            found.append((stat.st_mtime_ns, stat.st_size))
    return tuple(found)
