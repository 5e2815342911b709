"""The cluster without a screen: pods, logs, what a deploy would change, and the local cluster itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.errors import Exit, OutsideFailed
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import PodRow, PodsSnapshot
from mlconsole.headless.output import narrate, say, say_json
from mlconsole.headless.output import table_lines as lines_of
from mlconsole.present import Table
from mlconsole.project import Project
from mlconsole.text import clean

if TYPE_CHECKING:
    from mlconsole.localcluster.control import ClusterInfo

FIRST_LIST_SECONDS = 15.0
COLUMNS = ("name", "ready", "status", "restarts", "age", "version")


def start(project: Project) -> None:
    """Start the project's local cluster, where it does not run, and print its kubeconfig."""
    from mlconsole.services import local_cluster
    from mlconsole.stages.training_inputs import project_python

    info = local_cluster.start(project.root, project.cluster_state, project_python(project).executable)
    narrate(f"The local cluster runs at {info.url} (process {info.pid}). With kubectl:")
    say(f"export KUBECONFIG={info.kubeconfig}")


def stop(state: Path) -> None:
    """Stop the local cluster of a state folder, with all of its pods."""
    from mlconsole.services import local_cluster

    was_running = local_cluster.stop(state)
    narrate("The local cluster is stopped." if was_running else "The local cluster was not running.")


def status(state: Path, *, as_json: bool) -> int:
    """Tell whether the local cluster of a state folder runs; exit code 3 where it does not."""
    from mlconsole.services import local_cluster

    info = local_cluster.status(state)
    running = info is not None and info.running
    if as_json:
        say_json({"running": running, "url": info.url if info else "", "pid": info.pid if info else 0})
    elif info and running:
        say(_status_words(info))
    else:
        from mlconsole.stages.target import ClusterNotRunning

        say(str(ClusterNotRunning()))
    return Exit.DONE if running else Exit.OUTSIDE_FAILED


def _status_words(info: ClusterInfo) -> str:
    return f"running at {info.url} (process {info.pid}), kubeconfig {info.kubeconfig}"


def show_contexts(project: Project, *, as_json: bool) -> None:
    """Print the names of the contexts that a release can go to; a star stands before the one that it does go to."""
    from mlconsole.services.kubernetes import kubeconfig

    own = kubeconfig.contexts()
    local = ("local",) if project.cluster_state.is_dir() and "local" not in own.names else ()
    chosen = project.settings.deploy.context or own.current
    for name in (*own.names, *local):
        if as_json:
            say_json({"context": name, "chosen": name == chosen, "current": name == own.current})
        else:
            say(f"{'*' if name == chosen else ' '} {clean(name)}")
    if not own.names and not local:
        narrate("There is no context. Start a local cluster: mlconsole cluster start")


def show_pods(project: Project, selector: str, *, watch: bool, as_json: bool) -> None:
    """Print the pods as kubectl does, with the model version of each; with `watch`, go on with each change."""
    from mlconsole.services.kubernetes.watch import PodWatcher
    from mlconsole.stages.target import connect, selector_of

    selector = selector or selector_of(project)
    changed = threading.Event()
    connect(project).close()
    watcher = PodWatcher(lambda: connect(project), selector, changed.set, with_events=True)
    watcher.start()
    try:
        snapshot = _first(watcher, changed)
        shown = _print_rows(snapshot, {}, as_json=as_json)
        while watch:
            changed.wait(1)
            changed.clear()
            shown = _print_rows(watcher.snapshot(), shown, as_json=as_json)
    finally:
        watcher.stop()


def _first(watcher: object, changed: threading.Event) -> PodsSnapshot:
    """The first snapshot that is a full list, or what keeps it from coming as a problem."""
    from mlconsole.services.kubernetes.watch import PodWatcher

    assert isinstance(watcher, PodWatcher)
    deadline = now().timestamp() + FIRST_LIST_SECONDS
    while True:
        snapshot = watcher.snapshot()
        if snapshot.watch.state == "live":
            return snapshot
        if snapshot.watch.state in {"forbidden", "offline"} or now().timestamp() > deadline:
            raise OutsideFailed(snapshot.watch.sentence or "The cluster does not answer.")
        changed.wait(0.2)
        changed.clear()


def _print_rows(snapshot: PodsSnapshot, shown: dict[str, PodRow], *, as_json: bool) -> dict[str, PodRow]:
    """Print the rows that are not as they were shown; return what is shown now."""
    rows = {row.uid: row for row in snapshot.rows}
    fresh = [row for uid, row in rows.items() if shown.get(uid) != row]
    if as_json:
        for row in fresh:
            say_json(row)
    elif fresh:
        cells = tuple(_cells(row, snapshot) for row in fresh)
        lines = lines_of(Table("", COLUMNS, cells))
        for line in lines[1:] if shown else lines:
            say(line)
    elif not shown and not rows:
        narrate(f"No pods match {snapshot.target.selector} in namespace {snapshot.target.namespace}.")
    return rows


def _cells(row: PodRow, snapshot: PodsSnapshot) -> tuple[str, ...]:
    from mlconsole.services.kubernetes.rows import age

    return (row.name, row.ready, row.status, row.restarts, age(row.created_at, snapshot.at), row.version)


def show_diff(project: Project) -> int:
    """Print what a deploy of the candidate would change; exit code 1 where it would change anything, as diff does.

    That each release notes its own number, and who began it, is no change.
    """
    from mlconsole.headless.reports import journal_of
    from mlconsole.release.preview import plan_candidate
    from mlconsole.services.kubernetes.differences import is_only_notes

    with journal_of(project) as journal:
        plan = plan_candidate(project, journal)
    changes = [change for change in plan.changes if change.action != "none" and not is_only_notes(change.diff)]
    for change in plan.changes:
        narrate(f"{change.action if change in changes else 'none'} {change.kind} {change.name}")
        if change in changes and change.diff:
            say(change.diff.rstrip("\n"))
    return Exit.REFUSED if changes else Exit.DONE
