"""`mlconsole logs`: what pods and their containers write, without a screen."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mlconsole.errors import WrongUse
from mlconsole.headless.output import narrate, say
from mlconsole.project import Project
from mlconsole.services.kubernetes.containers import ALL

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.containers import PodContainer
    from mlconsole.services.kubernetes.merged_logs import LogLine


def show_logs(project: Project, pod: str, *, follow: bool, lines: int, container: str = "") -> None:
    """Print the last lines of a pod's log, or of every pod's in order of time; go on as lines come if asked.

    Args:
        project: names the cluster, and the pods by their labels.
        pod: its name; empty for all.
        follow: go on until the log has ended, or the person ends it.
        lines: how many from the end of each container's log.
        container: the pods' default ones where empty; or ALL, or those of this name.

    Raises:
        WrongUse: there is no such container.
        Problem: a log can't be had.
    """
    from mlconsole.services.kubernetes.containers import containers_of, containers_of_all
    from mlconsole.stages.target import connect, selector_of

    with closing(connect(project)) as connection:
        if pod:
            found = containers_of(connection, connection.namespace, pod)
            _check(f"Pod {pod}", found, container)
            _show_pod(project, connection, pod, found, follow=follow, lines=lines, container=container)
            return
        selector = selector_of(project)
        if container and container != ALL:
            _check(f"Of the pods with {selector}, each", containers_of_all(connection, selector), container)
        if not follow:
            _show_all(connection, selector, lines, container)
    if follow:
        _follow_all(project, lines, container)


def _check(whose: str, found: Sequence[PodContainer], container: str) -> None:
    """The cluster says the same of a container that has not run yet and of one that is not there."""
    names = [one.name for one in found]
    if container and container != ALL and names and container not in names:
        raise WrongUse(f"{whose} has no container {container}.", f"There are: {', '.join(names)}.")


def _show_pod(
    project: Project,
    connection: Connection,
    pod: str,
    found: Sequence[PodContainer],
    *,
    follow: bool,
    lines: int,
    container: str,
) -> None:
    from mlconsole.services.kubernetes import logs
    from mlconsole.services.kubernetes.merged_logs import follow_containers, tail_all
    from mlconsole.stages.target import connect

    place, cancelled = connection.namespace, threading.Event()
    if container == ALL and follow:
        names = [one.name for one in found]
        follow_containers(lambda: connect(project), place, pod, names, _say, tail_lines=lines, cancelled=cancelled)
    elif container == ALL:
        told = tail_all(connection, [pod], lines, container=ALL)
        _say([line._replace(pod=line.pod.rpartition("/")[2]) for line in told])
    else:
        name = container or next((one.name for one in found if one.is_default), "")
        if follow:
            logs.follow(connection, place, pod, container=name, tail_lines=lines, on_line=say, cancelled=cancelled)
        else:
            for text in logs.tail(connection, place, pod, container=name, lines=lines):
                say(text)


def _show_all(connection: Connection, selector: str, lines: int, container: str) -> None:
    from mlconsole.services.kubernetes.merged_logs import pods_of, tail_all

    pods = pods_of(connection, selector)
    if not pods:
        narrate(f"No pods match {selector} in namespace {connection.namespace}.")
    _say(tail_all(connection, pods, lines, container=container))


def _say(found: Sequence[LogLine]) -> None:
    for line in found:
        say(f"{line.pod} | {line.text}") if line.pod else narrate(line.text)


def _follow_all(project: Project, lines: int, container: str) -> None:
    """Print the logs of all pods that serve, also of those that come later, until the person ends it."""
    from mlconsole.services.kubernetes.merged_logs import MergedLogs
    from mlconsole.stages.target import connect, selector_of

    gone = threading.Event()

    def show(found: Sequence[LogLine]) -> None:
        try:
            _say(found)
        except BrokenPipeError:
            # whoever read our output has left
            gone.set()

    merged = MergedLogs(lambda: connect(project), selector_of(project), show, tail=lines, container=container)
    merged.start()
    try:
        while not gone.wait(1):
            continue
    finally:
        merged.stop()
