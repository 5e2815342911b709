"""The smoke test: one request to every ready pod, through the API server's proxy, so that no port need be open.

Protocol: https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/ (pods/proxy)
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.base import Record
from mlconsole.evidence.cluster import SmokeAnswer
from mlconsole.services.kubernetes.problems import problem_of, read_status
from mlconsole.services.kubernetes.resources import PODS
from mlconsole.text import clean_line, shorten

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

AT_ONCE = 8
LONGEST_ANSWER = 120


class SmokeTest(Record, frozen=True, kw_only=True):
    """What to ask a pod, and what to expect: the HTTP status and a text in the answer, within `seconds`."""

    path: str
    method: str = "GET"
    port: str = ""
    body: bytes = b""
    status: int = 200
    contains: str = ""
    seconds: float = 10


def ask_all(
    connection: Connection, pods: Sequence[str], test: SmokeTest, *, cancelled: threading.Event
) -> tuple[SmokeAnswer, ...]:
    """Ask each pod of the connection's namespace; their answers in the same order. What fails is an answer, too.

    Raises:
        Cancelled: it was set meanwhile.
    """
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="smoke") as pool:
        asked = [pool.submit(_unless, cancelled, connection, pod, test) for pod in pods]
        answers = tuple(future.result() for future in asked)
    if cancelled.is_set():
        raise Cancelled("The smoke test is given up.", "The pods go on in the cluster.")
    return answers


def _unless(cancelled: threading.Event, connection: Connection, pod: str, test: SmokeTest) -> SmokeAnswer:
    return SmokeAnswer(pod=pod, passed=False) if cancelled.is_set() else ask(connection, pod, test)


def ask(connection: Connection, pod: str, test: SmokeTest) -> SmokeAnswer:
    """Ask one pod. Never raises: that it could not be asked is told in its answer."""
    name = f"{pod}:{test.port}" if test.port else pod
    path = f"{PODS.path(connection.namespace)}/{quote(name, safe=':')}/proxy{test.path}"
    body = test.body or None
    began = time.monotonic()
    try:
        status, data = connection.exchange(
            test.method, path, body=body, content_type=_content_type(test.body), timeout=test.seconds
        )
    except Problem as problem:
        return SmokeAnswer(pod=pod, passed=False, sentence=f"gave no answer: {problem.sentence}", seconds=_since(began))
    answer = data.decode("utf-8", "replace")
    sentence = _refusal(connection, status, data, test.method, path) or _mismatch(status, answer, test)
    shown = shorten(clean_line(answer.strip().replace("\n", " ")), LONGEST_ANSWER)
    return SmokeAnswer(
        pod=pod,
        passed=not sentence,
        status=status,
        sentence=f"{sentence}: {shown}" if sentence and shown else sentence or shown,
        seconds=_since(began),
    )


def _refusal(connection: Connection, status: int, data: bytes, method: str, path: str) -> str:
    """What the API server itself says where it did not get through to the pod; empty where the pod answered."""
    said = read_status(data)
    if status < 400 or said.kind != "Status":
        return ""
    if status == 503:
        return "does not answer behind the API server"
    return problem_of(status, data, method=method, path=path, context=connection.context).sentence.rstrip(".")


def _mismatch(status: int, answer: str, test: SmokeTest) -> str:
    if status != test.status:
        return f"answered with status {status} instead of {test.status}"
    if not _holds(answer, test.contains):
        return f"answered without {test.contains!r}"
    return ""


def _holds(answer: str, wanted: str) -> bool:
    """Whether a text is in an answer as words of its own: `v1` is not in `v10`."""
    before = r"(?<!\w)" if wanted[:1].isalnum() else ""
    after = r"(?!\w)" if wanted[-1:].isalnum() else ""
    return re.search(before + re.escape(wanted) + after, answer) is not None


def _content_type(body: bytes) -> str:
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "text/plain; charset=utf-8"
    return "application/json"


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
