"""TLS to a cluster: whom to trust, what to show of ourselves, and in words what went wrong.

Keys that are given as data are in a file for no longer than it takes to load them.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlconsole.services.kubernetes.problems import NoCluster
from mlconsole.text import clean_line

_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_ROOT, _NO_ISSUER, _NO_FIRST = 10, 9, 18, 19, 20, 21
_WRONG_NAME, _WRONG_ADDRESS = 62, 64
_VERIFICATION = {
    _EXPIRED: "it has expired",
    _NOT_YET: "it is not valid yet; this machine's clock may be wrong",
    _SELF_SIGNED: "it is self-signed, and certificate-authority does not have it",
    _SELF_SIGNED_ROOT: "it is signed by an authority that certificate-authority does not have",
    _NO_ISSUER: "it is signed by an authority that certificate-authority does not have",
    _NO_FIRST: "it is signed by an authority that certificate-authority does not have",
}
"""By OpenSSL's X509_V_ERR numbers (x509_vfy.h)."""


def pem_of(body: Mapping[str, Any], key: str) -> str:
    """Return the PEM text of `key` in a kubeconfig's cluster or user: its `-data` form, else its file; empty if none.

    Raises:
        NoCluster: it can't be read, or is no PEM.
    """
    data, path = body.get(f"{key}-data"), body.get(key)
    if not data and not path:
        return ""
    where = f"{key}-data" if data else f"{key} ({path})"
    try:
        raw = base64.b64decode(str(data), validate=False) if data else Path(str(path)).read_bytes()
        text = raw.decode("ascii", "replace")
    except binascii.Error as error:
        raise NoCluster(f"{where} of the kubeconfig is not valid base64.", "Correct it in the kubeconfig.") from error
    except OSError as error:
        raise NoCluster(
            f"{where} of the kubeconfig can't be read: {error.strerror}.", "Correct the path, or bring the file there."
        ) from error
    if "-----BEGIN " not in text:
        raise NoCluster(f"{where} of the kubeconfig holds no PEM text.", "Correct it in the kubeconfig.")
    return text


def trust(body: Mapping[str, Any], key: str = "certificate-authority") -> ssl.SSLContext:
    """Return a TLS context that trusts the authority of a kubeconfig's section, the system's where it names none.

    Raises:
        NoCluster: the authority can't be read.
    """
    authority = pem_of(body, key)
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise NoCluster(f"{key} of the kubeconfig holds no certificate.", "Correct it in the kubeconfig.") from error
    # kubectl takes authorities of older clusters, which lack what RFC 5280 asks for; newer Pythons would not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def context_for(cluster: Mapping[str, Any], certificate: str, key: str) -> ssl.SSLContext:
    """Return the TLS context for a cluster of a kubeconfig.

    Args:
        cluster: its section.
        certificate: what we show to it (PEM); empty where nothing.
        key: that certificate's.

    Raises:
        NoCluster: something of it can't be read, or certificate and key don't fit.
    """
    if cluster.get("insecure-skip-tls-verify"):
        if cluster.get("certificate-authority") or cluster.get("certificate-authority-data"):
            raise NoCluster(
                "The kubeconfig has both certificate-authority and insecure-skip-tls-verify for the cluster.",
                "Take insecure-skip-tls-verify out.",
            )
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = trust(cluster)
    if certificate:
        try:
            with _as_file(certificate + "\n" + key) as path:
                context.load_cert_chain(path, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise NoCluster(
                "client-certificate and client-key of the kubeconfig can't be used: "
                + ("they do not belong together." if "MISMATCH" in str(error) else "one of them is damaged or locked."),
                "Fetch the kubeconfig anew.",
            ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    handle, path = tempfile.mkstemp(prefix="mlconsole-", suffix=".pem")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
        yield path
    finally:
        Path(path).unlink(missing_ok=True)


def verification_sentence(error: BaseException) -> str:
    """Say in words why a server's certificate is not trusted, or TLS failed: without a full stop."""
    found = _cause(error)
    if not isinstance(found, ssl.SSLCertVerificationError):
        return _alert(str(found or error))
    if found.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        name = clean_line(found.verify_message).partition("'")[2].partition("'")[0]
        return f"it is not for {name or 'this address'}"
    return _VERIFICATION.get(found.verify_code, clean_line(found.verify_message))


def is_verification(error: BaseException) -> bool:
    """Whether the server's certificate was not trusted; else TLS failed in another way."""
    return isinstance(_cause(error), ssl.SSLCertVerificationError)


def has_expired(certificate: str) -> datetime | None:
    """Return when a certificate (PEM) expired; None where it has not, or can't be read."""
    from cryptography import x509

    try:
        until = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError:
        return None
    return until if until < datetime.now(UTC) else None


def shut_down(sock: socket.socket) -> None:
    """Shut a socket down, from any thread; whoever waits on it goes on at once.

    An SSLSocket's own `shutdown` would first forget its TLS, and hand the reader what is still encrypted.
    """
    with contextlib.suppress(OSError, ValueError):
        # It is closed already.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _cause(error: BaseException) -> BaseException | None:
    """The error of `ssl` itself, somewhere among what wraps it."""
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None or isinstance(seen, ssl.SSLError):
            return seen
        inner = next((part for part in seen.args if isinstance(part, BaseException)), None)
        seen = inner or getattr(seen, "reason", None) or seen.__cause__ or seen.__context__
        if not isinstance(seen, BaseException):
            return None
    return None


def _alert(text: str) -> str:
    lower = text.lower().replace("_", " ")
    if "wrong version number" in lower or "http request" in lower or "record layer failure" in lower:
        return "what answers there does not speak TLS"
    for words, sentence in (
        ("certificate required", "the cluster asks for a client certificate, and the kubeconfig has none"),
        ("certificate expired", "our client certificate has expired"),
        ("unknown ca", "the cluster does not know the authority of our client certificate"),
        ("bad certificate", "the cluster does not accept our client certificate"),
        ("certificate unknown", "the cluster does not accept our client certificate"),
        ("unrecognized name", "the server does not know the name that it was asked by (tls-server-name)"),
        ("eof occurred", "the server closed the connection; perhaps it asks for a client certificate"),
        ("protocol version", "it speaks too old a version of TLS"),
    ):
        if words in lower:
            return sentence
    return clean_line(text)
