"""A log is followed through rotations of its file, and through connections that break, to its last line."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from mlconsole.localcluster import control
from mlconsole.services.kubernetes import logs
from mlconsole.services.kubernetes.connection import Connection

pytestmark = pytest.mark.end_to_end

LINES = 15_000
"""Of a kilobyte each: the file of a container is rotated at ten megabytes."""

CODE = (
    "import sys, time\n"
    f"for number in range({LINES}):\n"
    "    print(number, 'x' * 1000)\n"
    "    if number % 250 == 0:\n"
    "        sys.stdout.flush()\n"
    "        time.sleep(0.06)\n"
)


@pytest.mark.parametrize("breaks", [False, True], ids=["whole", "broken again and again"])
def test_no_line_is_lost_or_doubled(connection: Connection, local_cluster: control.ClusterInfo, breaks: bool) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "talker"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "talker", "image": "x", "command": ["python", "-c", CODE]}],
        },
    }
    path = f"/api/v1/namespaces/{connection.namespace}/pods"
    connection.request("POST", path, body=json.dumps(body).encode())
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        try:
            logs.follow(
                connection,
                connection.namespace,
                "talker",
                on_line=lambda line: seen.append(int(line.split(" ")[0])),
                cancelled=threading.Event(),
            )
        finally:
            done.set()

    thread = threading.Thread(target=follow)
    thread.start()
    before = 0
    while not done.wait(0.4):
        # only where it got on since: on a busy machine it would not come to its end at all
        if breaks and len(seen) > before and thread.ident is not None:
            before = len(seen)
            connection.interrupt(thread.ident)
    thread.join(60)
    assert seen == list(range(LINES))
    rotated = list(Path(local_cluster.state).glob("pods/*/talker/*/*.1"))
    assert rotated, "the log was rotated meanwhile"
