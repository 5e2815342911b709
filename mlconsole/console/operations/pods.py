"""What is done with the pods of the table: looking at one, and changing one or its workload after asking."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual.content import Content

from mlconsole.console.operations.common import aside, asked, command_preview, typed_name
from mlconsole.console.paint import DIM, STRONG, heading, line, wrapped
from mlconsole.console.panels.base import quiet, sections
from mlconsole.console.panels.pods import PodsPanel
from mlconsole.console.screens.confirm import Answer, Question
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.yaml_lines import yaml_lines
from mlconsole.errors import WrongUse
from mlconsole.evidence.base import now
from mlconsole.text import count

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.evidence.cluster import PodRow, WorkloadRef
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.describe import Section

T = TypeVar("T")
NAMES = 11
"""Cells for the names of a description."""


def _panel(app: MlconsoleApp) -> PodsPanel | None:
    return app.main.panel if isinstance(app.main.panel, PodsPanel) else None


# the table


async def pod_filter(app: MlconsoleApp) -> None:
    """Let a person type a filter."""
    if panel := _panel(app):
        await panel.open_filter()


async def pod_faults(app: MlconsoleApp) -> None:
    """Only the pods that do not serve, or all."""
    if panel := _panel(app):
        panel.only_faults()


async def pod_sort_left(app: MlconsoleApp) -> None:
    """Sort by the column before."""
    if panel := _panel(app):
        panel.sort_beside(-1)


async def pod_sort_right(app: MlconsoleApp) -> None:
    """Sort by the next column."""
    if panel := _panel(app):
        panel.sort_beside(1)


async def pod_sort_turn(app: MlconsoleApp) -> None:
    """Sort the other way round."""
    if panel := _panel(app):
        panel.sort(panel.model.choice.column)


# one pod


async def _asked_of(app: MlconsoleApp, ask: Callable[[Connection, str, str], T]) -> tuple[PodRow, T] | None:
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

    if found := await _asked_of(app, partial(describe, now=now())):
        pod, told = found
        await app.push_screen(DetailScreen(f"pod/{pod.name}", lambda width: section_lines(told, width)))


async def pod_events(app: MlconsoleApp) -> None:
    """Tell what has happened to a pod."""
    from mlconsole.services.kubernetes.describe import event_section

    if found := await _asked_of(app, partial(event_section, now=now())):
        pod, told = found
        lines = partial(section_lines, [told] if told.rows else [])
        await app.push_screen(DetailScreen(f"Events of pod/{pod.name}", lines))


async def pod_yaml(app: MlconsoleApp) -> None:
    """Show a pod's YAML."""
    from mlconsole.services.kubernetes import describe

    def ask(connection: Connection, namespace: str, name: str) -> list[Content]:
        return yaml_lines(describe.pod_yaml(connection, namespace, name).splitlines())

    if found := await _asked_of(app, ask):
        pod, lines = found
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


# changes


async def _confirmed(
    app: MlconsoleApp, title: str, words: str, command: Sequence[str], verb: str, *, prompt: str = ""
) -> Answer | None:
    context = app.view.pods.target.context if app.view.pods else app.view.cluster.context

    def preview(width: int) -> list[Content]:
        where = line((f"{'Context':<{NAMES}} ", DIM), (context, STRONG))
        return sections([*wrapped(line(words), width), where], command_preview([shlex.join(command)], width))

    typed = typed_name(app.view, context)
    return await asked(app, Question(title, preview, verb, typed=typed, wants_reason=bool(prompt), prompt=prompt))


def _kubectl(app: MlconsoleApp, namespace: str, *arguments: str) -> list[str]:
    context = app.view.pods.target.context if app.view.pods else ""
    return ["kubectl", *(["--context", context] if context else []), "-n", namespace, *arguments]


async def pod_delete(app: MlconsoleApp) -> None:
    """Ask, then delete the pod."""
    from mlconsole.services.kubernetes import actions

    pod = app.selected_pod
    if pod is None:
        return
    words = f"{pod.owner} makes another in its place." if pod.owner else "Nobody makes another in its place."
    command = _kubectl(app, pod.namespace, "delete", "pod", pod.name)
    if await _confirmed(app, f"Delete pod {pod.name}?", words, command, "Delete it") is not None:
        await _asked_of(app, lambda connection, namespace, _: actions.delete_pod(connection, namespace, pod.name))
        app.say(f"pod/{pod.name} is being deleted.")


async def _workload(app: MlconsoleApp) -> WorkloadRef | None:
    from mlconsole.services.kubernetes.describe import workload_of

    found = await _asked_of(app, workload_of)
    if found is not None and found[1] is None:
        raise WrongUse(f"Pod {found[0].name} belongs to no workload.", "Only pods of a workload can be scaled.")
    return found[1] if found else None


async def pod_restart(app: MlconsoleApp) -> None:
    """Ask, then replace all pods of the selected pod's workload."""
    from mlconsole.services.kubernetes import actions

    workload = await _workload(app)
    if workload is None:
        return
    name = f"{workload.kind.lower()}/{workload.name}"
    command = _kubectl(app, workload.namespace, "rollout", "restart", name)
    words = "Its pods are replaced one after another, with the same model."
    if await _confirmed(app, f"Restart {name}?", words, command, "Restart it") is not None:
        await _asked_of(app, lambda connection, _, __: actions.restart(connection, workload))
        app.say(f"{name} is being restarted.")


async def pod_scale(app: MlconsoleApp) -> None:
    """Ask for a number, then scale the selected pod's workload."""
    from mlconsole.services.kubernetes import actions

    workload = await _workload(app)
    if workload is None:
        return
    name = f"{workload.kind.lower()}/{workload.name}"
    pods = sum(row.owner.startswith(workload.name) for row in (app.view.pods.rows if app.view.pods else ()))
    command = _kubectl(app, workload.namespace, "scale", name, "--replicas=N")
    words = f"It has {count(pods, 'pod')} now. The next release sets the number that its manifest says."
    answer = await _confirmed(app, f"Scale {name}?", words, command, "Scale it", prompt="How many pods?")
    if answer is None:
        return
    if not answer.reason.isdigit():
        raise WrongUse(f"{answer.reason!r} is no number of pods.", "Give 0 or more.")
    await _asked_of(app, lambda connection, _, __: actions.scale(connection, workload, int(answer.reason)))
    app.say(f"{name} gets {answer.reason} pods.")


async def pod_forward(app: MlconsoleApp) -> None:
    """Open a port that leads to the pod, or close the one that is open."""
    panel, pod = _panel(app), app.selected_pod
    if panel is None or pod is None:
        return
    if (open_already := panel.forwards.pop(pod.uid, None)) is not None:
        await aside(app, open_already.stop)
        app.say(f"The port to pod/{pod.name} is closed.")
        return
    from mlconsole.services.kubernetes.forward import PortForward

    def work() -> PortForward:
        forward = PortForward(app.connect(), pod.namespace, pod.name)
        forward.start()
        return forward

    forward = panel.forwards[pod.uid] = await aside(app, work)
    panel.show_state()
    app.say(f"http://127.0.0.1:{forward.local_port} leads to port {forward.port} of pod/{pod.name}.")
