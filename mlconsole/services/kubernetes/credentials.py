"""What a context's user shows to the cluster, as kubectl has it: which of several counts, and until when.

Source: client-go, `tools/clientcmd/client_config.go` and `transport/`.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.kubeconfig import Entry
from mlconsole.services.kubernetes.oidc import id_token
from mlconsole.services.kubernetes.plugins import run_plugin
from mlconsole.services.kubernetes.problems import NoCluster, Unauthorized
from mlconsole.services.kubernetes.tls import pem_of

TOKEN_FILE_LIFE = timedelta(seconds=60)
"""A token in a file is replaced while we run: it is read again as often as kubectl reads it."""

GONE_PROVIDERS = {
    "gcp": "Install gke-gcloud-auth-plugin and run `gcloud container clusters get-credentials` again.",
    "azure": "Install kubelogin and run `az aks get-credentials` again.",
}
"""Auth providers that kubectl has no more since 1.26, and what takes their place."""


class Credential(Record, frozen=True, kw_only=True):
    """What is shown to the cluster.

    Attributes:
        authorization: the whole `Authorization` header; empty where none is sent.
        headers: the headers by which another user is impersonated.
        certificate: a client certificate (PEM); empty where none.
        key: that certificate's.
        renew_at: from when on it has to be had anew; None where it is taken as good for ever.
    """

    authorization: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    certificate: str = ""
    key: str = ""
    renew_at: datetime | None = None


def credential_of(entry: Entry, *, refused: bool = False) -> Credential:
    """Have a context's credential, by a plug-in or an issuer where it takes one.

    Args:
        entry: the context.
        refused: the cluster did not accept the one before.

    Raises:
        NoCluster: the user's section contradicts itself, or names files that can't be used.
        Unauthorized: the credential can't be had.
    """
    user = entry.user
    _refuse_contradictions(entry)
    certificate, key = pem_of(user, "client-certificate"), pem_of(user, "client-key")
    if bool(certificate) != bool(key):
        raise NoCluster(
            f"The user {entry.user_name} has {'a client-certificate' if certificate else 'a client-key'}, "
            f"but no {'client-key' if certificate else 'client-certificate'}.",
            "Correct it in the kubeconfig.",
        )
    authorization, renew_at = "", None
    if user.get("tokenFile") or user.get("token"):
        token, renew_at = _static_token(user)
        authorization = f"Bearer {token}"
    elif user.get("username") or user.get("password"):
        pair = f"{user.get('username') or ''}:{user.get('password') or ''}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    elif user.get("exec"):
        answer = run_plugin(entry)
        authorization = f"Bearer {answer.token}" if answer.token else ""
        certificate, key = answer.certificate or certificate, answer.key or key
        renew_at = answer.expires_at
    elif user.get("auth-provider"):
        token, renew_at = _provided(entry, refused)
        authorization = f"Bearer {token}"
    return Credential(
        authorization=authorization,
        headers=_impersonation(user),
        certificate=certificate,
        key=key,
        renew_at=renew_at,
    )


def _refuse_contradictions(entry: Entry) -> None:
    user = entry.user
    token = user.get("token") or user.get("tokenFile")
    for clash, what in (
        (user.get("exec") and user.get("auth-provider"), "both exec and auth-provider"),
        (token and (user.get("username") or user.get("password")), "both a token and a user name with password"),
    ):
        if clash:
            raise NoCluster(f"The user {entry.user_name} has {what}.", "Take one of them out of the kubeconfig.")


def _static_token(user: dict[str, Any]) -> tuple[str, datetime | None]:
    """The token of the file, which counts before the one beside it."""
    path = user.get("tokenFile")
    if not path:
        return _header_text(str(user["token"]).strip(), "The token of the kubeconfig"), None
    try:
        token = Path(str(path)).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        token = str(user.get("token") or "")
        if not token:
            raise Unauthorized(
                f"The token's file {path} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}.",
                "Correct tokenFile in the kubeconfig, or bring the file there.",
            ) from error
    if not token:
        raise Unauthorized(f"The token's file {path} is empty.", "See what has to write it.")
    return _header_text(token, f"The token in {path}"), datetime.now(UTC) + TOKEN_FILE_LIFE


def _header_text(token: str, what: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise Unauthorized(f"{what} has signs in it that no token has.", "Correct it.")
    return token


def _provided(entry: Entry, refused: bool) -> tuple[str, datetime | None]:
    provider = entry.user["auth-provider"]
    name = str(provider.get("name") or "") if isinstance(provider, dict) else ""
    if name == "oidc":
        return id_token(entry, refused=refused)
    raise Unauthorized(
        f"The user {entry.user_name} has the auth provider {name or '(none named)'}, which kubectl has no more.",
        GONE_PROVIDERS.get(name, "Log in by a credential plug-in (exec) or a token."),
    )


def _impersonation(user: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The headers by which kubectl acts as somebody else (`as`, `as-groups`, …)."""
    found = [("Impersonate-User", str(user["as"]))] if user.get("as") else []
    if user.get("as-uid"):
        found.append(("Impersonate-Uid", str(user["as-uid"])))
    found.extend(("Impersonate-Group", str(group)) for group in user.get("as-groups") or ())
    for name, values in (user.get("as-user-extra") or {}).items():
        found.extend((f"Impersonate-Extra-{name}", str(value)) for value in values)
    return tuple(found)
