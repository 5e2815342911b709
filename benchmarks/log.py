"""A log of a million lines: how soon it is open, and how soon scrolling, searching and filtering show their effect.

The log screen's parts run as in the console, without a terminal: each figure is from the key's message until the lines
are on the screen's strips.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import psutil
from measure import load
from textual.app import App, ComposeResult
from textual.events import Key

from mlconsole.console.log_sources import FileLog, LogMoved
from mlconsole.console.patterns import Pattern
from mlconsole.console.sieve import Wanted
from mlconsole.console.widgets.log_view import LogView

LINES = 1_000_000
TARGETS = "targets: open in less than 1 s, each key's effect within 50 ms, bounded memory, no line lost"


class Shown(App[None]):
    """A log alone."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = FileLog(path)
        self.log_view = LogView(lines=self.source.lines)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours that the console's themes have besides."""
        return {"dim": "#888888", "faint": "#666666"}

    def compose(self) -> ComposeResult:
        """The log."""
        yield self.log_view

    def on_mount(self) -> None:
        """Begin to read."""
        self.log_view.focus()
        self.source.start(self.post_message)

    def on_log_moved(self, message: LogMoved) -> None:
        """There is more."""
        self.log_view.grown()

    def on_unmount(self) -> None:
        """End reading."""
        self.source.stop()

    @property
    def top_line(self) -> str:
        """The first line that is shown."""
        return self.screen._compositor.render_strips()[0].text

    def has(self, text: str) -> bool:
        """Whether a text is on the screen."""
        return any(text in strip.text for strip in self.screen._compositor.render_strips())


def write(path: Path) -> None:
    """Write the log."""
    with path.open("w") as file:
        for number in range(LINES):
            rare = " needle" if number % 250_000 == 123_456 else ""
            file.write(f"2026-05-01 12:00:00 INFO worker-{number % 7} epoch {number} loss=0.{number % 997:03d}{rare}\n")


async def until(condition: object, seconds: float = 30) -> None:
    """Wait for something, as often as the loop allows."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit("it did not come about")
        await asyncio.sleep(0.001)


async def measure(path: Path) -> None:
    """Open the log and go through it."""
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    app = Shown(path)
    async with app.run_test(size=(160, 50)):
        await until(lambda: app.has(f"epoch {LINES - 1} "))
        print(f"  open, its end shown      {time.perf_counter() - started:7.2f} s (the app's own start included)")
        view = app.log_view
        assert view.lines.end == LINES
        times = []
        for key in ["pageup"] * 60 + ["k"] * 60 + ["home", "end"] * 10 + ["pageup", "k"] * 20:
            shown = app.top_line
            begin = time.perf_counter()
            event = Key(key, None)
            event.set_sender(app)
            app.post_message(event)
            await until(lambda shown=shown: app.top_line != shown)
            times.append((time.perf_counter() - begin) * 1000)
        times.sort()
        late = times[int(len(times) * 0.99)]
        print(f"  a key to its effect      median {statistics.median(times):.1f} ms, 99 % {late:.1f} ms")
        slow = asyncio.create_task(lag())
        begin = time.perf_counter()
        view.search(Pattern("needle"))
        await until(lambda: not view.searching.startswith("searching"))
        print(f"  search to a rare line    {time.perf_counter() - begin:7.2f} s")
        begin = time.perf_counter()
        view.filter(Wanted.of("loss=0.5[0-9]7", 1))
        await until(lambda: view.sieve is not None and view.sieve.upto >= LINES)
        matches = sum(f"{number % 997:03d}"[0] == "5" and f"{number % 997:03d}"[2] == "7" for number in range(LINES))
        sieve = view.sieve
        assert sieve is not None
        if sieve.matches != matches:
            raise SystemExit(f"{sieve.matches:,} lines were found, not {matches:,}")
        print(f"  filter, all {matches:,} lines  {time.perf_counter() - begin:7.2f} s")
        slow.cancel()
        worst = max(LAGS)
        print(f"  longest wait of the loop {worst * 1000:7.1f} ms meanwhile")
        print(f"  memory                   {(psutil.Process().memory_info().rss - before) / 1e6:7.0f} MB more")


LAGS: list[float] = []


async def lag() -> None:
    """Note by how much the loop is late."""
    while True:
        begin = time.perf_counter()
        await asyncio.sleep(0.005)
        LAGS.append(time.perf_counter() - begin - 0.005)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.log"
        write(path)
        print(f"a log of {LINES:,} lines, {path.stat().st_size / 1e6:.0f} MB {load()}; {TARGETS}")
        asyncio.run(measure(path))


if __name__ == "__main__":
    main()
