"""The keys that there are now; those that do not apply are dim, and pressing one says why."""

from __future__ import annotations

from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from mlconsole.console.actions import Action
from mlconsole.console.paint import DIM, FAINT, KEY, WARN, line
from mlconsole.console.view import View

SECONDS = 5.0


class Footer(Widget):
    """One line: keys, or for some seconds a sentence."""

    DEFAULT_CSS = """
    Footer { height: 1; dock: bottom; background: $panel; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._scope: str = view.selected
        self._sentence = ""
        self._timer: Timer | None = None

    @property
    def sentence(self) -> str:
        """What is being said, or empty."""
        return self._sentence

    def show(self, view: View, scope: str) -> None:
        """Show the keys of a view in a scope of the registry."""
        self._view = view
        self._scope = scope
        self.refresh()

    def say(self, sentence: str) -> None:
        """Say a sentence for some seconds."""
        self._sentence = sentence
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SECONDS, self.hush) if sentence else None
        self.refresh()

    def hush(self) -> None:
        """Show the keys again."""
        self._sentence = ""
        self.refresh()

    def render(self) -> Content:
        """The line, in the present width."""
        width = self.content_size.width
        if self._sentence:
            return line(("! ", WARN), self._sentence).truncate(width, ellipsis=True)
        return footer_line(self._view, self._scope, width)


def footer_line(view: View, scope: str, width: int) -> Content:
    """As many keys as fit: those that apply first, help always; then dim ones."""
    shown = sorted((action for action in view.registry.of(scope) if action.footer), key=lambda action: action.footer)
    applies = {action.id: action.why_not(view) is None for action in shown}
    must = [action for action in shown if action.id in ("help", "quit")]
    chosen = list(must)
    for action in [
        *(a for a in shown if applies[a.id] and a not in must),
        *(a for a in shown if not applies[a.id]),
    ]:
        if _width([*chosen, action]) <= width:
            chosen.append(action)
    chosen.sort(key=lambda action: action.footer)
    return Content("  ").join(_hint(action, applies[action.id]) for action in chosen)


def _hint(action: Action, applies: bool) -> Content:
    label = action.key
    if applies:
        return line((label, KEY), (f" {action.words}", DIM))
    return line((f"{label} {action.words}", FAINT))


def _width(actions: list[Action]) -> int:
    return sum(_hint(action, True).cell_length + 2 for action in actions) - 2
