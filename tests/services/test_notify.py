"""People are told in a sentence, by webhook or terminal, and no secret goes along."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import now
from mlconsole.services.notify import (
    Notification,
    NotTold,
    address_of,
    body_of,
    post,
    terminal_text,
    without_secrets,
)


class Hook:
    """A webhook of this machine: what was posted, and what it answers."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, bytes]] = []
        self.status = 200
        self.waits_for: threading.Event | None = None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posted.append((self.path, body))
                if hook.waits_for is not None:
                    hook.waits_for.wait(60)
                self.send_response(hook.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/services/T0/B0/sEcReT"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def told(text: str) -> Notification:
    return Notification(id="n1", project="m", event="refused", text=text, at=now(), release=3, triggers=("may.csv",))


def test_a_notification_is_posted_as_json_or_as_slack_takes_it(hook: Hook) -> None:
    post(hook.address, body_of(told("release 3 was refused"), "json"), "n1")
    post(hook.address, body_of(told("a < b & c > d <!channel>"), "slack"), "n2")
    first, second = (json.loads(body) for _, body in hook.posted)
    assert (first["project"], first["event"], first["release"], first["triggers"]) == ("m", "refused", 3, ["may.csv"])
    assert first["text"] == "release 3 was refused"
    assert second == {"text": "a &lt; b &amp; c &gt; d &lt;!channel&gt;"}


def test_what_is_not_taken_is_told_without_the_address(hook: Hook) -> None:
    hook.status = 404
    with pytest.raises(NotTold, match="HTTP status 404") as refused:
        post(hook.address, b"{}", "n3")
    hook.status = 302
    with pytest.raises(NotTold, match="HTTP status 302"):
        post(hook.address, b"{}", "n3")
    hook.status = 500
    with pytest.raises(NotTold) as later:
        post(hook.address, b"{}", "n3")
    assert (refused.value.next_step, later.value.next_step) == ("Check its address.", "It is tried again.")
    with pytest.raises(NotTold) as gone:
        post("http://127.0.0.1:1/sEcReT", b"{}", "n3")
    for problem in (refused.value, gone.value):
        assert "sEcReT" not in str(problem)
        assert problem.__cause__ is None, "nothing behind it repeats the address either"


def test_a_webhook_behind_a_proxy_is_reached_by_it(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = hook.address.partition("/services")[0].replace("http://", "http://ada:pass%20word@")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    post("http://hooks.example.test/T0", b"{}", "n4")
    assert hook.posted == [("http://hooks.example.test/T0", b"{}")]
    post(hook.address, b"{}", "n5")
    assert hook.posted[-1][0] == "/services/T0/B0/sEcReT", "not by the proxy"
    monkeypatch.setenv("HTTP_PROXY", "gopher://ada:sEcReT@proxy.example.test")
    with pytest.raises(NotTold, match="The proxy of HTTP_PROXY can't be used") as wrong:
        post("http://hooks.example.test/T0", b"{}", "n7")
    assert "sEcReT" not in str(wrong.value)


def test_one_that_does_not_answer_may_have_taken_it(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr("mlconsole.services.notify.SECONDS", 0.2)
    hook.waits_for = answered
    with pytest.raises(NotTold, match="nobody knows whether it took the notification"):
        post(hook.address, b"{}", "n6")
    answered.set()


def test_the_address_comes_from_the_environment() -> None:
    assert address_of("", {}) == ""
    assert address_of("HOOK", {"HOOK": "https://example.com/x"}) == "https://example.com/x"
    with pytest.raises(WrongUse, match="HOOK is not set"):
        address_of("HOOK", {})
    with pytest.raises(WrongUse, match="holds no http address") as wrong:
        address_of("HOOK", {"HOOK": "sEcReT"})
    assert "sEcReT" not in str(wrong.value)


@pytest.mark.parametrize(
    "text",
    [
        "fetched https://ada:hunter22@example.com/m.git",
        "psql postgres://ada:hunter22@db/m failed",
        "401 for Authorization: Bearer hunter22",
        "GET /model?token=hunter22&x=1",
        "password: hunter22",
        "the value of an environment variable, hunter22, in a message",
    ],
)
def test_no_secret_is_told(text: str) -> None:
    shown = without_secrets(text, {"DB_PASSWORD": "hunter22", "HOME": "/home/ada"})
    assert "hunter22" not in shown
    assert "***" in shown


@given(st.text(min_size=6, max_size=40).filter(str.strip), st.text(max_size=60), st.text(max_size=60))
def test_the_value_of_a_secret_variable_never_gets_through(secret: str, before: str, after: str) -> None:
    from mlconsole.text import clean_line

    shown = without_secrets(f"{before}{clean_line(secret)}{after}", {"API_TOKEN": clean_line(secret)})
    assert len(clean_line(secret)) < 6 or clean_line(secret) not in shown or set(clean_line(secret)) <= {"*"}


def test_the_terminal_rings_or_shows_a_message_that_can_not_break_out_of_it() -> None:
    assert terminal_text("bell", "x") == "\x07"
    assert terminal_text("no", "x") == ""
    assert terminal_text("osc9", "done\x07\x1b]52;c;aGk=\x07 bad") == "\x1b]9;done bad\x07"
