"""What is changed of pods and their workloads, each after its command was shown and confirmed."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual.content import Content

from mlconsole.console.live_words import kubectl
from mlconsole.console.messages import Faulted
from mlconsole.console.operations.common import aside, asked, command_preview, typed_name
from mlconsole.console.operations.pods import panel_of
from mlconsole.console.paint import DIM, STRONG, line, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.panels.pods import workload_of_plan
from mlconsole.console.screens.confirm import Question
from mlconsole.errors import Problem, WrongUse
from mlconsole.text import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlconsole.console.app import MlconsoleApp
    from mlconsole.evidence.cluster import WorkloadRef
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.forward import PortForward

T = TypeVar("T")
NUMBER = re.compile(r"[+-]?\d{1,6}")
MOST_PODS = 1_000
"""More are taken for a slip of the finger."""


async def _with_cluster(app: MlconsoleApp, work: Callable[[Connection], T]) -> T:
    """Do something with a connection of its own, beside the screen."""

    def connected() -> T:
        connection = app.connect()
        try:
            return work(connection)
        finally:
            connection.close()

    return await aside(app, connected)


async def _confirmed(app: MlconsoleApp, title: str, words: str, command: str, verb: str) -> bool:
    """Show a change and the command that does the same, and ask; a protected context's name has to be typed."""
    context = app.view.pods.target.context if app.view.pods else app.view.cluster.context

    def preview(width: int) -> list[Content]:
        where = line(("Context  ", DIM), (context, STRONG))
        return sections([*wrapped(line(words), width), where], command_preview([command], width))

    return await asked(app, Question(title, preview, verb, typed=typed_name(app.view, context))) is not None


async def pod_delete(app: MlconsoleApp) -> None:
    """Ask, then delete the pod."""
    from mlconsole.services.kubernetes import actions

    pod = app.selected_pod
    if pod is None:
        return
    words = f"{pod.owner} makes another in its place." if pod.owner else "Nobody makes another in its place."
    command = f"{kubectl(app.view)} delete pod {pod.name}"
    if await _confirmed(app, f"Delete pod {pod.name}?", words, command, "Delete it"):
        await _with_cluster(app, lambda connection: actions.delete_pod(connection, pod.namespace, pod.name))
        app.note_command(command)
        app.say(f"pod/{pod.name} is being deleted.")


async def _workload(app: MlconsoleApp) -> WorkloadRef | None:
    """The workload of the selected pod; where there is no pod, as after scaling to 0, that of the release."""
    from mlconsole.services.kubernetes.describe import workload_of

    pod = app.selected_pod
    if pod is None:
        return workload_of_plan(app.view)
    found = await _with_cluster(app, lambda connection: workload_of(connection, pod.namespace, pod.name))
    if found is None:
        raise WrongUse(f"Pod {pod.name} belongs to no workload.", "Only pods of a workload can be scaled.")
    return found


async def pod_restart(app: MlconsoleApp) -> None:
    """Ask, then replace all pods of the selected pod's workload."""
    from mlconsole.services.kubernetes import actions

    workload = await _workload(app)
    if workload is None:
        return
    name = f"{workload.kind.lower()}/{workload.name}"
    command = f"{kubectl(app.view)} rollout restart {name}"
    words = "Its pods are replaced one after another, with the same model."
    if await _confirmed(app, f"Restart {name}?", words, command, "Restart it"):
        await _with_cluster(app, lambda connection: actions.restart(connection, workload))
        app.note_command(command)
        app.say(f"{name} is being restarted.")


async def pod_scale(app: MlconsoleApp) -> None:
    """Ask for a number, show what it comes to, ask again, then scale the workload."""
    from mlconsole.services.kubernetes import actions

    workload = await _workload(app)
    if workload is None:
        return
    name = f"{workload.kind.lower()}/{workload.name}"
    has = await _with_cluster(app, lambda connection: actions.replicas_of(connection, workload))
    words = f"It is to have {count(has, 'pod')} now."

    def preview(width: int) -> list[Content]:
        return wrapped(line(words), width)

    prompt = "How many pods? A number, or +1, or -1:"
    answer = await asked(
        app, Question(f"Scale {name}", preview, "Go on", wants_reason=True, prompt=prompt, changes=False)
    )
    if answer is None:
        return
    wanted = wanted_pods(answer.reason, has)
    command = f"{kubectl(app.view)} scale {name} --replicas={wanted}"
    words = f"{has} → {count(wanted, 'pod')}. A release whose manifest says another number asks which one counts."
    if await _confirmed(app, f"Scale {name} to {wanted}?", words, command, "Scale it"):
        await _with_cluster(app, lambda connection: actions.scale(connection, workload, wanted))
        app.note_command(command)
        app.say(f"{name} gets {count(wanted, 'pod')}.")


def wanted_pods(text: str, has: int) -> int:
    """Read a number of pods, or a step from the present number such as `+1`.

    Raises:
        WrongUse: it is neither, or comes to less than none.
    """
    text = text.replace(" ", "")
    if not NUMBER.fullmatch(text):
        raise WrongUse(f"{text!r} is no number of pods.", "Give a number, +1 or -1.")
    wanted = has + int(text) if text[0] in "+-" else int(text)
    if not 0 <= wanted <= MOST_PODS:
        raise WrongUse(f"{wanted:,} pods can't be.", f"From 0 to {MOST_PODS:,}; there are to be {has} now.")
    return wanted


async def pod_forward(app: MlconsoleApp) -> None:
    """Ask, then open a port that leads to the pod; or close the one that is open."""
    panel, pod = panel_of(app), app.selected_pod
    if panel is None or pod is None:
        return
    if (open_already := panel.forwards.pop(pod.uid, None)) is not None:
        await aside(app, open_already.stop)
        panel.show_state()
        app.say(f"The port to pod/{pod.name} is closed.")
        return
    from mlconsole.services.kubernetes.forward import PortForward

    def failed(problem: Problem) -> None:
        app.post_message(Faulted("port-forward", problem))

    port = await _with_cluster(app, partial(_port, namespace=pod.namespace, name=pod.name))
    command = f"{kubectl(app.view)} port-forward pod/{pod.name} :{port}"
    words = (
        f"A free port of this machine, open to this machine only, leads to port {port} of the pod until it is closed."
    )
    question = Question(
        f"Forward a port to {pod.name}?",
        lambda width: sections(wrapped(line(words), width), command_preview([command], width)),
        "Open it",
    )
    if await asked(app, question) is None:
        return

    def work() -> PortForward:
        forward = PortForward(app.connect(), pod.namespace, pod.name, port, on_problem=failed)
        forward.start()
        return forward

    forward = panel.forwards[pod.uid] = await aside(app, work)
    panel.show_state()
    app.note_command(f"{kubectl(app.view)} port-forward pod/{pod.name} {forward.local_port}:{forward.port}")
    app.say(f"http://127.0.0.1:{forward.local_port} leads to port {forward.port} of pod/{pod.name}.")


def _port(connection: Connection, namespace: str, name: str) -> int:
    from mlconsole.services.kubernetes.forward import first_port

    return first_port(connection, namespace, name)
