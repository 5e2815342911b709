"""Reads kubeconfig files as kubectl does: several in KUBECONFIG, merged, the first to say a thing wins.

Also runs credential plug-ins (`users[].user.exec`). The official client would run them on the terminal that we
stand on and go on anonymously where they fail; here they get no terminal, and a failure is told.
"""

from __future__ import annotations

import base64
import difflib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.problems import NoCluster, Unauthorized
from mlconsole.text import clean_line, listed

PLUGIN_SECONDS = 60
_PATHS = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}


class ContextList(Record, frozen=True, kw_only=True):
    """The contexts that there are, and the one that is current (empty where none is)."""

    names: tuple[str, ...] = ()
    current: str = ""


class Credential(Record, frozen=True, kw_only=True):
    """What a plug-in gave: a token, or a certificate with its key (PEM), and until when."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires_at: datetime | None = None


class Entry(Record, frozen=True, kw_only=True):
    """All that one context is made of; `cluster` and `user` as in the file, their paths made absolute."""

    context: str
    namespace: str
    cluster_name: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    folder: Path


def files(kubeconfig: Path | None = None) -> tuple[Path, ...]:
    """The kubeconfig files to read, in order, whether they exist or not."""
    if kubeconfig is not None:
        return (kubeconfig,)
    named = os.environ.get("KUBECONFIG", "")
    if named:
        return tuple(Path(part).expanduser() for part in named.split(os.pathsep) if part)
    return (Path.home() / ".kube" / "config",)


def contexts(kubeconfig: Path | None = None) -> ContextList:
    """List the contexts. Never raises: a file that is missing or can't be read adds nothing."""
    names: dict[str, None] = {}
    current = ""
    for path in files(kubeconfig):
        try:
            content = _read(path)
        except NoCluster:
            continue
        names.update(dict.fromkeys(_names(content.get("contexts"))))
        current = current or str(content.get("current-context") or "")
    return ContextList(names=tuple(names), current=current if current in names else "")


def find(context: str = "", kubeconfig: Path | None = None) -> Entry | None:
    """Return a context's entry, the current one's where `context` is empty; None where there is no kubeconfig.

    Raises:
        NoCluster: a file can't be read, or the context is not in it or not whole.
    """
    paths = [path for path in files(kubeconfig) if path.is_file()]
    if not paths:
        if context or kubeconfig is not None:
            wanted = f"the context {context}" if context else "a cluster"
            raise NoCluster(
                f"There is no kubeconfig at {listed([str(path) for path in files(kubeconfig)])} to find {wanted} in.",
                'Set KUBECONFIG, or set context = "local" under [deploy] and type `mlconsole cluster start`.',
            )
        return None
    merged = _merge(paths)
    name = context or merged.current
    if not name:
        raise NoCluster(
            f"No context is current in {listed([str(path) for path in paths])}.",
            f"Choose one: {listed(list(merged.contexts), 5)}." if merged.contexts else "Add one to the file.",
        )
    if name not in merged.contexts:
        near = difflib.get_close_matches(name, merged.contexts, 1, 0.5)
        raise NoCluster(
            f"There is no context {name} in {listed([str(path) for path in paths])}.",
            f"Did you mean {near[0]}?" if near else f"There is: {listed(list(merged.contexts), 5) or 'none'}.",
        )
    body = merged.contexts[name]
    cluster, user = str(body.get("cluster") or ""), str(body.get("user") or "")
    if cluster not in merged.clusters:
        raise NoCluster(
            f"Context {name} names the cluster {cluster!r}, which is not in the kubeconfig.", "Add it there."
        )
    if user and user not in merged.users:
        raise NoCluster(f"Context {name} names the user {user!r}, who is not in the kubeconfig.", "Add it there.")
    return Entry(
        context=name,
        namespace=str(body.get("namespace") or ""),
        cluster_name=cluster,
        cluster=merged.clusters[cluster],
        user=merged.users.get(user, {}),
        folder=merged.folders.get(user, paths[0].parent),
    )


class _Merged(msgspec.Struct):
    contexts: dict[str, dict[str, Any]] = {}
    clusters: dict[str, dict[str, Any]] = {}
    users: dict[str, dict[str, Any]] = {}
    folders: dict[str, Path] = {}
    current: str = ""


def _merge(paths: Sequence[Path]) -> _Merged:
    merged = _Merged()
    for path in paths:
        content = _read(path)
        merged.current = merged.current or str(content.get("current-context") or "")
        for entry in _entries(content.get("contexts")):
            merged.contexts.setdefault(str(entry["name"]), _mapping(entry.get("context")))
        for section, target in (("clusters", merged.clusters), ("users", merged.users)):
            key, path_keys = _PATHS[section]
            for entry in _entries(content.get(section)):
                body = dict(_mapping(entry.get(key)))
                for name in path_keys:
                    if body.get(name):
                        body[name] = str((path.parent / str(body[name])).absolute())
                if str(entry["name"]) not in target:
                    target[str(entry["name"])] = body
                    merged.folders.setdefault(str(entry["name"]), path.parent.absolute())
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise NoCluster(
            f"Can't read {path}: {error.strerror}.", "Set KUBECONFIG to a file that you may read."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise NoCluster(f"{path}{where} is not valid YAML.", "Correct the kubeconfig.") from error
    return _mapping(content)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _entries(value: object) -> list[dict[str, Any]]:
    return (
        [entry for entry in value if isinstance(entry, dict) and entry.get("name")] if isinstance(value, list) else []
    )


def _names(value: object) -> list[str]:
    return [str(entry["name"]) for entry in _entries(value)]


class _ExecStatus(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    status: _ExecStatus


def run_plugin(entry: Entry) -> Credential:
    """Run a context's credential plug-in, without a terminal, and return what it gave.

    Protocol: client.authentication.k8s.io, ExecCredential on standard output.

    Raises:
        Unauthorized: it is missing, failed, took too long, or gave nothing usable.
    """
    spec = entry.user["exec"]
    command = str(spec.get("command") or "")
    hint = str(spec.get("installHint") or "")
    if os.sep in command:
        command = str((entry.folder / command).absolute())
    if shutil.which(command) is None:
        raise Unauthorized(
            f"The credential plug-in {command} of context {entry.context} is not installed.",
            hint or "Install it, or log in as your cluster asks for.",
        )
    arguments = [command, *(str(argument) for argument in spec.get("args") or ())]
    output = _run(arguments, _plugin_environment(spec, entry), entry)
    try:
        answer = msgspec.json.decode(output, type=_ExecCredential).status
    except msgspec.MsgspecError as error:
        raise Unauthorized(
            f"The credential plug-in {command} printed no ExecCredential.", "Run it by hand to see what it says."
        ) from error
    if not answer.token and not (answer.client_certificate_data and answer.client_key_data):
        raise Unauthorized(f"The credential plug-in {command} gave neither a token nor a certificate.", "Log in again.")
    return Credential(
        token=answer.token,
        certificate=answer.client_certificate_data,
        key=answer.client_key_data,
        expires_at=answer.expiration_timestamp,
    )


def _plugin_environment(spec: dict[str, Any], entry: Entry) -> dict[str, str]:
    info: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        cluster = {
            "server": entry.cluster.get("server", ""),
            "certificate-authority-data": entry.cluster.get("certificate-authority-data", ""),
        }
        info["cluster"] = {name: value for name, value in cluster.items() if value}
    request = {"apiVersion": spec.get("apiVersion", ""), "kind": "ExecCredential", "spec": info}
    extra = {str(item["name"]): str(item["value"]) for item in spec.get("env") or () if "name" in item}
    return {**os.environ, **extra, "KUBERNETES_EXEC_INFO": msgspec.json.encode(request).decode()}


def _run(arguments: Sequence[str], environment: dict[str, str], entry: Entry) -> bytes:
    """Run a plug-in in a session of its own: it can't draw on, or read from, the terminal that we own."""
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=PLUGIN_SECONDS)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Unauthorized(
            f"The credential plug-in {arguments[0]} did not end within {PLUGIN_SECONDS} s.",
            "It may wait for a log-in: run `kubectl get pods` once in a shell.",
        ) from error
    if process.returncode:
        tail = tuple(clean_line(line) for line in errors.decode("utf-8", "replace").splitlines()[-5:])
        raise Unauthorized(
            f"The credential plug-in {arguments[0]} of context {entry.context} failed"
            + (f": {tail[-1]}" if tail else f" with exit code {process.returncode}."),
            "Log in again as your cluster asks for.",
            command=" ".join(arguments[:1]),
            tail=tail,
        )
    return output


def as_pem_data(text: str) -> str:
    """Encode a PEM text as the `…-data` fields of a kubeconfig hold it."""
    return base64.standard_b64encode(text.encode()).decode()
