"""What processes use of GPUs, told by NVML or by nvidia-smi; on machines without one, nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from mlconsole.evidence.training import UseSample
from mlconsole.services import gpu, sampling
from mlconsole.services.gpu import Device, GpuUse, open_gpus, used
from mlconsole.services.processes import run_child
from mlconsole.services.sampling import TreeSampler

SMI = """\
#!/bin/sh
echo "$1" >> {asked}
case "$1" in
  --query-gpu=*) printf 'GPU-aa, 80\\nGPU-bb, 30\\n' ;;
  --query-compute-apps=*) printf 'GPU-aa, %s, 512\\nGPU-aa, 7, [N/A]\\nGPU-bb, %s, 100\\n' {pid} {pid} ;;
esac
"""


class NvmlError(Exception):
    """What the binding raises."""


def nvml(*, tells_whose: bool = True, count: int = 1) -> ModuleType:
    """A binding of NVML: on its GPU, process 41 holds 1 GiB and works, process 7 holds some."""
    module = ModuleType("pynvml")

    def utilization(handle: int, since: int) -> list[SimpleNamespace]:
        if not tells_whose:
            raise NvmlError("Not Supported")
        return [
            SimpleNamespace(pid=41, smUtil=60, timeStamp=since + 1),
            SimpleNamespace(pid=41, smUtil=40, timeStamp=since + 2),
            SimpleNamespace(pid=7, smUtil=20, timeStamp=since + 2),
        ]

    names: dict[str, Callable[..., object]] = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: count,
        "nvmlDeviceGetHandleByIndex": lambda place: place,
        "nvmlDeviceGetGraphicsRunningProcesses": lambda handle: [SimpleNamespace(pid=7, usedGpuMemory=None)],
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [SimpleNamespace(pid=41, usedGpuMemory=1 << 30)],
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=70),
        "nvmlDeviceGetProcessUtilization": utilization,
    }
    for name, function in names.items():
        setattr(module, name, function)
    module.NVMLError = NvmlError  # type: ignore[attr-defined]
    return module


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Only `nvidia-smi` is there, and a process of this test's id works on two GPUs; the file of what it was asked."""
    asked, program = tmp_path / "asked", tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(SMI.format(asked=asked, pid=os.getpid()), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return asked


def test_a_process_is_told_what_it_holds_and_how_busy_it_keeps_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(count=2))
    gpus = open_gpus()
    assert gpus is not None
    assert gpus.use_of({41, 99}) == GpuUse(2 << 30, 1.0)
    assert gpus.use_of({99}) == GpuUse(0, 0.0)


def test_use_that_is_not_told_by_process_is_of_who_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(tells_whose=False))
    gpus = open_gpus()
    assert gpus is not None
    assert gpus.use_of({41, 7}) == GpuUse(1 << 30, 0.7)
    assert gpus.use_of({41}) == GpuUse(1 << 30, None), "process 7 may be the one that works"


def test_a_gpu_that_is_lost_meanwhile_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nvml()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    gpus = open_gpus()
    assert gpus is not None

    def lost(place: int) -> int:
        raise NvmlError("GPU is lost")

    monkeypatch.setattr(module, "nvmlDeviceGetHandleByIndex", lost)
    assert gpus.use_of({41}) == GpuUse(0, None)


def test_without_the_binding_nvidia_smi_is_asked_beside_the_caller(smi: Path) -> None:
    gpus = open_gpus()
    assert gpus is not None
    deadline = time.monotonic() + 90
    while (found := gpus.use_of({os.getpid()})) == GpuUse() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == GpuUse(612 * gpu.MIB, 0.3), "somebody else is on the first GPU: how busy it is may be theirs"
    assert len(smi.read_text(encoding="utf-8").splitlines()) == 2, "it is not asked again before some time has passed"


@pytest.mark.parametrize("script", ["exit 9", "echo no devices were found", "echo 'GPU-aa'; echo ,,,", "kill -9 $$"])
def test_an_nvidia_smi_that_can_not_tell_says_nothing(smi: Path, tmp_path: Path, script: str) -> None:
    (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    gpus = open_gpus()
    assert isinstance(gpus, gpu.SmiGpus)
    gpus._ask()
    assert gpus.use_of({os.getpid()}) == GpuUse()


def test_without_a_gpu_there_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(count=0))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert open_gpus() is None
    module = nvml()

    def no_driver() -> None:
        raise NvmlError("NVML Shared Library Not Found")

    module.nvmlInit = no_driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert open_gpus() is None


def test_nobody_on_a_gpu_is_no_use() -> None:
    assert used([Device({}, {}, 0.0)], {1}) == GpuUse(0, None)
    assert used([], {1}) == GpuUse()


def test_a_training_is_told_with_its_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class All:
        def use_of(self, pids: set[int]) -> GpuUse:
            assert pids
            return GpuUse(3 << 30, 0.5)

    monkeypatch.setattr(sampling, "open_gpus", All)
    seen: list[UseSample] = []
    ended = threading.Event()

    def look(sample: UseSample) -> None:
        # whether there are any GPUs is found out beside, so the first samples need not tell them
        if sample.gpu_memory:
            seen.append(sample)
            ended.set()

    run_child(["sleep", "90"], cwd=tmp_path, log_path=tmp_path / "log", cancelled=ended, on_sample=look)
    assert (seen[0].gpu_memory, seen[0].gpu) == (3 << 30, 0.5)


def test_where_there_is_none_samples_say_nothing_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "open_gpus", lambda: None)
    seen: list[UseSample] = []
    sampler = TreeSampler(os.getppid(), seen.append)
    for _ in range(2):
        sampler._due = 0
        sampler.step()
    assert (seen[-1].gpu_memory, seen[-1].gpu) == (0, None)
