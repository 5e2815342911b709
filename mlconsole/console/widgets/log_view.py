"""A log that is filtered and searched: what goes through all of its lines does so in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message

from mlconsole.console.log_lines import Line, LogLines
from mlconsole.console.patterns import GIVEN_UP, GivenUp, Pattern
from mlconsole.console.sieve import Sieve, Wanted, find
from mlconsole.console.widgets.log_pane import LogPane


class LogView(LogPane):
    """Lines of a log, cleaned already.

    Args:
        empty: what is said while there are none.
        lines: the log; where none is given, `append` makes one.
    """

    class Sieved(Message):
        """A filter found more."""

        def __init__(self, sieve: Sieve) -> None:
            super().__init__()
            self.sieve = sieve

        def can_replace(self, message: Message) -> bool:
            """A later one says all that an earlier one did."""
            return isinstance(message, LogView.Sieved)

    class Found(Message):
        """A search came to a line, by its number, or to none; or it was given up."""

        def __init__(self, turn: int, number: int | None, given_up: bool = False) -> None:
            super().__init__()
            self.turn = turn
            self.number = number
            self.given_up = given_up

    def __init__(self, *, empty: str = "", id: str | None = None, lines: LogLines | None = None) -> None:
        super().__init__(empty=empty, id=id, lines=lines)
        self.searching = ""
        """What a search says of itself: that it is under way, that nothing was found, or that it was given up."""
        self._turn, self._search_stop = 0, threading.Event()

    @property
    def searched(self) -> Pattern | None:
        """What was looked for."""
        return self._painter.searched

    def start_anew(self) -> None:
        """The log is another one: it is filtered anew."""
        super().start_anew()
        if self.sieve is not None:
            self.filter(self.sieve.wanted)

    def filter(self, wanted: Wanted | None) -> None:
        """Show only some lines; all where None."""
        self.deselect()
        if self.sieve is not None:
            self.sieve.stop()
        self._skipped, self._mark, self.top_row = (0 if wanted else self.lines.first), None, 0
        self.sieve, self._painter.wanted = None, wanted
        if wanted is not None:

            def told() -> None:
                try:
                    self.post_message(self.Sieved(sieve))
                except RuntimeError:
                    # the loop is closed: nobody is there to be told
                    sieve.stop()

            sieve = self.sieve = Sieve(self.lines, wanted, told)
            sieve.start()
        self._following = True
        self._fit()
        self._pin()
        self.lay_anew()
        self.post_message(self.Changed())

    def on_log_view_sieved(self, message: Sieved) -> None:
        """Show what the filter found so far."""
        message.stop()
        if message.sieve is self.sieve:
            self._drop_gone()
            self._fit()
            self._pin()
            self.lay_anew()
            self.post_message(self.Changed())

    def search(self, pattern: Pattern | None) -> None:
        """Mark what matches, and go to the nearest place above the end of the screen."""
        self._search_stop.set()
        self._painter.searched, self._mark, self.searching = pattern, None, ""
        self.lay_anew()
        if pattern is not None:
            self._find(min(self.scroll_offset.y + self.size.height - 1, len(self.numbers) - 1), -1)
        self.post_message(self.Changed())

    def search_on(self, step: int) -> None:
        """Go to the next place that matches the search, or the filter."""
        numbers = self.numbers
        place = self._place(self._mark)
        start = self.scroll_offset.y if place is None else place + step
        self._find(start % len(numbers) if len(numbers) else 0, step)

    def _place(self, number: int | None) -> int | None:
        numbers = self.numbers
        if number is None:
            return None
        try:
            return numbers.index(number)
        except ValueError:
            # it is filtered out, or gone
            return None

    def _find(self, start: int, step: int) -> None:
        pattern = self.searched or (self.sieve.wanted.pattern if self.sieve else None)
        numbers = self.numbers
        if pattern is None or not len(numbers):
            return
        self._search_stop.set()
        stop = self._search_stop = threading.Event()
        self._turn += 1
        turn, lines, self.searching = self._turn, self.lines, "searching …"
        post: Callable[[Message], object] = self.post_message

        def work() -> None:
            place, given_up = None, False
            try:
                place = find(lines, numbers, pattern, start, step, stop)
            except GivenUp:
                given_up = True
            if not stop.is_set():
                post(self.Found(turn, None if place is None else numbers[place], given_up))

        threading.Thread(target=work, name="console-search", daemon=True).start()
        self.post_message(self.Changed())

    def on_log_view_found(self, message: Found) -> None:
        """Go to what was found."""
        message.stop()
        if message.turn != self._turn or self._search_stop.is_set():
            return
        place = self._place(message.number)
        self.searching = GIVEN_UP if message.given_up else "not found" if place is None else ""
        if place is not None:
            self._mark = message.number
            self._show(place)
            self._following = self.is_at_end
        self.lay_anew()
        self.post_message(self.Changed())

    def _show(self, place: int) -> None:
        """Scroll to a place where it is not on the screen; in a wrapped line, to what was looked for."""
        top, height = self.scroll_offset.y, self.size.height
        if not self.look.wrap:
            if not top <= place < top + height:
                self.go_to(max(place - height // 2, 0))
            return
        entry = self._entry(place)
        row = self._painter.row_of_match(entry, self._wrap_width()) if isinstance(entry, Line) else 0
        if (place, row) not in self.lay():
            self.go_to(place, row)
            self.move_rows(-(height // 2))

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self._search_stop.set()
        if self.sieve is not None:
            self.sieve.stop()
