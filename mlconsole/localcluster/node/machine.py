"""This machine as the cluster's one Node."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from mlconsole.localcluster.controllers.addresses import LOOPBACK
from mlconsole.localcluster.controllers.objects import NODE_NAME, micro_timestamp
from mlconsole.localcluster.store import NotFound, Object, Store, timestamp

POD_LIMIT = "110"
LEASES = "kube-node-lease"
LEASE_SECONDS = 600

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def register_node(store: Store, state: Path) -> None:
    """Writes the Node ``local`` with what this machine has.

    Args:
        state: the cluster's folder; the disk that it is on counts.
    """
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE_NAME, "labels": _labels()},
        "spec": {},
        "status": _status(state),
    }
    try:
        store.replace("nodes", _merged(store.get("nodes", None, NODE_NAME), node))
    except NotFound:
        store.create("nodes", node)


def renew_lease(store: Store) -> None:
    """Says that the node lives, as each kubelet does in a Lease of its node's name."""
    name = {"name": NODE_NAME, "namespace": LEASES}
    spec = {"holderIdentity": NODE_NAME, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": micro_timestamp()}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": name, "spec": spec}
    try:
        store.update("leases", store.get("leases", LEASES, NODE_NAME) | {"spec": spec})
    except NotFound:
        store.create("leases", lease)


def _merged(before: Object, node: Object) -> Object:
    labels = (before["metadata"].get("labels") or {}) | node["metadata"]["labels"]
    return before | {"metadata": before["metadata"] | {"labels": labels}, "status": node["status"]}


def _labels() -> dict[str, str]:
    system, machine = platform.system().lower(), platform.machine()
    return {
        "kubernetes.io/hostname": NODE_NAME,
        "kubernetes.io/os": system,
        "kubernetes.io/arch": _ARCHITECTURES.get(machine, machine),
        "node-role.kubernetes.io/control-plane": "",
    }


def _status(state: Path) -> Object:
    capacity = {
        "cpu": str(psutil.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{psutil.disk_usage(str(state)).total // 1024}Ki",
        "pods": POD_LIMIT,
    }
    return {
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": [
            _condition("MemoryPressure", False, "KubeletHasSufficientMemory", "has sufficient memory available"),
            _condition("DiskPressure", False, "KubeletHasNoDiskPressure", "has no disk pressure"),
            _condition("PIDPressure", False, "KubeletHasSufficientPID", "has sufficient PID available"),
            _condition("Ready", True, "KubeletReady", "is posting ready status"),
        ],
        "addresses": [{"type": "InternalIP", "address": LOOPBACK}, {"type": "Hostname", "address": NODE_NAME}],
        "nodeInfo": _info(),
    }


def _condition(kind: str, value: bool, reason: str, message: str) -> Object:
    now = timestamp()
    return {"type": kind, "status": str(value), "reason": reason, "message": f"kubelet {message}",
            "lastHeartbeatTime": now, "lastTransitionTime": now}  # fmt: skip


def _info() -> dict[str, str]:
    system = os.uname()
    return {
        "architecture": _labels()["kubernetes.io/arch"], "operatingSystem": system.sysname.lower(),
        "kernelVersion": system.release, "osImage": platform.platform(terse=True), "machineID": "", "systemUUID": "",
        "bootID": "", "containerRuntimeVersion": "local://processes", "kubeletVersion": "v1.33.0",
        "kubeProxyVersion": "",
    }  # fmt: skip
