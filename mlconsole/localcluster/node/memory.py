"""Memory limits: what the kernel does for a container with cgroups is done here by looking, once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import psutil


class Killable(Protocol):
    """A running container that can be ended for using too much memory."""

    def kill(self, *, out_of_memory: bool = False) -> None: ...


Limited = tuple[int, int, Killable]
"""The pid of a container's main process, its limit in bytes, and the container."""


async def watch_memory(limited: Callable[[], list[Limited]], interval: float) -> None:
    """Kills containers whose processes together use more than their limit; runs until cancelled."""
    while True:
        await asyncio.sleep(interval)
        containers = limited()
        if not containers:
            continue
        used = await asyncio.to_thread(memory_of_trees, [pid for pid, _, _ in containers])
        for pid, limit, container in containers:
            if used.get(pid, 0) > limit:
                container.kill(out_of_memory=True)


def memory_of_trees(roots: Iterable[int]) -> dict[int, int]:
    """Bytes that each of these processes uses together with its descendants.

    The sum of resident sizes counts shared pages once a process, so where it matters to a tree of several processes
    their unshared memory is summed instead.
    """
    children: dict[int, list[psutil.Process]] = {}
    processes: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["ppid"]):
        processes[process.pid] = process
        children.setdefault(process.info["ppid"], []).append(process)
    return {root: _tree(processes[root], children) for root in roots if root in processes}


def _tree(root: psutil.Process, children: dict[int, list[psutil.Process]]) -> int:
    members, waiting = [root], [root.pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        members += below
        waiting += [process.pid for process in below]
    return sum(_memory(process, alone=len(members) == 1) for process in members)


def _memory(process: psutil.Process, *, alone: bool) -> int:
    try:
        return int(process.memory_info().rss if alone else process.memory_full_info().uss)
    except psutil.Error:
        return 0
