"""Real ports for the ports that containers declare: there is one loopback for all pods, so each gets free ones."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import re
import socket
import tempfile
import weakref
from pathlib import Path
from typing import Any

from mlconsole.localcluster.controllers.addresses import LOOPBACK

_OPTION = re.compile(r"(port|listen|bind|address|http\.server)$|^-[pbP]$", re.IGNORECASE)

RANGE = range(20000, 30000)
"""Below the ports that systems give to outgoing connections, so that no client can sit on a server's port."""
BLOCK = 100


class PortBook:
    """Hands out free loopback ports, none of them twice at the same time.

    Several clusters on one machine would find the same port free in the moment before a container listens on it, so
    each has a block of ports of its own, by a lock of the kernel's that ends with its process. Only where all of the
    block are taken, others are given out.

    Args:
        locks: the folder of the locks, made where it is not there; by default one that all clusters of the user share.
    """

    def __init__(self, locks: Path | None = None) -> None:
        self._taken: set[int] = set()
        self._locks = locks or Path(tempfile.gettempdir()) / f"mlconsole-ports-{os.getuid()}"
        self._block: range | None = None

    def take(self, wanted: int | None = None) -> int:
        """A free port: ``wanted`` where nobody has it, else another."""
        if wanted is not None and wanted not in self._taken and is_free(wanted):
            self._taken.add(wanted)
            return wanted
        if self._block is None:
            self._block = self._reserved()
        for ports in (self._block, RANGE):
            for port in random.sample(ports, len(ports)):
                if port not in self._taken and is_free(port):
                    self._taken.add(port)
                    return port
        raise OSError(errno.EADDRINUSE, "no port is free")

    def keep(self, port: int) -> None:
        """Notes a port that a surviving process uses."""
        self._taken.add(port)

    def give_back(self, port: int) -> None:
        """Makes a port free for others."""
        self._taken.discard(port)

    def _reserved(self) -> range:
        """A block that no other cluster has; all ports where none is left, or the locks' folder can't be used."""
        with contextlib.suppress(OSError):
            self._locks.mkdir(mode=0o700, exist_ok=True)
            for start in random.sample(RANGE[::BLOCK], len(RANGE) // BLOCK):
                descriptor = os.open(self._locks / str(start), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                weakref.finalize(self, os.close, descriptor)
                return range(start, start + BLOCK)
        return RANGE


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        return True
    return False


def declared_ports(pod: dict[str, Any]) -> list[str]:
    """The ports that the pod's containers declare, as text; ``""`` for a container that declares none."""
    spec = pod["spec"]
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    declared = [str(entry["containerPort"]) for item in containers for entry in item.get("ports") or []]
    bare = any(not item.get("ports") for item in spec["containers"])
    return list(dict.fromkeys([*declared, *([""] if bare else [])]))


def host_ports(pod: dict[str, Any]) -> dict[str, int]:
    """The ports of this machine that the pod's containers ask for by ``hostPort``, by declared port."""
    entries = [entry for item in pod["spec"]["containers"] for entry in item.get("ports") or []]
    return {str(entry["containerPort"]): int(entry["hostPort"]) for entry in entries if entry.get("hostPort")}


def main_port(container: dict[str, Any], ports: dict[str, int]) -> int | None:
    """The real port for PORT: that of the port named http, else of the first one."""
    entries = container.get("ports") or []
    chosen = next((entry for entry in entries if entry.get("name") == "http"), entries[0] if entries else None)
    return ports.get(str(chosen["containerPort"]) if chosen else "")


def with_real_ports(words: tuple[str, ...], ports: dict[str, int]) -> tuple[str, ...]:
    """The command with each declared port that it is told to listen on (``--port 8080``, ``0.0.0.0:8080``) made real.

    A container has the port to itself; here several replicas would fight for it. Numbers that no option about ports
    stands before stay as they are.
    """
    real = {number: str(port) for number, port in ports.items() if number}
    if not real:
        return words
    numbers = "|".join(sorted(real, key=len, reverse=True))
    inside = re.compile(
        rf"((?:port|listen|bind|address|http\.server)[=\s]+|:|(?<!\S)-[pbP][=\s]*)({numbers})(?!\d)", re.I
    )
    found = []
    for index, word in enumerate(words):
        if word in real and index and _OPTION.search(words[index - 1]):
            found.append(real[word])
        else:
            found.append(inside.sub(lambda match: match.group(1) + real[match.group(2)], word))
    return tuple(found)
