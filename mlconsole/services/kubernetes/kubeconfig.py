"""Reads kubeconfig files as kubectl does: several in KUBECONFIG, merged, the first to say a thing wins.

Where there is none, and we are a pod, what the cluster put into the pod takes its place.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.problems import NoCluster
from mlconsole.text import listed

IN_CLUSTER = "in-cluster"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a cluster puts a pod's token, its own authority and the namespace."""

_PATHS = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}


class ContextList(Record, frozen=True, kw_only=True):
    """The contexts that there are, and the one that is current (empty where none is)."""

    names: tuple[str, ...] = ()
    current: str = ""


class Entry(Record, frozen=True, kw_only=True):
    """All that one context is made of; `cluster` and `user` as in the file, their paths made absolute.

    `user_file` is the file that the user was found in; None where there is no user, or no file.
    """

    context: str
    namespace: str
    cluster_name: str
    cluster: dict[str, Any]
    user_name: str = ""
    user: dict[str, Any]
    user_file: Path | None = None


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


def find(context: str = "", kubeconfig: Path | None = None) -> Entry:
    """Return a context's entry, the current one's where `context` is empty.

    The pod's own is returned where there is no kubeconfig, and where the context is `in-cluster`.

    Raises:
        NoCluster: a file can't be read, the context is not in it or not whole, or there is neither file nor pod.
    """
    if context == IN_CLUSTER and kubeconfig is None:
        return _own_entry()
    paths = [path for path in files(kubeconfig) if path.is_file()]
    if not paths:
        if context or kubeconfig is not None:
            wanted = f"the context {context}" if context else "a cluster"
            raise NoCluster(
                f"There is no kubeconfig at {listed([str(path) for path in files(kubeconfig)])} to find {wanted} in.",
                'Set KUBECONFIG, or set context = "local" under [deploy] and type `mlconsole cluster start`.',
            )
        return _own_entry()
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
        user_name=user,
        user=merged.users.get(user, {}),
        user_file=merged.user_files.get(user),
    )


def _own_entry() -> Entry:
    """What the cluster gave to the pod that we are.

    Protocol: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    if not host or not port:
        raise NoCluster(
            "There is no kubeconfig, and this is not a pod.",
            'Set KUBECONFIG, or set context = "local" under [deploy] and type `mlconsole cluster start`.',
        )
    token, authority = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    for path, what in ((token, "token of a service account"), (authority, "authority of the cluster")):
        if not path.is_file():
            raise NoCluster(
                f"This is a pod, but there is no {what} in it ({path}).",
                "Let automountServiceAccountToken be true for the pod and its service account.",
            )
    try:
        namespace = (SERVICE_ACCOUNT / "namespace").read_text("utf-8").strip()
    except OSError:
        namespace = ""
    address = f"[{host}]" if ":" in host else host
    return Entry(
        context=IN_CLUSTER,
        namespace=namespace,
        cluster_name=IN_CLUSTER,
        cluster={"server": f"https://{address}:{port}", "certificate-authority": str(authority)},
        user={"tokenFile": str(token)},
    )


class _Merged(msgspec.Struct):
    contexts: dict[str, dict[str, Any]] = {}
    clusters: dict[str, dict[str, Any]] = {}
    users: dict[str, dict[str, Any]] = {}
    user_files: dict[str, Path] = {}
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
                    if target is merged.users:
                        merged.user_files[str(entry["name"])] = path.absolute()
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
