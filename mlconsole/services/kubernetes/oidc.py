"""The kubeconfig's auth provider `oidc`: an id-token, renewed at its issuer, and stored as kubectl does it.

Protocols: OpenID Connect Discovery 1.0, and RFC 6749, section 6 (refreshing an access token).
"""

from __future__ import annotations

import base64
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml

from mlconsole.services.kubernetes.kubeconfig import Entry
from mlconsole.services.kubernetes.problems import Unauthorized
from mlconsole.services.kubernetes.proxies import proxy_for
from mlconsole.services.kubernetes.tls import trust, verification_sentence
from mlconsole.text import clean_line

ISSUER_SECONDS = 10.0
LOCK_SECONDS = 2.0
TOKENS = ("id-token", "refresh-token")
LEEWAY = timedelta(seconds=10)
LOG_IN = "Log in again as your cluster asks for, so that the kubeconfig has a new id-token."

RIVAL_SECONDS = 1.0
"""Who renewed a token at the same moment has stored it by then."""
_UNREADABLE = (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, StopIteration)

Settings = dict[str, Any]
T = TypeVar("T")


class _Claims(msgspec.Struct):
    exp: float = 0


class _Discovery(msgspec.Struct):
    token_endpoint: str = ""


class _Tokens(msgspec.Struct):
    id_token: str = ""
    refresh_token: str = ""
    error: str = ""
    error_description: str = ""


class _NotRenewed(Unauthorized):
    """The issuer takes the refresh token no more."""


def expiry_of(token: str) -> datetime | None:
    """Return until when a JSON web token is valid; None where it does not say so, or is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(body, type=_Claims)
        return datetime.fromtimestamp(claims.exp, UTC) if claims.exp else None
    except (ValueError, msgspec.MsgspecError, OverflowError, OSError):
        return None


def id_token(entry: Entry, *, refused: bool = False) -> tuple[str, datetime | None]:
    """Return a context's id-token and until when it is valid; renews it where it has expired.

    What is new is also set in the entry, and in the file that it is from: an issuer may take a refresh token once only.
    For the same reason what another process has renewed since is taken from there.

    Args:
        entry: the context.
        refused: the cluster does not take the present one.

    Raises:
        Unauthorized: there is none, and none can be had.
    """
    settings: Settings = entry.user["auth-provider"].get("config") or {}
    token = str(settings.get("id-token") or "")
    if token and not refused and _is_valid(token):
        return token, expiry_of(token)
    renewed = _stored(entry, settings)
    if not _is_new(renewed, token):
        try:
            renewed = _renewed(entry, renewed)
            _store(entry, renewed)
        except _NotRenewed:
            # who asked at the same moment was first
            renewed = _stored_soon(entry, settings)
            if not _is_new(renewed, token):
                raise
    entry.user["auth-provider"]["config"] = renewed
    return renewed["id-token"], expiry_of(renewed["id-token"])


def _is_valid(token: str) -> bool:
    expires_at = expiry_of(token)
    return expires_at is None or expires_at - LEEWAY > datetime.now(UTC)


def _is_new(settings: Settings, token: str) -> bool:
    found = str(settings.get("id-token") or "")
    return bool(found) and found != token and _is_valid(found)


def _stored(entry: Entry, settings: Settings) -> Settings:
    """These settings with the tokens that the kubeconfig has by now: another process may have renewed them."""
    if entry.user_file is None:
        return settings
    try:
        stored = _settings_in(yaml.safe_load(entry.user_file.read_text("utf-8")), entry)
        return {**settings, **{name: stored[name] for name in TOKENS if stored.get(name)}}
    except _UNREADABLE:
        return settings


def _stored_soon(entry: Entry, settings: Settings) -> Settings:
    """The same, once the kubeconfig has another token than these settings, or a moment later."""
    until = time.monotonic() + RIVAL_SECONDS
    while (found := _stored(entry, settings)).get("id-token") == settings.get("id-token"):
        if time.monotonic() >= until:
            break
        time.sleep(0.05)
    return found


def _renewed(entry: Entry, settings: Settings) -> Settings:
    token = str(settings.get("id-token") or "")
    expires_at = expiry_of(token)
    why = f"has expired (at {expires_at:%Y-%m-%d %H:%M} UTC)" if token and expires_at else "is not accepted"
    why = why if token else "is missing"
    if not settings.get("refresh-token"):
        raise Unauthorized(
            f"The id-token of context {entry.context} {why}, and there is no refresh-token in the kubeconfig.", LOG_IN
        )
    found = _refresh(entry, settings, why)
    refresh_token = found.refresh_token or settings["refresh-token"]
    return {**settings, "id-token": found.id_token, "refresh-token": refresh_token}


def _refresh(entry: Entry, settings: Settings, why: str) -> _Tokens:
    issuer = str(settings.get("idp-issuer-url") or "").rstrip("/")
    client, secret = str(settings.get("client-id") or ""), str(settings.get("client-secret") or "")
    if not issuer or not client:
        raise Unauthorized(
            f"The id-token of context {entry.context} {why}, and the kubeconfig lacks idp-issuer-url or client-id.",
            LOG_IN,
        )
    start = f"The id-token of context {entry.context} {why}, and its issuer"
    data = _ask(start, settings, "GET", f"{issuer}/.well-known/openid-configuration")
    endpoint = _decode(data, _Discovery, f"{start} {issuer}").token_endpoint
    if not endpoint:
        raise Unauthorized(f"{start} {issuer} names no token endpoint.", LOG_IN)
    form = {"grant_type": "refresh_token", "refresh_token": str(settings["refresh-token"])}
    found = _decode(_ask(start, settings, "POST", endpoint, form, (client, secret)), _Tokens, f"{start} {issuer}")
    if found.error == "invalid_client" and secret:
        # Some want the client's secret in the form only.
        form |= {"client_id": client, "client_secret": secret}
        found = _decode(_ask(start, settings, "POST", endpoint, form), _Tokens, f"{start} {issuer}")
    if not found.id_token:
        said = clean_line(found.error_description or found.error) or "it gives none"
        raise _NotRenewed(f"{start} {issuer} does not renew it: {said}.", LOG_IN)
    return found


def _ask(
    start: str,
    settings: Settings,
    method: str,
    url: str,
    form: dict[str, str] | None = None,
    client: tuple[str, str] = ("", ""),
) -> bytes:
    """Ask the issuer; `form` is sent in the body, with the client's name in it where it has no secret."""
    import urllib3
    from urllib3.util import make_headers

    host = urlsplit(url).netloc
    if urlsplit(url).scheme != "https":
        raise Unauthorized(f"{start} has no https address ({url}).", "Correct idp-issuer-url in the kubeconfig.")
    context = trust(settings, "idp-certificate-authority")
    proxy = proxy_for(url)
    headers = make_headers(basic_auth=":".join(client)) if client[1] else {}
    fields = dict(form or {})
    if client[0] and not client[1]:
        fields["client_id"] = client[0]
    pool = urllib3.PoolManager(ssl_context=context)
    if proxy is not None and not proxy.is_socks:
        told = make_headers(proxy_basic_auth=f"{proxy.user}:{proxy.password}") if proxy.user else None
        pool = urllib3.ProxyManager(proxy.url, proxy_headers=told, ssl_context=context)
    body: Any = {"fields": fields, "encode_multipart": False} if form is not None else {}
    try:
        answer = pool.request(
            method, url, headers=headers, timeout=ISSUER_SECONDS, retries=False, redirect=False, **body
        )
    except urllib3.exceptions.SSLError as error:
        raise Unauthorized(
            f"{start} {host} is not trusted: {verification_sentence(error)}.",
            "Check idp-certificate-authority in the kubeconfig.",
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise Unauthorized(f"{start} {host} does not answer.", f"Check the network or VPN. {LOG_IN}") from error
    finally:
        pool.clear()
    if answer.status >= 500 or (method == "GET" and answer.status >= 300):
        raise Unauthorized(f"{start} {host} answers with HTTP status {answer.status}.", LOG_IN)
    return answer.data


def _decode(data: bytes, kind: type[T], start: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise Unauthorized(f"{start} answers what can't be understood.", LOG_IN) from error


def _store(entry: Entry, settings: Settings) -> None:
    """Set the new tokens in the kubeconfig, whole, under kubectl's lock; where it can't be, they count for us only."""
    if entry.user_file is None:
        return
    path = entry.user_file.resolve()
    lock = path.with_name(path.name + ".lock")
    if not _lock(lock):
        return
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        _settings_in(content, entry).update({name: settings[name] for name in TOKENS})
        _write(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except _UNREADABLE:
        return
    finally:
        lock.unlink(missing_ok=True)


def _settings_in(content: Any, entry: Entry) -> Settings:
    """The provider's settings in a kubeconfig; one of _UNREADABLE is raised where there are none."""
    found: Settings = next(
        user["user"]["auth-provider"]["config"] for user in content["users"] if user["name"] == entry.user_name
    )
    return found


def _lock(lock: Path) -> bool:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return True
        except FileExistsError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        except OSError:
            return False


def _write(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
