"""A new version that turns bad after it became ready is brought back by itself, on real pods."""

from __future__ import annotations

import http.client
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlconsole import monitor_client
from mlconsole.evidence.cluster import PodsEvidence
from mlconsole.evidence.monitoring import MonitorActed
from mlconsole.evidence.release import Release
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from tests.waiting import until

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end
SETTINGS = """\
[deploy]
context = "local"
settle = "1s"
[monitor]
every = "1s"
window = "5s"
[[monitor.rules]]
metric = "errors"
above = 0.1
least = 5
hold = "2s"
then = "roll back"
[[monitor.rules]]
metric = "latency"
above = 0.5
times = 2
least = 5
hold = "2s"
then = "roll back"
[[watch]]
kind = "monitor"
"""
SERVE = """\
import os, signal, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from monitor_client import Histogram, Monitor
monitor, latency, codes = Monitor.from_environment(), Histogram([0.05, 0.1, 0.2, 0.5, 1, 2, 5]), {200: 0, 500: 0}
version = os.environ["MODEL_VERSION"]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        began, code, body = time.monotonic(), 200, version
        if self.path == "/predict":
            monitor.count({"x": 5}, 1.0)
            if monitor.rows > 20:
                time.sleep({"v3": 1.5}.get(version, 0))
                code = {"v2": 500}.get(version, 200)
            latency.add(time.monotonic() - began)
            codes[code] += 1
        elif self.path == "/metrics":
            lines = ["# TYPE http_requests counter"]
            lines += [f'http_requests_total{{path="/predict",code="{code}"}} {count}' for code, count in codes.items()]
            lines += ["# TYPE http_request_duration_seconds histogram"]
            lines += [*latency.lines("http_request_duration_seconds"), *monitor.lines(), "# EOF", ""]
            body = "\\n".join(lines)
        self.send_response(code)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *words):
        pass
server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""


@contextmanager
def load(url: str) -> Iterator[None]:
    """Ask all the time, until the end."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            try:
                urllib.request.urlopen(f"{url}/predict", timeout=5).read()
            except (urllib.error.URLError, OSError, http.client.HTTPException):
                continue

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def last_act(journal: Journal) -> MonitorActed | None:
    state = MonitorLog(journal).state()
    return state.acts[-1] if state and state.acts else None


def new_data(bench: Workbench, slope: int) -> None:
    with (bench.root / "data/training.csv").open("a") as data:
        data.writelines(f"{number},{number * slope}\n" for number in range(30))


def served(journal: Journal, release: int) -> PodsEvidence:
    pods = next(run.evidence for run in journal.stage_runs(release) if run.stage == "pods")
    assert isinstance(pods, PodsEvidence)
    return pods


def brought_back(journal: Journal, bad: str) -> Release:
    """The rollback that followed a bad version, once it is done."""

    def is_done() -> bool:
        latest = journal.latest_release()
        return latest is not None and latest.kind == "rollback" and latest.state == "done" and bad in latest.reason

    until(is_done)
    found = journal.latest_release()
    assert found is not None
    return found


@pytest.mark.timeout(600)
def test_errors_and_slowness_after_it_became_ready_bring_the_version_before_back(bench: Workbench) -> None:
    bench.write("mlconsole.toml", SETTINGS)
    bench.write("serve.py", SERVE)
    bench.write("monitor_client.py", Path(monitor_client.__file__).read_text())
    text = (bench.root / "deployment.yaml").read_text().replace("path: /,", "path: /healthz,")
    bench.write("deployment.yaml", text.replace("value: v0}]", "value: v0}, {name: MODEL_REFERENCE, value: ''}]"))
    bench.type("cluster", "start")
    first = bench.type("run", "--approve")
    assert first.returncode == 0, first.stdout + first.stderr

    once = bench.type("monitor", "--once")
    assert "tiny@v1: 2 pods" in once.stdout, once.stdout + once.stderr
    watcher = bench.start("watch")
    with closing(Journal(bench.root / ".mlconsole/journal.db")) as journal:
        try:
            with load(served(journal, 1).services[0].url):
                for bad, words in (("tiny@v2", "of the requests failed"), ("tiny@v3", "quantile of the latency")):
                    new_data(bench, 3 if bad == "tiny@v2" else 5)
                    done = bench.type("run", "--approve")
                    assert done.returncode == 0, done.stdout + done.stderr
                    back = brought_back(journal, bad)
                    act = last_act(journal)
                    assert act is not None
                    assert (act.act, act.version) == ("roll back", bad)
                    assert words in back.reason
                    assert "tiny@v1:" in back.reason
                    assert back.finished_at is not None
                    assert (back.finished_at - act.at).total_seconds() < 30
                    # alias and manifests together
                    champion = journal.alias("tiny", "champion")
                    assert champion is not None
                    assert champion.label == "tiny@v1"
                    rows = served(journal, back.number).rows
                    assert {row.version for row in rows if row.is_ready} == {"tiny@v1"}
                    assert any(decision.kind == "monitor" for decision in journal.decisions(back.number - 1))
        finally:
            watcher.send_signal(signal.SIGTERM)
            said = watcher.communicate(timeout=90)[0]
            sys.stderr.write(said)  # of use where this test fails
    assert "roll back: tiny@v2" in said
