"""The keys that there are now; those that do not apply are dim, and pressing one says why."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.timer import Timer
from textual.widget import Widget

from mlconsole.console.actions import Action
from mlconsole.console.paint import DIM, FAINT, KEY, WARN, line, wrapped
from mlconsole.console.view import View

SECONDS = 5.0
FIRST = 2
"""The actions up to this place are what a release waits for: they come before a panel's own."""
MOST_LINES = 3
"""So many lines a long sentence may take."""


class Footer(Widget):
    """One line of keys, or for some seconds a sentence, which may take more."""

    DEFAULT_CSS = """
    Footer { height: auto; dock: bottom; background: $panel; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._scope: str = view.selected
        self._inside = False
        self._sentence = ""
        self._timer: Timer | None = None

    @property
    def sentence(self) -> str:
        """What is being said, or empty."""
        return self._sentence

    def show(self, view: View, scope: str, *, inside: bool) -> None:
        """Show the keys of a view in a scope of the registry; inside a panel, its own come first."""
        self._view = view
        self._scope, self._inside = scope, inside
        self.refresh()

    def say(self, sentence: str) -> None:
        """Say a sentence for some seconds."""
        self._sentence = sentence
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SECONDS, self.hush) if sentence else None
        self._refresh_lines()

    def hush(self) -> None:
        """Show the keys again."""
        self._sentence = ""
        self._refresh_lines()

    def _refresh_lines(self) -> None:
        width = self.content_size.width
        self.refresh(layout=self.get_content_height(self.size, self.size, width) != self.content_size.height)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are."""
        return len(self._lines(width))

    def _lines(self, width: int) -> list[Content]:
        if not self._sentence:
            return [footer_line(self._view, self._scope, width, inside=self._inside)]
        lines = wrapped(line(("! ", WARN), self._sentence), max(width, 10), indent=2)
        if len(lines) > MOST_LINES:
            lines[MOST_LINES - 1 :] = [Content(" ").join(lines[MOST_LINES - 1 :])]
        return lines

    def render(self) -> Content:
        """The lines, in the present width."""
        width = self.content_size.width
        return Content("\n").join(text.truncate(width, ellipsis=True) for text in self._lines(width))


def footer_line(view: View, scope: str, width: int, *, inside: bool = False) -> Content:
    """As many keys as fit: those that apply first, inside a panel its own before others, help always; then dim ones."""

    def place(action: Action) -> tuple[bool, int]:
        is_own = inside and (action.of_panel or scope in action.scope)
        is_awaited = applies[action.id] and action.footer <= FIRST
        return not (is_own or is_awaited), action.footer

    found = [action for action in view.registry.of(scope) if action.footer and action.keys]
    applies = {action.id: action.why_not(view) is None for action in found}
    shown = sorted(found, key=place)
    must = [action for action in shown if action.id in ("help", "quit")]
    chosen = list(must)
    for action in [
        *(a for a in shown if applies[a.id] and a not in must),
        *(a for a in shown if not applies[a.id]),
    ]:
        if _width([*chosen, action]) <= width:
            chosen.append(action)
    chosen.sort(key=lambda action: (action.id == "quit", place(action)))
    return Content("  ").join(_hint(action, applies[action.id]) for action in chosen)


def _hint(action: Action, applies: bool) -> Content:
    label = action.key
    if applies:
        return line((label, KEY), (f" {action.words}", DIM))
    return line((f"{label} {action.words}", FAINT))


def _width(actions: list[Action]) -> int:
    return sum(cell_len(f"{action.key} {action.words}") + 2 for action in actions) - 2
