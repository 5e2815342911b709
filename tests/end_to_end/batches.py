"""Batches that arrive while the watcher is killed again and again, and what has to hold at the end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from mlconsole.evidence.watching import Trigger
from mlconsole.journal import Journal
from mlconsole.trigger_queue import TriggerQueue

if TYPE_CHECKING:
    from .conftest import Workbench

SETTINGS = """\
[deploy]
context = "local"
settle = "0s"
[[watch]]
kind = "data"
path = "inbox/*.csv"
add = true
settle = "{settle}"
then = "release"
"""
IGNORED = "__pycache__\n/data\n/inbox\n"
ROWS = 6


class Trial:
    """One project, batches that arrive by every way there is, and a watcher that is killed.

    Args:
        bench: an empty project's folder, with a cluster that is started here.
        batches: how many contents arrive (and one more at the end); every fifth comes twice, every seventh is bad.
        kills: how often the watcher is killed.
        seed: of all that is random.
        settle: seconds after which a file counts.
        pause: the watcher is killed after at most so many seconds.
        runners: kill a release's own process, too, now and then.
    """

    def __init__(
        self,
        bench: Workbench,
        *,
        batches: int,
        kills: int,
        seed: int = 0,
        settle: str = "1s",
        pause: float = 6.0,
        runners: bool = False,
    ) -> None:
        self.bench, self.root = bench, bench.root
        self.batches, self.kills, self._pause, self._runners = batches, kills, pause, runners
        self.killed = self.killed_runners = 0
        self._chance = random.Random(seed)
        self._arrived = threading.Event()
        bench.write("mlconsole.toml", SETTINGS.format(settle=settle))
        bench.write(".gitignore", IGNORED)
        text = (self.root / "deployment.yaml").read_text().replace("replicas: 2", "replicas: 1")
        bench.write(
            "deployment.yaml", text.replace("terminationGracePeriodSeconds: 2", "terminationGracePeriodSeconds: 0")
        )
        bench.git("rm", "-r", "-q", "--cached", "data")
        bench.commit("Watched")
        (self.root / "inbox").mkdir(exist_ok=True)
        self.base = (self.root / "data" / "training.csv").read_text()

    def run(self, most_seconds: float = 100) -> None:
        """Let the batches arrive while the watcher is killed; then let a last one finish."""
        started = self.bench.type("cluster", "start")
        assert started.returncode == 0, started.stderr
        released = self.bench.type("run", "--approve")
        assert released.returncode == 0, released.stdout + released.stderr
        writer = threading.Thread(target=self._write_all, daemon=True)
        writer.start()
        while self.killed < self.kills:
            watcher = self._watch()
            try:
                time.sleep(self._chance.uniform(0.05, self._pause))
            finally:
                watcher.kill()
                watcher.wait()
            self.killed += 1
            if self._runners and self._chance.random() < 0.1:
                self._kill_runner()
        writer.join()
        watcher = self._watch()
        try:
            self._wait_until_through(watcher, most_seconds)
            # what a gate refused leaves the data with the next release: that of one more, good batch
            self._write(self.root / "inbox" / f"batch-{self.batches}.csv", self._content(self.batches))
            self.batches += 1
            self._wait_until_through(watcher, most_seconds)
        finally:
            watcher.send_signal(signal.SIGTERM)
            watcher.wait(90)

    def triggers(self) -> tuple[Trigger, ...]:
        """All triggers, in order."""
        journal = Journal(self.root / ".mlconsole" / "journal.db")
        try:
            return tuple(reversed(TriggerQueue(journal).triggers(most=100_000)))
        finally:
            journal.close()

    def check(self) -> Counter[str]:
        """Hold what must hold; returns how many contents had which outcome."""
        triggers = self.triggers()
        assert len(triggers) == self.batches, "each content counts once"
        outcomes = Counter(str(trigger.outcome) for trigger in triggers)
        assert set(outcomes) <= {"released", "refused"}, self.told()
        journal = Journal(self.root / ".mlconsole" / "journal.db")
        done = Counter(number for found in _releases(journal, "done") for number in found)
        said_no = Counter(found for found in _releases(journal, "refused") if len(found) == 1)
        journal.close()
        assert done == {trigger.id: 1 for trigger in triggers if trigger.outcome == "released"}
        assert said_no == {(trigger.id,): 1 for trigger in triggers if trigger.outcome == "refused"}
        bad = {trigger.place for trigger in triggers if trigger.outcome == "refused"}
        assert all(_is_bad(_number(place)) for place in bad), "a good batch is not refused with a bad one"
        rows = Counter((self.root / "data" / "training.csv").read_text().splitlines())
        expected = Counter(self.base.splitlines())
        for trigger in triggers:
            if trigger.outcome == "released":
                expected.update(self._content(_number(trigger.place)).splitlines()[1:])
        assert rows == expected, "the data holds each row that was released once, and none that was refused"
        return outcomes

    def told(self) -> str:
        """What is known, for when it goes wrong."""
        lines = [f"{t.id} {t.words} {t.state} {t.outcome} {t.release} {t.tries} {t.sentence}" for t in self.triggers()]
        log = self.root / ".mlconsole" / "runner.log"
        return "\n".join([*lines, *(log.read_text().splitlines()[-30:] if log.exists() else [])])

    def _watch(self) -> subprocess.Popen[str]:
        with (self.root.parent / "watch.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "mlconsole", "watch"],
                cwd=self.root,
                env=self.bench.environment(),
                stdout=log,
                stderr=log,
                text=True,
            )

    def _wait_until_through(self, watcher: subprocess.Popen[str], most_seconds: float) -> None:
        deadline = time.monotonic() + most_seconds
        while not self._is_through():
            assert time.monotonic() < deadline, self.told()
            assert watcher.poll() is None, self.told()
            time.sleep(0.2)

    def _is_through(self) -> bool:
        triggers = self.triggers()
        return len(triggers) == self.batches and all(trigger.state == "ended" for trigger in triggers)

    def _kill_runner(self) -> None:
        journal = Journal(self.root / ".mlconsole" / "journal.db")
        latest = journal.latest_release()
        journal.close()
        if latest is not None and latest.state == "running" and latest.runner is not None:
            with suppress(psutil.NoSuchProcess):  # it may have ended since the journal was read
                psutil.Process(latest.runner.pid).kill()
                self.killed_runners += 1

    def _write_all(self) -> None:
        for number in range(self.batches):
            text = self._content(number)
            self._write(self.root / "inbox" / f"batch-{number}.csv", text)
            if number % 5 == 2:
                self._write(self.root / "inbox" / f"batch-{number}-again.csv", text)
            time.sleep(self._chance.uniform(0, self._pause * self.kills / self.batches / 2))

    def _content(self, number: int) -> str:
        """A batch of rows that no other has (theirs are odd), in the range of the first data; bad ones are not."""
        bad = _is_bad(number)
        first = 1 + 2 * ROWS * (number // 50)
        return "x,y\n" + "".join(f"{number % 50},{(first + 2 * row) * (100 if bad else 1)}\n" for row in range(ROWS))

    def _write(self, path: Path, text: str) -> None:
        way = self._chance.choice(("renamed", "held open", "reopened"))
        pieces = [text[start : start + 12] for start in range(0, len(text), 12)]
        if way == "renamed":
            path.with_suffix(".part").write_text(text)
            path.with_suffix(".part").rename(path)
        elif way == "held open":
            with path.open("w") as file:
                for piece in pieces:
                    file.write(piece)
                    file.flush()
                    time.sleep(self._chance.uniform(0, 0.1))
        else:
            for piece in pieces:
                with path.open("a") as file:
                    file.write(piece)
                time.sleep(self._chance.uniform(0, 0.1))


def _releases(journal: Journal, state: str) -> list[tuple[int, ...]]:
    """The triggers of each release that ended so."""
    found = [release for release in journal.releases(100_000) if release.state == state]
    return [release.trigger.ids for release in found if release.trigger is not None]


def _number(place: str) -> int:
    return int(Path(place).stem.split("-")[1])


def _is_bad(number: int) -> bool:
    return number % 7 == 3
