"""Every row that kubectl prints during an update, in each of the newest versions installed, is a row of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from mlconsole.evidence.cluster import PodRow
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.objects import Pod, WatchEvent
from mlconsole.services.kubernetes.rows import pod_row
from mlconsole.services.kubernetes.watch import PodWatcher
from tests.end_to_end.conftest import DEPLOYMENT, Workbench
from tests.localcluster.kubectls import installed
from tests.waiting import until

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not installed(), reason="kubectl is not installed"),
]

SELECTOR = "app=tiny"
PODS = "/api/v1/namespaces/default/pods"
Row = tuple[str, str, str]
"""READY, STATUS, and RESTARTS without how long ago the last was."""


class History:
    """The rows of each pod in the order in which they were seen, the same again left out."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, list[Row]] = defaultdict(list)

    def add(self, name: str, row: Row) -> None:
        if self.rows[name][-1:] != [row]:
            self.rows[name].append(row)


def cells(row: PodRow) -> Row:
    return row.ready, row.status, row.restarts.split()[0]


@contextmanager
def printed(binary: Path, kubeconfig: str) -> Iterator[History]:
    """What `kubectl get pods -w` prints meanwhile."""
    command = [str(binary), "--kubeconfig", kubeconfig, "get", "pods", "-l", SELECTOR, "-w", "--no-headers"]
    history = History()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                name, ready, status, restarts = line.split()[:4]
                history.add(name, (ready, status, restarts))

        reader = threading.Thread(target=read)
        reader.start()
        yield history
        process.terminate()
        reader.join()


@contextmanager
def ours(connection: Connection) -> Iterator[History]:
    """Our row of each event that the cluster sends meanwhile."""
    history = History()
    stream = connection.stream(PODS, {"labelSelector": SELECTOR, "watch": "true"})

    def read() -> None:
        for line in stream:
            event = msgspec.json.decode(line, type=WatchEvent)
            row = pod_row(msgspec.json.decode(event.object, type=Pod), datetime.now(UTC))
            history.add(row.name, cells(row))

    reader = threading.Thread(target=read)
    reader.start()
    yield history
    stream.stop()
    reader.join()


def test_the_newest_five_versions_print_our_rows_through_an_update(bench: Workbench) -> None:
    bench.write("model.json", '{"mean": 1}')
    assert bench.type("cluster", "start").returncode == 0
    apply(bench, "v1")
    connection = Connection.open(kubeconfig=Path(bench.kubeconfig))
    shown = History()
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=Path(bench.kubeconfig)), SELECTOR, lambda: note())

    def note() -> None:
        for row in watcher.snapshot().rows:
            shown.add(row.name, cells(row))

    with ExitStack() as stack:
        mine = stack.enter_context(ours(connection))
        theirs = [stack.enter_context(printed(binary, bench.kubeconfig)) for binary in installed()[-5:]]
        watcher.start()
        stack.callback(watcher.stop)
        until(lambda: all(len(history.rows) == 2 for history in (mine, shown, *theirs)))
        before = set(mine.rows)
        apply(bench, "v2")
        until(lambda: not before & {row.name for row in watcher.snapshot().rows})
        until(lambda: all(history.rows == mine.rows for history in theirs))
        final = {row.name: cells(row) for row in watcher.snapshot().rows}
    connection.close()
    assert len(mine.rows) == 4 and any(row[1] == "Terminating" for rows in mine.rows.values() for row in rows)
    for name, rows in shown.rows.items():
        assert [row for row in mine.rows[name] if row in rows] == rows, (
            "a row of the watcher that kubectl never printed"
        )
    assert final == {name: mine.rows[name][-1] for name in mine.rows.keys() - before}
    told = [json.loads(line) for line in bench.type("pods", "--json").stdout.splitlines()]
    assert {row["name"]: (row["ready"], row["status"], row["restarts"].split()[0]) for row in told} == final


def apply(bench: Workbench, version: str) -> None:
    manifest = DEPLOYMENT.replace("[python,", f"[{sys.executable},").replace("value: v0", f"value: {version}")
    command = [str(installed()[-1]), "--kubeconfig", bench.kubeconfig]
    done = subprocess.run([*command, "apply", "-f", "-"], input=manifest, text=True, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    words = ["rollout", "status", "deployment/tiny", "--timeout=40s"]
    assert subprocess.run([*command, *words], capture_output=True, timeout=60).returncode == 0
