"""Commands that look at a cluster, and at what a deploy would change there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlconsole.cli.options import json_option, open_project_of, project_option, target_options

if TYPE_CHECKING:
    from mlconsole.project import Project


def _asked(directory: Path, context: str, namespace: str) -> Project:
    """The project, aimed at the cluster that is asked."""
    return open_project_of(directory).aimed_at(context, namespace)


@click.command()
@target_options()
@project_option
def diff(directory: Path, context: str, namespace: str) -> int:
    """Show what a deploy of the candidate would change in the cluster."""
    from mlconsole.headless.cluster import show_diff

    return show_diff(_asked(directory, context, namespace))


@click.command()
@project_option
@json_option
def contexts(directory: Path, as_json: bool) -> None:
    """List the kubeconfig contexts; a star is before the one that releases go to."""
    from mlconsole.headless.cluster import show_contexts

    show_contexts(open_project_of(directory), as_json=as_json)


@click.command()
@click.option("-l", "selector", default="", help="A label selector instead of the settings'.")
@click.option("-w", "watch", is_flag=True, help="Go on showing changes.")
@target_options()
@project_option
@json_option
def pods(selector: str, watch: bool, directory: Path, as_json: bool, context: str, namespace: str) -> None:
    """List the pods that serve, with the model version that each of them runs."""
    from mlconsole.headless.cluster import show_pods

    show_pods(_asked(directory, context, namespace), selector, watch=watch, as_json=as_json)


@click.command()
@click.argument("pod", default="")
@click.option("-f", "follow", is_flag=True, help="Go on as lines come.")
@click.option("-n", "lines", type=click.IntRange(min=0), default=20, help="How many lines from the end.")
@click.option("-c", "--container", default="", help="Of this container, instead of the pods' default one.")
@click.option("--all-containers", is_flag=True, help="Of all containers, those that come before the others included.")
@target_options(short=False)
@project_option
def logs(
    pod: str,
    follow: bool,
    lines: int,
    container: str,
    all_containers: bool,
    directory: Path,
    context: str,
    namespace: str,
) -> None:
    """Print the log of POD, or those of all pods that serve in order of time."""
    from mlconsole.headless.logs import show_logs
    from mlconsole.services.kubernetes.containers import ALL

    if container and all_containers:
        raise click.UsageError("--container and --all-containers don't go together.")
    project = _asked(directory, context, namespace)
    show_logs(project, pod, follow=follow, lines=lines, container=ALL if all_containers else container)


@click.command("port-forward")
@click.argument("pod", default="")
@click.argument("port", default="")
@target_options()
@project_option
def port_forward(pod: str, port: str, directory: Path, context: str, namespace: str) -> None:
    """Bring a PORT of POD to this machine: REMOTE, LOCAL:REMOTE or :REMOTE. Default: the first of a ready pod."""
    from mlconsole.headless.forward import forward_port

    forward_port(_asked(directory, context, namespace), pod, port)


@click.group()
def cluster() -> None:
    """The project's local cluster."""


@cluster.command("start")
@project_option
def start_cluster(directory: Path) -> None:
    """Start it, and print its kubeconfig."""
    from mlconsole.headless.cluster import start

    start(open_project_of(directory))


@cluster.command("stop")
@project_option
def stop_cluster(directory: Path) -> None:
    """Stop it, with all of its pods."""
    from mlconsole.headless.cluster import stop
    from mlconsole.project import cluster_state_of

    stop(cluster_state_of(directory))


@cluster.command("status")
@project_option
@json_option
def cluster_status(directory: Path, as_json: bool) -> int:
    """Tell whether it runs, and where."""
    from mlconsole.headless.cluster import status as show_status
    from mlconsole.project import cluster_state_of

    return show_status(cluster_state_of(directory), as_json=as_json)


COMMANDS = (diff, contexts, pods, logs, port_forward, cluster)
"""All of them, for the command line to add."""
