"""Runs credential plug-ins (`users[].user.exec`), without the terminal that we stand on.

The official client would let a plug-in draw on, and read from, our terminal, and goes on anonymously where it fails;
here a failure is told.

Protocol: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.kubeconfig import Entry
from mlconsole.services.kubernetes.problems import Unauthorized
from mlconsole.text import clean_line

PLUGIN_SECONDS = 60.0
READ_OUT_SECONDS = 1.0
API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
BY_HAND = "Log in as your cluster asks for: `kubectl get pods` in a shell does what is needed, and asks there."
_CLUSTER_KEYS = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
_EXTENSION = "client.authentication.k8s.io/exec"


class PluginAnswer(Record, frozen=True, kw_only=True):
    """What a plug-in gave: a token, or a certificate with its key (PEM), or both, and until when."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires_at: datetime | None = None


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: _Status | None = None


def run_plugin(entry: Entry) -> PluginAnswer:
    """Run a context's credential plug-in and return what it gave.

    Raises:
        Unauthorized: it is missing, wants a terminal, failed, took too long, or gave nothing usable.
    """
    spec: dict[str, Any] = entry.user["exec"] if isinstance(entry.user["exec"], dict) else {}
    command = _command(spec, entry)
    version = str(spec.get("apiVersion") or "")
    if version not in API_VERSIONS:
        raise Unauthorized(
            f"The credential plug-in {command} of context {entry.context} speaks {version or 'no version'}, "
            f"which no kubectl of today does.",
            f"Bring it up to date, and set apiVersion to {API_VERSIONS[0]} in the kubeconfig.",
        )
    if spec.get("interactiveMode") == "Always":
        raise Unauthorized(
            f"The credential plug-in {command} of context {entry.context} has to ask on a terminal "
            f"(interactiveMode: Always), and gets none here.",
            "Use a plug-in that keeps its log-in, or a service account's token.",
        )
    arguments = [command, *(str(argument) for argument in spec.get("args") or ())]
    return _read(_run(arguments, _environment(spec, entry), entry), command, version)


def _command(spec: dict[str, Any], entry: Entry) -> str:
    command = str(spec.get("command") or "")
    if os.sep in command and entry.user_file is not None:
        command = str((entry.user_file.parent / command).absolute())
    if shutil.which(command) is None:
        raise Unauthorized(
            f"The credential plug-in {command or '(none named)'} of context {entry.context} is not installed.",
            str(spec.get("installHint") or "").strip() or "Install it, or log in as your cluster asks for.",
        )
    return command


def _read(output: bytes, command: str, version: str) -> PluginAnswer:
    try:
        answer = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unauthorized(
            f"The credential plug-in {command} printed no ExecCredential.", "Run it by hand to see what it says."
        ) from error
    if answer.kind not in ("", "ExecCredential") or answer.api_version != version:
        raise Unauthorized(
            f"The credential plug-in {command} answers {answer.kind} of {answer.api_version or 'no version'}, "
            f"where the kubeconfig asks for {version}.",
            "Set apiVersion in the kubeconfig to what the plug-in speaks.",
        )
    status = answer.status or _Status()
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise Unauthorized(f"The credential plug-in {command} gave a certificate or a key, but not both.", BY_HAND)
    if not status.token and not status.client_certificate_data:
        raise Unauthorized(f"The credential plug-in {command} gave neither a token nor a certificate.", BY_HAND)
    expires_at = status.expiration_timestamp
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    return PluginAnswer(
        token=status.token,
        certificate=status.client_certificate_data,
        key=status.client_key_data,
        expires_at=expires_at,
    )


def _environment(spec: dict[str, Any], entry: Entry) -> dict[str, str]:
    info: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        info["cluster"] = _cluster_info(entry.cluster)
    request = {"apiVersion": spec.get("apiVersion", ""), "kind": "ExecCredential", "spec": info}
    extra = {str(item["name"]): str(item.get("value", "")) for item in spec.get("env") or () if "name" in item}
    return {**os.environ, **extra, "KUBERNETES_EXEC_INFO": msgspec.json.encode(request).decode()}


def _cluster_info(cluster: dict[str, Any]) -> dict[str, Any]:
    found = {name: cluster[name] for name in _CLUSTER_KEYS if cluster.get(name)}
    authority = cluster.get("certificate-authority")
    if authority and "certificate-authority-data" not in found:
        found["certificate-authority-data"] = base64.b64encode(Path(authority).read_bytes()).decode()
    for extension in cluster.get("extensions") or ():
        if isinstance(extension, dict) and extension.get("name") == _EXTENSION:
            found["config"] = extension.get("extension")
    return found


def _run(arguments: Sequence[str], environment: dict[str, str], entry: Entry) -> bytes:
    """Run a plug-in in a session of its own: it can't draw on, or read from, the terminal that we own."""
    try:
        process = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise Unauthorized(
            f"The credential plug-in {arguments[0]} of context {entry.context} can't be run: {error.strerror}.",
            "Install it anew.",
        ) from error
    try:
        output, errors = process.communicate(timeout=PLUGIN_SECONDS)
    except subprocess.TimeoutExpired as error:
        _end(process)
        raise Unauthorized(
            f"The credential plug-in {arguments[0]} did not end within {PLUGIN_SECONDS:.0f} s.",
            f"It may wait for a log-in. {BY_HAND}",
        ) from error
    if process.returncode:
        tail = tuple(clean_line(line) for line in errors.decode("utf-8", "replace").split("\n") if line.strip())[-5:]
        raise Unauthorized(
            f"The credential plug-in {arguments[0]} of context {entry.context} failed"
            + (f": {tail[-1]}" if tail else f" with exit code {process.returncode}."),
            BY_HAND,
            command=" ".join(arguments[:1]),
            tail=tail,
        )
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a plug-in with all that is in its group; what left the group may keep the pipes open, and is not read."""
    # It may have ended by itself, so that only who inherited its pipes is left.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=READ_OUT_SECONDS)
    except subprocess.TimeoutExpired:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
