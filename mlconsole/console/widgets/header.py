"""The line that says where one is: project, commit, champion, cluster, and how fresh the pods are."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.live_words import freshness
from mlconsole.console.paint import BAD, DIM, WARN, cut, line
from mlconsole.console.trigger_lines import watcher_flag
from mlconsole.console.view import View


class Header(Widget):
    """One line; what is least needed gives way where it is narrow."""

    DEFAULT_CSS = """
    Header { height: 1; dock: top; background: $panel; color: $foreground; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def show(self, view: View) -> None:
        """Show a view."""
        self._view = view
        self.refresh()

    def render(self) -> Content:
        """The line, in the present width."""
        return header_line(self._view, self.content_size.width)


def header_line(view: View, width: int) -> Content:
    """The header in `width` cells: flags and freshness always stay, the rest is shortened step by step."""
    right = _flags(view)
    room = width - right.cell_length - 2
    for step in range(4):
        left = _place(view, step)
        if left.cell_length <= room:
            break
    left = left.truncate(max(room, 0), ellipsis=True)
    return Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 1), right)


def _flags(view: View) -> Content:
    parts: list[Content] = []
    if view.past and view.shown is not None:
        parts.append(line((f" release {view.shown.number} (past) ", f"reverse {WARN}")))
    if view.readonly:
        parts.append(line((" READ-ONLY ", "reverse bold")))
    if view.cluster.protected:
        parts.append(line((" PROTECTED ", f"reverse bold {BAD}")))
    if (flag := watcher_flag(view)) is not None:
        parts.append(flag)
    glyph, words, style = freshness(view)
    parts.append(line((f"{glyph} {words}", style)))
    return Content(" ").join(parts)


def _place(view: View, step: int) -> Content:
    """The place in words, the shorter the higher `step` is."""
    parts: list[Content] = [line((cut(view.project.settings.name, 40 if step < 2 else 16), "bold"))]
    repo = view.repo.repo if view.repo else None
    if repo is not None:
        sha = repo.commit.sha[:7] if repo.commit else "no commit"
        branch = cut(repo.branch or "detached", 24 if step < 2 else 10)
        dirty = f" ±{len(repo.dirty)}" if repo.dirty else ""
        parts.append(line(f"{branch}@{sha}" if step < 3 else sha, (dirty, WARN)))
    elif view.repo is not None:
        parts.append(line(("no repository", DIM)))
    champion = view.champion if step < 1 else view.champion.rpartition("@")[2]
    if champion:
        parts.append(line(("★ ", DIM), champion))
    if view.cluster.context:
        namespace = f"/{view.cluster.namespace}" if view.cluster.namespace and step < 2 else ""
        parts.append(line(("⎈ ", DIM), cut(view.cluster.context, 40 if step < 1 else 16) + namespace))
    return Content("   " if step == 0 else "  ").join(parts)
