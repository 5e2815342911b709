"""What came out of training, and how?"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.evidence.base import Record
from mlconsole.text import count, duration, number, size


class MetricPoint(Record, frozen=True, kw_only=True):
    """One value of a metric as training printed it; `step` is the epoch or round, where one was printed."""

    name: str
    value: float
    step: int | None = None


class TrainingProgress(Record, frozen=True, kw_only=True):
    """How far training is: `fraction` from 0 to 1, and the words that said so (`epoch 3/10`)."""

    fraction: float
    message: str = ""
    seconds_left: float | None = None


class Parameter(Record, frozen=True, kw_only=True):
    """One parameter of a training run, its value as text, nested names joined by dots."""

    name: str
    value: str


class Package(Record, frozen=True, kw_only=True):
    """One installed package of the project's Python."""

    name: str
    version: str


class PythonEnvironment(Record, frozen=True, kw_only=True):
    """The Python that the project's code runs in. `digest` covers the version and all packages.

    Where it is `elsewhere`, as of a model that was imported, at most its digest is known.
    """

    executable: str
    version: str
    digest: str
    found: Literal["settings", ".venv", "active environment", "our own", "image", "elsewhere"] = "our own"
    packages: tuple[Package, ...] = ()


class ResourceUse(Record, frozen=True, kw_only=True):
    """What the process tree of a child used: seconds of wall clock and processor, peak resident memory in bytes."""

    seconds: float
    cpu_seconds: float = 0
    peak_memory: int = 0


class UseSample(Record, frozen=True, kw_only=True):
    """What the process tree of a child uses at a moment, `seconds` after its start.

    `processors` is processor seconds a second since the sample before (1.8: almost two processors), `memory` the
    resident bytes of all processes; `disk_read` and `disk_written` are bytes a second, where the system tells them.
    `gpu` is how busy it keeps GPUs (1.5: one and a half), None where that is not told; `gpu_memory` bytes of them.
    """

    seconds: float
    processors: float
    memory: int
    processes: int = 1
    threads: int = 0
    disk_read: float = 0
    disk_written: float = 0
    gpu: float | None = None
    gpu_memory: int = 0


class ModelFile(Record, frozen=True, kw_only=True):
    """A model's bytes: `sha256:…`, size in bytes, and the name that the file had.

    Of a model that is a folder, `files` counts them, and the digest is of their names and contents.
    """

    digest: str
    size: int
    filename: str
    files: int = 0

    @property
    def amount(self) -> str:
        """How large it is, in words: `3.4 KiB`, of a folder `3.4 KiB in 3 files`."""
        return f"{size(self.size)} in {count(self.files, 'file')}" if self.files else size(self.size)


class ModelVersion(Record, frozen=True, kw_only=True):
    """`name@vN`: a model file and everything that it came from.

    One that was imported has no release (0), and `origin` says from where. Nor has one that another machine of the team
    made: `elsewhere` says who made it, and where.
    """

    name: str
    number: int
    model: ModelFile
    release: int
    created_at: datetime
    commit: str = ""
    data_digest: str = ""
    source: str = ""
    """The digest of all that a release of it is made of but the packages: machines know by it that two are the same."""
    parameters: tuple[Parameter, ...] = ()
    metrics: tuple[MetricPoint, ...] = ()
    environment_digest: str = ""
    outputs: tuple[ModelFile, ...] = ()
    """Files that are kept beside the model; each has its name in the project."""
    origin: str = ""
    elsewhere: str = ""

    @property
    def tag(self) -> str:
        """The version alone, as pods tell it: `v3`."""
        return f"v{self.number}"

    @property
    def label(self) -> str:
        """The version with its name: `ml-model@v3`."""
        return f"{self.name}@v{self.number}"

    @property
    def made_by(self) -> str:
        """Who made it, in words: `release 3`, who and where else it was, or where it was imported from."""
        return f"release {self.release}" if self.release else self.elsewhere or self.origin


class Variable(Record, frozen=True, kw_only=True):
    """An environment variable that training ran with; `value` only where it is known to hold no secret."""

    name: str
    value: str = ""


class SweepRun(Record, frozen=True, kw_only=True):
    """One run of a sweep: its parameters, how it stands, and the last values of its metrics.

    `score` is its value of the metric that the best run is chosen by, `problem` what ended it otherwise.
    """

    number: int
    parameters: tuple[Parameter, ...]
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    metrics: tuple[MetricPoint, ...] = ()
    progress: float | None = None
    seconds: float = 0
    score: float | None = None
    is_best: bool = False
    problem: str = ""

    def in_words(self, total: int) -> str:
        """It on a line, as one of so many: `run 3 of 8 done, 24.1, in 12 s: depth=3, rate=0.1`."""
        state = "is the best" if self.is_best else self.state
        score = f", {number(self.score)}" if self.score is not None else ""
        took = f", in {duration(self.seconds)}" if self.state in ("done", "failed") else ""
        varied = ", ".join(f"{parameter.name}={parameter.value}" for parameter in self.parameters)
        why = f" ({self.problem})" if self.problem else ""
        return f"run {self.number} of {total} {state}{score}{took}: {varied}{why}"


class TrainEvidence(Record, frozen=True, kw_only=True, tag="train"):
    """One training run. `metrics` are the last values of each metric that it printed.

    `dangerous` names what loading the model file would import and never should, such as `os.system`;
    `unknown_imports` are names of no well-known package; `not_scanned` says why nobody knows. `found` says where the
    model was found, unless it is where it was asked to be; `missing_outputs` are patterns that no file of this run has.
    `seed` is the seed of randomness, where one could be told. Of a sweep, all else is of the best run, `best_by` is the
    metric that it was chosen by.
    """

    command: str
    environment: PythonEnvironment
    parameters: tuple[Parameter, ...]
    exit_code: int
    use: ResourceUse
    metrics: tuple[MetricPoint, ...] = ()
    version: ModelVersion | None = None
    lines: int = 0
    tail: tuple[str, ...] = ()
    dangerous: tuple[str, ...] = ()
    unknown_imports: tuple[str, ...] = ()
    not_scanned: str = ""
    found: str = ""
    outputs: tuple[ModelFile, ...] = ()
    missing_outputs: tuple[str, ...] = ()
    seed: str = ""
    variables: tuple[Variable, ...] = ()
    memory_limit: int = 0
    sweep: tuple[SweepRun, ...] = ()
    best_by: str = ""
