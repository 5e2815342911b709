"""What processes use of NVIDIA's GPUs: read by NVML where `nvidia-ml-py` is installed, else by asking `nvidia-smi`.

Where there is no such GPU, that is found out once and nothing is asked again. In a container that does not share the
machine's process ids the processes can't be told apart, so nothing is said.

Sources: https://docs.nvidia.com/deploy/nvml-api and https://docs.nvidia.com/deploy/nvidia-smi.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

MIB = 1 << 20
ASK_SECONDS = 10.0
"""`nvidia-smi` that takes longer than this is not waited for."""
LEAST_SECONDS = 2.0
MOST_SECONDS = 20.0
PART = 20
"""`nvidia-smi` starts anew each time: it runs for at most this part of the time."""


class GpuUse(NamedTuple):
    """What some processes use: bytes of all GPUs, and how busy they keep them (1.5: one and a half); None: unknown."""

    memory: int = 0
    share: float | None = None


class Device(NamedTuple):
    """One GPU: the memory that each process holds there, the part of its time that each takes where that is told, and
    how busy it is altogether."""

    memory: Mapping[int, int]
    shares: Mapping[int, float]
    busy: float | None


class Gpus(Protocol):
    """A machine's GPUs."""

    def use_of(self, pids: Collection[int]) -> GpuUse:
        """What processes use now, or did a moment ago. Never fails, never waits long."""
        ...


def open_gpus() -> Gpus | None:
    """The GPUs of this machine; None where there are none, or none that can be asked. May take some 0.1 s."""
    nvml = _nvml()
    if nvml is not None:
        return NvmlGpus(nvml)
    path = shutil.which("nvidia-smi")
    return SmiGpus(path) if path is not None else None


def _nvml() -> Any:
    """NVML's binding, ready to be asked; None where it, its driver or a GPU is not there."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return pynvml if pynvml.nvmlDeviceGetCount() else None
    except pynvml.NVMLError:
        return None


def used(devices: Collection[Device], pids: Collection[int]) -> GpuUse:
    """Put together what processes use of several GPUs.

    Where a GPU does not tell whose work it does, all of it is theirs if nobody else is on it.
    """
    mine = set(pids)
    memory, share, known = 0, 0.0, False
    for device in devices:
        held = mine.intersection(device.memory)
        memory += sum(device.memory[pid] for pid in held)
        if device.shares:
            known = True
            share += sum(part for pid, part in device.shares.items() if pid in mine)
        elif held and device.busy is not None and held == set(device.memory):
            known = True
            share += device.busy
    return GpuUse(memory, share if known else None)


class NvmlGpus:
    """GPUs that are asked by NVML, in well under a millisecond each.

    Args:
        nvml: the module `pynvml`, initialised.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._seen: dict[int, int] = {}
        """When each GPU's last reading of use by process was taken, as it says it itself."""

    def use_of(self, pids: Collection[int]) -> GpuUse:
        """See `Gpus`."""
        devices = []
        with suppress(self._nvml.NVMLError):
            devices = [self._device(place) for place in range(self._nvml.nvmlDeviceGetCount())]
        return used(devices, pids)

    def _device(self, place: int) -> Device:
        nvml = self._nvml
        memory: dict[int, int] = {}
        busy: float | None = None
        with suppress(nvml.NVMLError):
            handle = nvml.nvmlDeviceGetHandleByIndex(place)
            for found in (
                *nvml.nvmlDeviceGetGraphicsRunningProcesses(handle),
                *nvml.nvmlDeviceGetComputeRunningProcesses(handle),
            ):
                memory[found.pid] = max(memory.get(found.pid, 0), found.usedGpuMemory or 0)
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            return Device(memory, self._shares(place, handle), busy)
        return Device(memory, {}, busy)

    def _shares(self, place: int, handle: Any) -> dict[int, float]:
        """The part of the GPU's time that each process took since the last look; empty where it does not tell."""
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(handle, self._seen.get(place, 0))
        except self._nvml.NVMLError:
            return {}
        found: dict[int, list[int]] = {}
        for sample in samples:
            self._seen[place] = max(self._seen.get(place, 0), sample.timeStamp)
            found.setdefault(sample.pid, []).append(sample.smUtil)
        return {pid: sum(parts) / len(parts) / 100 for pid, parts in found.items()}


class SmiGpus:
    """GPUs that are asked by `nvidia-smi`, now and then, beside whoever wants to know: the last answer is given.

    Args:
        program: its path.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._devices: tuple[Device, ...] = ()
        self._asking: threading.Thread | None = None
        self._due = 0.0

    def use_of(self, pids: Collection[int]) -> GpuUse:
        """See `Gpus`."""
        busy = self._asking is not None and self._asking.is_alive()
        if not busy and time.monotonic() >= self._due:
            self._asking = threading.Thread(target=self._ask, name="nvidia-smi", daemon=True)
            self._asking.start()
        return used(self._devices, pids)

    def _ask(self) -> None:
        began = time.monotonic()
        busy = self._rows("--query-gpu=uuid,utilization.gpu")
        held = self._rows("--query-compute-apps=gpu_uuid,pid,used_gpu_memory") if busy else []
        memory: dict[str, dict[int, int]] = {row[0]: {} for row in busy}
        for row in held:
            if len(row) == 3 and row[1].isdigit():
                memory.setdefault(row[0], {})[int(row[1])] = int(row[2]) * MIB if row[2].isdigit() else 0
        parts = {row[0]: int(row[1]) / 100 for row in busy if len(row) == 2 and row[1].isdigit()}
        self._devices = tuple(Device(found, {}, parts.get(uuid)) for uuid, found in memory.items())
        took = time.monotonic() - began
        self._due = time.monotonic() + min(max(LEAST_SECONDS, took * PART), MOST_SECONDS)

    def _rows(self, query: str) -> list[list[str]]:
        """The rows of an answer, values such as `[N/A]` included; none where there is no answer."""
        try:
            done = subprocess.run(
                [self._program, query, "--format=csv,noheader,nounits"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ASK_SECONDS,
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        if done.returncode:
            return []
        return [[cell.strip() for cell in row.split(",")] for row in done.stdout.splitlines() if row.strip()]
