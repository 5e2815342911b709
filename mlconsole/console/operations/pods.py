"""What is looked at of the pods of the table: which ones, and one in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual.content import Content

from mlconsole.console.live_words import kubectl
from mlconsole.console.operations.common import aside
from mlconsole.console.paint import DIM, heading, line, wrapped
from mlconsole.console.panels.base import quiet, sections
from mlconsole.console.panels.pods import PodsPanel
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.yaml_lines import yaml_lines
from mlconsole.evidence.base import now

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.evidence.cluster import PodRow
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.describe import Section

T = TypeVar("T")
NAMES = 11
"""Cells for the names of a description."""


def panel_of(app: MlconsoleApp) -> PodsPanel | None:
    return app.main.panel if isinstance(app.main.panel, PodsPanel) else None


# the table


async def pod_filter(app: MlconsoleApp) -> None:
    """Let a person type a filter."""
    if panel := panel_of(app):
        await panel.open_filter()


def pod_faults(app: MlconsoleApp) -> None:
    """Only the pods that do not serve, or all."""
    if panel := panel_of(app):
        panel.only_faults()


def pod_sort_left(app: MlconsoleApp) -> None:
    """Sort by the column before."""
    if panel := panel_of(app):
        panel.sort_beside(-1)


def pod_sort_right(app: MlconsoleApp) -> None:
    """Sort by the next column."""
    if panel := panel_of(app):
        panel.sort_beside(1)


def pod_sort_turn(app: MlconsoleApp) -> None:
    """Sort the other way round."""
    if panel := panel_of(app):
        panel.sort(panel.model.choice.column)


# one pod


async def asked_of(app: MlconsoleApp, ask: Callable[[Connection, str, str], T]) -> tuple[PodRow, T] | None:
    """Ask the cluster about the selected pod, beside the screen."""
    pod = app.selected_pod
    if pod is None:
        return None

    def work() -> T:
        connection = app.connect()
        try:
            return ask(connection, pod.namespace, pod.name)
        finally:
            connection.close()

    return pod, await aside(app, work)


async def pod_describe(app: MlconsoleApp) -> None:
    """Tell all that matters of a pod."""
    from mlconsole.services.kubernetes.describe import describe

    if found := await asked_of(app, partial(describe, now=now())):
        pod, told = found
        app.note_command(f"{kubectl(app.view)} describe pod {pod.name}")
        await app.push_screen(DetailScreen(f"pod/{pod.name}", lambda width: section_lines(told, width)))


async def pod_events(app: MlconsoleApp) -> None:
    """Tell what has happened to a pod."""
    from mlconsole.services.kubernetes.describe import event_section

    if found := await asked_of(app, partial(event_section, now=now())):
        pod, told = found
        lines = partial(section_lines, [told] if told.rows else [])
        app.note_command(f"{kubectl(app.view)} get events --field-selector involvedObject.name={pod.name}")
        await app.push_screen(DetailScreen(f"Events of pod/{pod.name}", lines))


async def pod_yaml(app: MlconsoleApp) -> None:
    """Show a pod's YAML."""
    from mlconsole.services.kubernetes import describe

    def ask(connection: Connection, namespace: str, name: str) -> list[Content]:
        return yaml_lines(describe.pod_yaml(connection, namespace, name).splitlines())

    if found := await asked_of(app, ask):
        pod, lines = found
        app.note_command(f"{kubectl(app.view)} get pod {pod.name} -o yaml")
        await app.push_screen(DetailScreen(f"YAML of pod/{pod.name}", lambda width: lines))


def section_lines(told: Sequence[Section], width: int) -> list[Content]:
    """A description: names in a column, texts beside them."""
    parts = []
    for section in told:
        lines = [heading(section.title)]
        wide = min(max(NAMES, *(len(name) for name, _ in section.rows)), 26)
        for name, text in section.rows:
            lines += wrapped(line((f"{name:<{wide}} ", DIM), text), width, indent=max(wide, len(name)) + 1)
        parts.append(lines)
    return sections(*parts) or quiet("The cluster has nothing to say about it (events are kept for an hour or so).")
