"""Telling people who don't look: a webhook, and the terminal's own bell or message. No secret goes into either.

The webhook's address is a secret itself (whoever has it can post), so that the settings name the environment variable
that holds it, and no sentence repeats it.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.base import Record
from mlconsole.services.git.common import masked
from mlconsole.text import clean_line, shorten

if TYPE_CHECKING:
    import urllib3

NotificationKind = Literal["proposed", "waiting", "released", "refused", "failed", "monitor"]
LONGEST = 600
SECONDS = 10.0
_SECRET_NAME = re.compile(r"token|secret|passw|credential|api_?key|access_?key|private|webhook|dsn", re.IGNORECASE)
_SHORTEST_SECRET = 6
_SECRET_TEXT = re.compile(
    r"(?i)\b(bearer\s+)\S+"
    r"|((?:password|passwd|pwd|token|secret|api_?key|access_?key|sig|signature)\s*[=:]\s*)[^\s&,;]+"
    r"|\b(?:gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
)


class NotTold(OutsideFailed):
    """A webhook did not take a notification."""


class Notification(Record, frozen=True, kw_only=True):
    """What people are told: which project, what happened, in one sentence.

    One that may not have arrived is posted once more with the same `id`, so that whoever gets it can drop the second.
    """

    id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)
    project: str
    event: NotificationKind
    text: str
    at: datetime
    release: int | None = None
    version: str = ""
    triggers: tuple[str, ...] = ()


def without_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text on one line in which nothing stands that lets anybody in.

    Hidden are users and passwords in addresses, values behind words such as `token=`, tokens of a known form, and the
    values of environment variables whose name says that they are secret.
    """
    environment = os.environ if environment is None else environment
    text = masked(clean_line(text))
    values = {value for name, value in environment.items() if _SECRET_NAME.search(name)}
    for value in sorted((value for value in values if len(value) >= _SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(value, "***")
    text = _SECRET_TEXT.sub(lambda found: f"{found[1] or found[2] or ''}***", text)
    return shorten(text, LONGEST)


def body_of(notification: Notification, form: Literal["json", "slack"]) -> bytes:
    """What is posted: the notification as JSON, or a text as Slack and those that speak like it take it.

    Source: https://api.slack.com/messaging/webhooks, and its escaping of `&`, `<` and `>`.
    """
    shown = msgspec.structs.replace(
        notification,
        text=without_secrets(notification.text),
        triggers=tuple(without_secrets(words) for words in notification.triggers),
    )
    if form == "json":
        return msgspec.json.encode(shown)
    escaped = shown.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return msgspec.json.encode({"text": escaped})


def address_of(variable: str, environment: Mapping[str, str] | None = None) -> str:
    """The webhook's address, from the environment variable that the settings name; empty where they name none.

    Raises:
        WrongUse: the variable is not set, or holds no address.
    """
    if not variable:
        return ""
    address = (os.environ if environment is None else environment).get(variable, "")
    if not address:
        raise WrongUse(f"The environment variable {variable} is not set.", "notify.webhook names it: set it.")
    if not address.startswith(("http://", "https://")):
        raise WrongUse(f"The environment variable {variable} holds no http address.", "Correct it.")
    return address


def post(address: str, body: bytes, key: str) -> None:
    """Post a body to a webhook, by the environment's proxy where there is one.

    Args:
        address: of the webhook.
        body: what is posted.
        key: the notification's `id`, for receivers that drop what they got before.

    Raises:
        NotTold: it was not taken. The sentence does not repeat the address.
    """
    import urllib3

    from mlconsole.services.kubernetes.problems import NoCluster

    headers = {"Content-Type": "application/json", "User-Agent": "mlconsole", "Idempotency-Key": key}
    try:
        with _pool(address) as pool:
            status = pool.request("POST", address, body=body, headers=headers, redirect=False).status
    except urllib3.exceptions.ReadTimeoutError:
        sentence = f"The webhook did not answer within {SECONDS:.0f} s: nobody knows whether it took the notification."
        raise NotTold(sentence, "It is tried again.") from None
    except NoCluster as problem:
        raise NotTold(problem.sentence, problem.next_step) from None
    except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        sentence = f"The webhook can't be reached ({type(error).__name__})."
        raise NotTold(sentence, "It is tried again; else check its address.") from None
    if status >= 300:
        advice = "It is tried again." if status >= 500 or status == 429 else "Check its address."
        raise NotTold(f"The webhook did not take the notification: HTTP status {status}.", advice)


def _pool(address: str) -> urllib3.PoolManager:
    """Connections to a webhook, or to the proxy on the way there."""
    import urllib3

    from mlconsole.services.kubernetes.proxies import proxy_for

    timeout = urllib3.Timeout(SECONDS)
    proxy = proxy_for(address)
    if proxy is None:
        return urllib3.PoolManager(retries=False, timeout=timeout)
    user = f"{proxy.user}:{proxy.password}" if proxy.user else None
    headers = urllib3.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(proxy.url, proxy_headers=headers, retries=False, timeout=timeout)


def terminal_text(form: Literal["no", "bell", "osc9"], text: str) -> str:
    """What rings the terminal's bell, or has it show a message (OSC 9, of iTerm2, kitty, WezTerm, Windows Terminal)."""
    if form == "osc9":
        return f"\x1b]9;{without_secrets(text)}\x07"
    return "\x07" if form == "bell" else ""
