"""Every pod is asked through the API server, and what it answers is held against what is expected."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mlconsole.errors import Cancelled
from mlconsole.services.kubernetes.smoke import SmokeTest, ask_all
from tests.services.kubernetes.fake_cluster import Reply, Request, serving

TEST = SmokeTest(path="/predict?x=1", method="POST", port="http", body=b'{"rows": []}', contains="v1")
UNREACHABLE = {"kind": "Status", "code": 503, "message": "error trying to reach service: dial tcp: refused"}
FORBIDDEN = {"kind": "Status", "code": 403, "message": 'User "a" cannot create resource "pods/proxy" in API group ""'}


@pytest.mark.parametrize(
    ("reply", "passed", "sentence"),
    [
        (Reply(body={"model_version": "v1"}), True, '{"model_version": "v1"}'),
        (Reply(body={"model_version": "v10"}), False, 'answered without \'v1\': {"model_version": "v10"}'),
        (Reply(body=b"no\x1b[31m version"), False, "answered without 'v1': no version"),
        (Reply(404, b"nothing v1 here"), False, "answered with status 404 instead of 200: nothing v1 here"),
        (Reply(503, UNREACHABLE), False, "does not answer behind the API server"),
        (Reply(403, FORBIDDEN), False, "a may not create pods/proxy"),
        (Reply(500, {"error": "v1"}), False, "answered with status 500 instead of 200"),
    ],
)
def test_an_answer_is_judged(tmp_path: Path, reply: Reply, passed: bool, sentence: str) -> None:
    with serving(lambda request: reply, tmp_path) as (cluster, connection):
        (answer,) = ask_all(connection, ["p"], TEST, cancelled=threading.Event())
        (request,) = cluster.requests
    assert (answer.pod, answer.passed, answer.status) == ("p", passed, reply.status)
    assert sentence in answer.sentence
    assert (request.method, request.path) == ("POST", "/api/v1/namespaces/lab/pods/p:http/proxy/predict")
    assert (request.query, request.body) == ({"x": "1"}, b'{"rows": []}')
    assert request.headers["Content-Type"] == "application/json"


def test_each_pod_answers_for_itself_and_one_that_is_silent_is_told(tmp_path: Path) -> None:
    hold = threading.Event()

    def respond(request: Request) -> Reply:
        if "/silent/" in request.path:
            hold.wait(60)
        return Reply(body=b"v1 of " + request.path.split("/")[-3].encode())

    test = SmokeTest(path="/x", contains="v1", seconds=1.2)
    with serving(respond, tmp_path) as (_, connection):
        answers = ask_all(connection, ["a", "silent", "b"], test, cancelled=threading.Event())
        hold.set()
    assert [(answer.pod, answer.passed, answer.status) for answer in answers] == [
        ("a", True, 200),
        ("silent", False, 0),
        ("b", True, 200),
    ]
    assert "gave no answer: Can't reach the cluster" in answers[1].sentence


def test_a_cancel_ends_it(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with serving(lambda request: Reply(), tmp_path) as (cluster, connection), pytest.raises(Cancelled):
        ask_all(connection, ["a", "b"], TEST, cancelled=cancelled)
    assert cluster.requests == []
