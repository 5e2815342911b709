"""A log view follows its end, lets a person read, and is bounded."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from mlconsole.console.widgets import log_view
from mlconsole.console.widgets.log_view import LogView


class Shown(App[None]):
    """A log alone."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"dim": "#888888", "faint": "#666666"}

    def compose(self) -> ComposeResult:
        yield LogView(empty="nothing yet")


def first_line(app: App[None]) -> str:
    return app.screen._compositor.render_strips()[0].text.strip()


async def test_it_follows_until_a_person_scrolls_up() -> None:
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LogView)
        await pilot.pause()
        assert first_line(app) == "nothing yet"
        view.append([f"line {number}" for number in range(100)])
        await pilot.pause()
        assert first_line(app) == "line 90"
        view.focus()
        await pilot.press("k")
        view.append(["one more"])
        await pilot.pause()
        assert first_line(app) == "line 89"
        await pilot.press("G")
        view.append(["and more"])
        await pilot.pause()
        assert first_line(app) == "line 92"


async def test_it_keeps_the_latest_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_view, "MOST_LINES", 50)
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LogView)
        for number in range(300):
            view.append([f"line {number}"])
        await pilot.pause()
        assert view.plain.splitlines()[-1] == "line 299"
        assert 50 <= len(view.plain.splitlines()) <= 55
