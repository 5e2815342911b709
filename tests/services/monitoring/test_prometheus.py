"""Counters out of a Prometheus server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from mlconsole.services.monitoring.prometheus import PrometheusFailed, read_prometheus


def series(name: str, value: float, **labels: str) -> dict[str, object]:
    return {"metric": {"__name__": name, "pod": "bikes-1", **labels}, "value": [1714521600, str(value)]}


class Answers(BaseHTTPRequestHandler):
    status, body = 200, b""
    asked: list[str] = []
    tokens: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(parse_qs(urlsplit(self.path).query)["query"][0])
        self.tokens.append(self.headers.get("Authorization", ""))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *words: object) -> None:
        return


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_pod_is_a_reading_with_its_version(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        series("model_info", 1, version="v3"),
        series("http_requests_total", 90, path="/predict", code="200"),
        series("http_requests_total", 10, path="/predict", code="500"),
        series("http_requests_total", 5, path="/predict", code="200", pod="bikes-2"),
    ]
    Answers.status, Answers.body = 200, json.dumps({"status": "success", "data": {"result": found}}).encode()
    monkeypatch.setenv("PROMETHEUS_TOKEN", "secret")
    one, two = read_prometheus(address, 'job="bikes"', "PROMETHEUS_TOKEN").read
    assert (one.source, one.version, one.counters.requests, one.counters.errors) == ("bikes-1", "v3", 100, 10)
    assert (two.source, two.counters.requests) == ("bikes-2", 5)
    assert Answers.asked[-1].endswith(',job="bikes"}')
    assert Answers.tokens[-1] == "Bearer secret"


def test_what_prometheus_says_no_to_is_told(address: str) -> None:
    Answers.status, Answers.body = 400, b'{"status":"error","error":"parse error"}'
    with pytest.raises(PrometheusFailed, match="says no: parse error"):
        read_prometheus(address, "{")
    Answers.status, Answers.body = 502, b"<html>"
    with pytest.raises(PrometheusFailed, match="does not answer"):
        read_prometheus(address, "")
    with pytest.raises(PrometheusFailed, match="does not answer"):
        read_prometheus("http://127.0.0.1:1", "")
