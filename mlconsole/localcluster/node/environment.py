"""The environment of a container: what is safe of ours, the image's, and what the manifest says."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from mlconsole.localcluster.controllers.addresses import ADDRESS, LOOPBACK
from mlconsole.localcluster.controllers.job_policy import INDEX as JOB_INDEX
from mlconsole.localcluster.controllers.objects import NODE_NAME, annotations_of, labels_of, quantity
from mlconsole.localcluster.node.volumes import data_of
from mlconsole.localcluster.store import NotFound, Object, Store

KEPT = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
"""Variables of the server that containers see; all others may hold secrets of the person."""

NOT_FROM_IMAGE = frozenset({"PATH", "HOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONHOME"})
"""What an image says of its own file system, which is not here."""

INTERPRETER = "MLCONSOLE_PYTHON"

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.\-][\w.\-]*)\)")
_NAME = re.compile(r"[A-Za-z_.\-][\w.\-]*\Z")


class ConfigMissing(Exception):
    """A ConfigMap, Secret, key or field that the container needs is not there; the text is the kubelet's."""


def base_environment() -> dict[str, str]:
    """What is kept of the server's environment, the project's interpreter first on its PATH."""
    env = {name: text for name, text in os.environ.items() if name in KEPT or name.startswith("LC_")}
    env.setdefault("PATH", os.defpath)
    chosen = os.environ.get(INTERPRETER)
    if chosen:
        env["PATH"] = f"{Path(chosen).parent}{os.pathsep}{env['PATH']}"
    elif not shutil.which("python3", path=env["PATH"]):
        env["PATH"] = f"{env['PATH']}{os.pathsep}{Path(sys.executable).parent}"
    return env | {"PYTHONUNBUFFERED": "1"}


def resolve_python(words: tuple[str, ...], path: str) -> tuple[str, ...]:
    """The command with ``python`` or ``python3`` made an interpreter that exists, where the PATH has none so named."""
    if words[0] not in ("python", "python3") or shutil.which(words[0], path=path):
        return words
    other = "python3" if words[0] == "python" else "python"
    found = os.environ.get(INTERPRETER) or shutil.which(other, path=path) or sys.executable
    return (found, *words[1:])


def expand(text: str, env: dict[str, str]) -> str:
    """Replaces ``$(NAME)`` by its value; an unknown name stays as it is, ``$$`` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match.group(0) == "$$" else env.get(match.group(1), match.group(0))

    return _REFERENCE.sub(value, text)


def service_links(store: Store, namespace: str) -> dict[str, str]:
    """``NAME_SERVICE_HOST`` and ``NAME_SERVICE_PORT`` of the namespace's Services, as Kubernetes sets them."""
    env: dict[str, str] = {}
    for service in store.scan("services", namespace):
        host, _, port = annotations_of(service).get(ADDRESS, "").partition(":")
        if port:
            name = service["metadata"]["name"].upper().replace("-", "_")
            env |= {f"{name}_SERVICE_HOST": host, f"{name}_SERVICE_PORT": port}
    return env


def container_environment(store: Store, pod: Object, container: Object) -> dict[str, str]:
    """What ``envFrom`` and ``env`` of a container say, references followed. Raises ConfigMissing."""
    links = pod["spec"].get("enableServiceLinks", True)
    env = service_links(store, pod["metadata"]["namespace"]) if links else {}
    index = annotations_of(pod).get(JOB_INDEX)
    if index is not None:
        env["JOB_COMPLETION_INDEX"] = index
    for source in container.get("envFrom") or []:
        env |= _bulk(store, pod["metadata"]["namespace"], source)
    for entry in container.get("env") or []:
        if "valueFrom" in entry:
            value = _referenced(store, pod, container, entry["valueFrom"])
            if value is not None:
                env[entry["name"]] = value
        else:
            env[entry["name"]] = expand(str(entry.get("value") or ""), env)
    return env


def _bulk(store: Store, namespace: str, source: Object) -> dict[str, str]:
    reference = source.get("configMapRef") or source.get("secretRef") or {}
    resource = "configmaps" if "configMapRef" in source else "secrets"
    data = _data(store, resource, namespace, reference)
    prefix = source.get("prefix") or ""
    return {prefix + key: text.decode(errors="replace") for key, text in data.items() if _NAME.match(prefix + key)}


def _data(store: Store, resource: str, namespace: str, reference: Object) -> dict[str, bytes]:
    try:
        return data_of(store.peek(resource, namespace, reference["name"]))
    except NotFound:
        if reference.get("optional"):
            return {}
        raise ConfigMissing(f'{resource[:-1]} "{reference["name"]}" not found') from None


def _referenced(store: Store, pod: Object, container: Object, source: Object) -> str | None:
    namespace = pod["metadata"]["namespace"]
    for field, resource, kind in (
        ("configMapKeyRef", "configmaps", "ConfigMap"),
        ("secretKeyRef", "secrets", "Secret"),
    ):
        reference = source.get(field)
        if reference is None:
            continue
        data = _data(store, resource, namespace, reference)
        if reference["key"] in data:
            return data[reference["key"]].decode(errors="replace")
        if reference.get("optional"):
            return None
        raise ConfigMissing(f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}")
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    return resource_of(container, source["resourceFieldRef"]) if "resourceFieldRef" in source else None


def field_of(pod: Object, path: str) -> str:
    """The field of the pod that a ``fieldRef`` names. Raises ConfigMissing for one that can't be referred to."""
    meta, spec = pod["metadata"], pod["spec"]
    fixed: dict[str, Any] = {
        "metadata.name": meta["name"], "metadata.namespace": meta["namespace"], "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", NODE_NAME), "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": LOOPBACK, "status.podIPs": LOOPBACK, "status.hostIP": LOOPBACK, "status.hostIPs": LOOPBACK,
    }  # fmt: skip
    if path in fixed:
        return str(fixed[path])
    group, _, key = path.partition("[")
    values = {"metadata.labels": labels_of(pod), "metadata.annotations": annotations_of(pod)}.get(group)
    if values is None:
        raise ConfigMissing(f"unsupported fieldPath: {path}")
    return values.get(key.strip("'\"]"), "")


def resource_of(container: Object, reference: Object) -> str:
    """The request or limit that a ``resourceFieldRef`` names, in units of its divisor, rounded up."""
    group, _, name = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    values = limits if group == "limits" else limits | (resources.get("requests") or {})
    divisor = quantity(reference.get("divisor") or 1) or 1
    return str(math.ceil(quantity(values.get(name)) / divisor))
