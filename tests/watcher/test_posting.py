"""A notification is not lost wherever the watcher is killed, and comes twice at one point only, with the same id."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.journal import Journal
from mlconsole.outbox import Outbox
from mlconsole.project import Project
from mlconsole.project.settings import NotifySettings
from mlconsole.services.notify import Notification, NotTold
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher import posting
from mlconsole.watcher.posting import Poster
from tests.waiting import until

WATCHER = """\
import os, signal, sys, time
from pathlib import Path
from mlconsole.journal import Journal
from mlconsole.outbox import Outbox
from mlconsole.project import open_project
from mlconsole.watcher.telling import Teller
root, point = Path(sys.argv[1]), sys.argv[2]

def killed_at(name, function):
    def called(*values, **more):
        if point == f"before {name}":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*values, **more)
        if point == f"after {name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called

def send(address, body, key):
    with (root / "received").open("ab") as file:
        file.write(body + b"\\n")
        file.flush()
        os.fsync(file.fileno())

for name in ("put", "begin", "remove"):
    setattr(Outbox, name, killed_at(name, getattr(Outbox, name)))
project = open_project(root)
journal = Journal(project.journal_path)
teller = Teller(project, journal, send=killed_at("send", send))
if point == "before tell":
    os.kill(os.getpid(), signal.SIGKILL)
teller.tell()
deadline = time.monotonic() + 30
while Outbox(journal).letters() and time.monotonic() < deadline:
    time.sleep(0.01)
teller.close()
"""


@pytest.fixture
def watched(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/hook")
    (project.root / "mlconsole.toml").write_text('name = "m"\n[notify]\nwebhook = "HOOK"\n')
    return project


def run(project: Project, point: str) -> int:
    command = [sys.executable, "-c", WATCHER, str(project.root), point]
    return subprocess.run(command, check=False, timeout=120).returncode


def received(project: Project) -> list[str]:
    """The ids of what was received, in order."""
    path = project.root / "received"
    return [json.loads(line)["id"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("before tell", 1),
        ("before put", 1),
        ("after put", 1),
        ("before begin", 1),
        ("after begin", 1),
        ("before send", 1),
        ("after send", 2),
        ("before remove", 2),
        ("after remove", 1),
    ],
)
def test_it_arrives_wherever_the_watcher_is_killed(watched: Project, journal: Journal, point: str, times: int) -> None:
    TriggerQueue(journal).put("data", "may", "may.csv", then="propose")
    assert run(watched, point) == -9
    assert run(watched, "") == 0
    ids = received(watched)
    assert (len(ids), len(set(ids))) == (times, 1), "a second one has the same id"
    assert run(watched, "") == 0
    assert received(watched) == ids
    assert Outbox(journal).letters() == ()


def test_it_is_posted_at_most_once_more(watched: Project, journal: Journal) -> None:
    TriggerQueue(journal).put("data", "may", "may.csv", then="propose")
    for _ in range(3):
        run(watched, "after send")
    assert run(watched, "") == 0
    assert len(received(watched)) == 2
    assert Outbox(journal).letters() == ()


def letter(text: str, **more: object) -> Notification:
    return msgspec.structs.replace(Notification(id=text, project="m", event="refused", text=text, at=now()), **more)


def test_what_a_webhook_does_not_take_waits_in_its_order_and_what_is_a_day_old_is_left_out(
    project: Project, journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/hook")
    monkeypatch.setattr(posting, "PAUSES", (0.0, 0.0))
    settings = msgspec.structs.replace(project.settings, notify=NotifySettings(webhook="HOOK"))
    outbox = Outbox(journal)
    said: list[str] = []
    posted: list[str] = []
    down = True

    def send(address: str, body: bytes, key: str) -> None:
        if down:
            raise NotTold("The webhook is gone.")
        posted.append(key)

    poster = Poster(replace(project, settings=settings), journal, say=said.append, send=send)
    outbox.put(letter("old", at=now() - timedelta(days=2)))
    outbox.put(letter("first"))
    outbox.put(letter("second"))
    poster.wake()
    until(lambda: "The webhook is gone." in said)
    assert [entry.notification.id for entry in outbox.letters()] == ["first", "second"]
    assert said[0].startswith("the webhook did not take it for a day")
    down = False
    poster.wake()
    until(lambda: len(posted) == 2)
    poster.close()
    assert posted == ["first", "second"]
    assert outbox.letters() == ()


def test_what_is_put_in_while_another_is_posted_is_posted_before_the_end(
    project: Project, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/hook")
    settings = msgspec.structs.replace(project.settings, notify=NotifySettings(webhook="HOOK"))
    outbox = Outbox(journal)
    posted: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def send(address: str, body: bytes, key: str) -> None:
        begun.set()
        go_on.wait(60)
        posted.append(key)

    poster = Poster(replace(project, settings=settings), journal, send=send)
    outbox.put(letter("first"))
    poster.wake()
    assert begun.wait(60)
    outbox.put(letter("second"))
    poster.wake()
    closing = threading.Thread(target=poster.close)
    closing.start()
    until(poster._ended.is_set)
    go_on.set()
    closing.join()
    assert posted == ["first", "second"]
    assert outbox.letters() == ()
