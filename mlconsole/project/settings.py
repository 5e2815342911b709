"""The settings of a project, as typed fields with their description, read strictly from TOML.

`mlconsole.toml`, or `[tool.mlconsole]` in `pyproject.toml`. A key that does not exist is an error that names the
nearest one; a value of the wrong type is an error that names the key.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from mlconsole.errors import WrongUse

SETTINGS_FILE = "mlconsole.toml"


class SettingsInvalid(WrongUse):
    """The settings can't be read: not TOML, a key that does not exist, or a value of the wrong type."""


def _key(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings."""


S = TypeVar("S", bound=Section)


class DataSettings(Section, frozen=True, kw_only=True):
    """Which data to train on, and what it has to look like."""

    path: Annotated[str, _key("File, folder or glob of the training data: CSV or Parquet.")] = ""
    on: Annotated[
        Literal["local", "cluster"],
        _key('Where it is read: "local", this machine; "cluster", as a Kubernetes Job beside it, see train.data_uri.'),
    ] = "local"
    image: Annotated[
        str, _key("On the cluster: an image that has mlconsole; {commit} is filled in; empty: train.image.")
    ] = ""
    target: Annotated[str, _key("The column that the model predicts.")] = ""
    checks: Annotated[
        str, _key("A schema to check the data against, instead of the one learnt from the champion's.")
    ] = ""
    key: Annotated[
        tuple[str, ...], _key("Columns that identify a row: with them, added, removed and changed rows are told.")
    ] = ()
    delimiter: Annotated[str, _key("What separates the fields of a text table; empty: found in each file.")] = ""
    quote: Annotated[str, _key("What encloses fields that hold a delimiter.")] = '"'
    encoding: Annotated[str, _key('How text is encoded, such as "latin-1"; empty: UTF-8, or as its mark says.')] = ""
    drift: Annotated[
        Literal["warn", "fail"],
        _key('"warn": columns that drift from the champion\'s data are told; "fail": strong drift stops the release.'),
    ] = "warn"


class TrainSettings(Section, frozen=True, kw_only=True):
    """How a model is made."""

    command: Annotated[str, _key("The command; {data}, {model}, {params}, {version} and {commit} are filled in.")] = ""
    on: Annotated[
        Literal["local", "cluster"], _key('Where it runs: "local", this machine; "cluster", as a Kubernetes Job.')
    ] = "local"
    cwd: Annotated[str, _key("The folder that the command runs in; empty: the project's.")] = ""
    model: Annotated[
        str, _key('Where the command leaves the model if it takes no {model}: a path or a pattern, "models/*.pkl".')
    ] = ""
    outputs: Annotated[
        tuple[str, ...], _key("Files that are kept with the version beside the model: paths or patterns.")
    ] = ()
    metrics: Annotated[
        tuple[str, ...], _key("JSON files that the command writes metrics to; empty: metrics.json where it writes one.")
    ] = ()
    parameters: Annotated[str, _key("A YAML, TOML or JSON file of parameters, kept with the version.")] = ""
    timeout: Annotated[str, _key('End the training after this time, such as "2h"; empty: never.')] = ""
    memory: Annotated[
        str, _key('End the training where it takes more memory than this, such as "8GB"; empty: never.')
    ] = ""
    sweep: Annotated[
        dict[str, list[str | int | float | bool]],
        _key("Lists of values by parameter, [train.sweep]: each combination is a run, the best is the candidate."),
    ] = {}
    jobs: Annotated[int, _key("How many runs of a sweep go on side by side.")] = 1
    best: Annotated[str, _key("The metric that the best run of a sweep is chosen by; empty: quality.metric.")] = ""
    image: Annotated[str, _key("On the cluster: the container image; {commit} is filled in.")] = ""
    data_uri: Annotated[
        str, _key('On the cluster: what {data} is, such as "s3://bucket/training.csv"; empty: [data] path.')
    ] = ""
    cpu: Annotated[str, _key('On the cluster: processors, such as "4" or "500m".')] = ""
    gpu: Annotated[str, _key('On the cluster: GPUs, such as "1", or with their name, "amd.com/gpu=2".')] = ""
    queue: Annotated[str, _key("On the cluster: the Kueue queue that the Job waits in; empty: none.")] = ""
    service_account: Annotated[str, _key("On the cluster: the service account of the Job's pods.")] = ""
    volumes: Annotated[
        tuple[str, ...], _key('On the cluster: claims and where the Job sees them, such as "models:/models".')
    ] = ()
    retries: Annotated[int, _key("On the cluster: how often a training that failed is started again.")] = 0
    manifest: Annotated[
        str, _key("On the cluster: a Job, JobSet or TrainJob of the project's own, in place of the command.")
    ] = ""
    trusted: Annotated[
        tuple[str, ...], _key('Packages besides the usual ones that a model file may import, such as "mypackage".')
    ] = ()


class TestSettings(Section, frozen=True, kw_only=True):
    """What a model has to pass."""

    __test__ = False

    paths: Annotated[
        tuple[str, ...], _key("Test files or folders for pytest; they get the model's path in MODEL_PATH.")
    ] = ()
    timeout: Annotated[str, _key('End the tests after this time, such as "10m"; empty: never.')] = "30m"
    args: Annotated[tuple[str, ...], _key('More options of pytest, such as ["-k", "not slow"].')] = ()
    workers: Annotated[
        int, _key("Processes that tests run in side by side, by pytest-xdist; 0: one after another, without it.")
    ] = 0
    rerun: Annotated[
        int, _key("How often tests that failed are run again: one that passes then is flaky, and told as that.")
    ] = 0
    flaky: Annotated[
        Literal["warn", "fail", "pass"], _key('What the gate says of flaky tests: "warn", "fail" or "pass".')
    ] = "warn"


class QualitySettings(Section, frozen=True, kw_only=True):
    """How the candidate is compared with the champion."""

    metric: Annotated[str, _key("A metric of sklearn.metrics by its name.")] = "mean_absolute_error"
    tolerance: Annotated[float, _key("How much worse a candidate may be, as a part of the champion's value.")] = 0.01
    holdout: Annotated[str, _key("A data file that no training reads: both models predict its rows.")] = ""
    metrics: Annotated[tuple[str, ...], _key("More metrics that a candidate may not be worse by.")] = ()
    segments: Annotated[
        tuple[str, ...], _key("Columns of the hold-out: the models are compared for each of their values, too.")
    ] = ()
    order: Annotated[
        tuple[str, ...],
        _key("Columns to sort the hold-out by, so that rows that go together are neighbours; none: the file's order."),
    ] = ()
    predict: Annotated[
        str,
        _key("A command that predicts, for models without predict(): {model}, {data}, {predictions} are filled in."),
    ] = ""


class SmokeSettings(Section, frozen=True, kw_only=True):
    """A request that every ready pod has to answer after the rollout, sent through the API server."""

    path: Annotated[str, _key('The path to ask, such as "/predict"; empty: no smoke test.')] = ""
    method: Annotated[str, _key("The HTTP method; empty: POST with a body, else GET.")] = ""
    port: Annotated[str, _key("The pod's port, by number or name; empty: the first that it declares.")] = ""
    body: Annotated[str, _key('What to send; "@FILE" sends a file of the project.')] = ""
    status: Annotated[int, _key("The HTTP status that is expected.")] = 200
    contains: Annotated[
        str, _key("A text that the answer has to contain; {version} is filled in; empty: any answer is good.")
    ] = "{version}"
    timeout: Annotated[str, _key("How long a pod may take to answer.")] = "10s"


class DeploySettings(Section, frozen=True, kw_only=True):
    """Where and how a version is deployed."""

    manifests: Annotated[tuple[str, ...], _key("Manifest files or folders, as kubectl apply -f takes them.")] = ()
    render: Annotated[
        str, _key('Instead of manifests: a command that prints them, such as "helm template chart"; no shell.')
    ] = ""
    context: Annotated[str, _key('The kubeconfig context; empty: the current one; "local": the local cluster.')] = ""
    namespace: Annotated[str, _key("The namespace; empty: the context's own.")] = ""
    selector: Annotated[str, _key("The label selector of the pods that serve the model.")] = ""
    image: Annotated[
        str, _key("The container image; {commit} and {version} are filled in; empty: as in the manifests.")
    ] = ""
    settle: Annotated[str, _key("How long the pods must stay healthy after they rolled out.")] = "10s"
    timeout: Annotated[str, _key("How long a rollout may take.")] = "10m"
    rollback: Annotated[
        Literal["no", "auto"],
        _key('"auto": after a deploy that failed, what served before is brought back; "no": a person decides.'),
    ] = "no"
    smoke: SmokeSettings = SmokeSettings()
    protected: Annotated[
        tuple[str, ...], _key("Contexts (with * and ?) where a change needs the context's name typed.")
    ] = ("prod-*",)

    def protects(self, context: str) -> bool:
        """Whether a change in a context needs its name typed."""
        return bool(context) and any(fnmatch(context, pattern) for pattern in self.protected)


class StoreSettings(Section, frozen=True, kw_only=True):
    """Where models are kept."""

    url: Annotated[
        str, _key('A store that a team shares, such as "s3://bucket/models"; empty: the folder .mlconsole/store.')
    ] = ""


class WatchSettings(Section, frozen=True, kw_only=True):
    """Something that `mlconsole watch` looks at, and what follows when it is new."""

    kind: Annotated[
        Literal["data", "branch", "schedule", "parameters", "monitor"],
        _key('"data", "branch", "schedule", "parameters", or "monitor" for verdicts on what serves.'),
    ]
    then: Annotated[
        Literal["propose", "run", "release"],
        _key('"propose": say so; "run": release up to the approval; "release": to the end, unless a gate says no.'),
    ] = "propose"
    name: Annotated[str, _key("What people call it; empty: its kind and what it looks at.")] = ""
    path: Annotated[
        str,
        _key(
            'Data: file, folder, glob, or address such as "s3://bucket/in/*.csv". Empty: data.path, train.parameters.'
        ),
    ] = ""
    add: Annotated[
        bool, _key("Data: a new file is not in the training data yet: its release adds it to data.path.")
    ] = False
    settle: Annotated[str, _key("Data: a file counts once it has not changed for this long.")] = "5s"
    branch: Annotated[str, _key('A remote branch such as "origin/main"; empty: that of the branch checked out.')] = ""
    cron: Annotated[str, _key('A schedule as cron writes it, such as "0 6 * * 1".')] = ""
    zone: Annotated[
        str, _key('The time zone of the schedule, such as "Europe/Berlin"; empty: that of the machine.')
    ] = ""
    every: Annotated[str, _key("How often a remote branch, an address or a network folder is looked at.")] = "30s"


class MonitorRule(Section, frozen=True, kw_only=True):
    """What may not last of what serves, and what follows where it does."""

    metric: Annotated[
        Literal["errors", "latency", "drift", "quality"],
        _key('"errors", a part of the requests; "latency", seconds; "drift", columns; "quality", how much worse.'),
    ]
    above: Annotated[
        float, _key("The limit: 0.05 is 5 % of the requests, 0.5 s, or a metric that is 0.05 worse than promised.")
    ] = 0.0
    times: Annotated[
        float, _key("The limit is at least so many times the value of the version before; 0: it is not compared.")
    ] = 0.0
    quantile: Annotated[float, _key("Latency: which one.")] = 0.95
    hold: Annotated[str, _key("How long it must be above the limit.")] = "30s"
    cool_down: Annotated[str, _key("How long nothing follows again, once something did.")] = "10m"
    least: Annotated[int, _key("Requests in the window below which nobody can tell.")] = 20
    then: Annotated[
        Literal["warn", "retrain", "roll back"],
        _key('"warn"; "retrain": a trigger of kind "monitor"; "roll back" to the version before.'),
    ] = "warn"
    name: Annotated[str, _key("What people call it; empty: the metric.")] = ""


class MonitorSettings(Section, frozen=True, kw_only=True):
    """How what serves is watched."""

    every: Annotated[str, _key("How often the pods are read.")] = "15s"
    window: Annotated[str, _key("The time that error rates and latencies are taken over.")] = "1m"
    path: Annotated[str, _key("Where pods tell their metrics.")] = "/metrics"
    port: Annotated[str, _key("The pods' port, by number or name; empty: the first that they declare.")] = ""
    prometheus: Annotated[
        str, _key('A Prometheus server to ask instead of the pods, such as "http://prometheus:9090".')
    ] = ""
    match: Annotated[
        str, _key("""Of Prometheus: labels of the pods' series, such as 'namespace="bikes",job="ml-model"'.""")
    ] = ""
    token: Annotated[str, _key("Of Prometheus: the environment variable that holds a bearer token.")] = ""
    drift_rows: Annotated[
        int, _key("Rows that are added up and compared with the training data; then the next begin.")
    ] = 10_000
    drift_first: Annotated[
        int, _key("Rows before the first comparison; where traffic goes by the hour, take those of a day.")
    ] = 200
    predictions: Annotated[
        str, _key('CSV files of what was predicted: key, "prediction", "model_version"; a path or a pattern.')
    ] = ""
    labels: Annotated[str, _key("CSV files of labels that come later: key and target; a path or a pattern.")] = ""
    quality_rows: Annotated[int, _key("How many of the latest labelled rows quality is taken over.")] = 1_000
    rules: Annotated[tuple[MonitorRule, ...], _key("What may not last: one [[monitor.rules]] for each.")] = ()


class NotifySettings(Section, frozen=True, kw_only=True):
    """Who is told of what the watcher sees and sets off."""

    webhook: Annotated[
        str, _key("The environment variable that holds the address to post to; the address stays out of the settings.")
    ] = ""
    body: Annotated[
        Literal["json", "slack"], _key('What is posted: "json", or "slack" for a text as Slack takes it.')
    ] = "json"
    on: Annotated[
        tuple[Literal["proposed", "waiting", "released", "refused", "failed", "monitor"], ...],
        _key("What is told: proposals, releases that wait for approval, how releases ended, what the monitor did."),
    ] = ("proposed", "waiting", "released", "refused", "failed", "monitor")
    terminal: Annotated[
        Literal["no", "bell", "osc9"], _key('The terminal of the console or watcher: "bell", "osc9" (a message), "no".')
    ] = "bell"


class Settings(Section, frozen=True, kw_only=True):
    """All settings of a project. What is empty is found in the project."""

    name: Annotated[str, _key("The model's name: its versions are NAME@v1, NAME@v2, …")] = ""
    python: Annotated[
        str, _key("The Python of the project's code; empty: .venv, the active environment, else our own.")
    ] = ""
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    test: TestSettings = TestSettings()
    quality: QualitySettings = QualitySettings()
    deploy: DeploySettings = DeploySettings()
    store: StoreSettings = StoreSettings()
    watch: Annotated[tuple[WatchSettings, ...], _key("What sets releases off by itself: one [[watch]] for each.")] = ()
    notify: NotifySettings = NotifySettings()
    monitor: MonitorSettings = MonitorSettings()


def read_settings(root: Path) -> tuple[Settings, Path | None]:
    """Read a project's settings and tell the file that they came from, or None where it has none.

    Raises:
        SettingsInvalid: see there; the sentence names file and key.
    """
    own = root / SETTINGS_FILE
    if own.exists():
        return convert(load(own), Settings, own), own
    shared = root / "pyproject.toml"
    if shared.is_file():
        table = load(shared).get("tool", {}).get("mlconsole")
        if table is not None:
            return convert(table, Settings, shared), shared
    return Settings(), None


def load(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SettingsInvalid: it is none, or can't be read.
    """
    try:
        # editors on Windows begin texts with a mark
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path.name} is not valid TOML: {error}.", "Mend the line that it names.") from error
    except OSError as error:
        raise SettingsInvalid(f"{path.name} can't be read: {error.strerror}.") from error


def convert(table: dict[str, Any], kind: type[S], path: Path) -> S:
    """Read a table strictly as the fields of `kind`; `path` is what sentences name.

    Raises:
        SettingsInvalid: a key does not exist, or a value is of the wrong type.
    """
    _refuse_unknown_keys(table, kind, path.name, "")
    try:
        return msgspec.convert(table, type=kind)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at `$")
        key = place.strip("`.")
        raise SettingsInvalid(f"{path.name}: {key or 'the settings'}: {sentence}.", "Mend the value.") from error


def _refuse_unknown_keys(table: dict[str, Any], section: type[Section], filename: str, prefix: str) -> None:
    import difflib

    hints = get_type_hints(section)
    for key, value in table.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f"Did you mean {prefix}{near[0]}?" if near else f"There are: {', '.join(hints)}."
            raise SettingsInvalid(f"{filename}: there is no setting {prefix}{key}.", hint)
        kind = hints[key]
        if isinstance(kind, type) and issubclass(kind, Section) and isinstance(value, dict):
            _refuse_unknown_keys(value, kind, filename, f"{prefix}{key}.")
        entry = entries_of(kind)
        if entry is not None and isinstance(value, list):
            for table in (table for table in value if isinstance(table, dict)):
                _refuse_unknown_keys(table, entry, filename, f"{prefix}{key}.")


def entries_of(hint: Any) -> type[Section] | None:
    """The kind of table that a key holds a list of (`[[key]]` in TOML), if it does."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    entry = get_args(plain)[0] if get_origin(plain) is tuple else None
    return entry if isinstance(entry, type) and issubclass(entry, Section) else None


def seconds(text: str, key: str) -> float | None:
    """Read a length of time such as `10s`, `5m` or `2h` in seconds; None where it is empty.

    Raises:
        SettingsInvalid: it is no length of time.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not text:
        return None
    try:
        return float(text[:-1]) * units[text[-1]]
    except (KeyError, ValueError) as error:
        raise SettingsInvalid(f"{key}: {text!r} is no length of time.", 'Write it like "10s", "5m" or "2h".') from error


def size_in_bytes(text: str, key: str) -> int | None:
    """Read an amount of memory such as `8GB`, `512MiB` or `1.5G` in bytes; None where it is empty.

    Raises:
        SettingsInvalid: it is no amount of memory.
    """
    if not text:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    amount = float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " ") if match else 0
    if amount < 1:
        raise SettingsInvalid(f"{key}: {text!r} is no amount of memory.", 'Write it like "8GB" or "512MiB".')
    return int(amount)


def descriptions(section: type[Section]) -> dict[str, str]:
    """The description of each key of a section, in order; tables have none."""
    hints = get_type_hints(section, include_extras=True)
    return {
        key: next((meta.description or "" for meta in get_args(hint)[1:] if isinstance(meta, msgspec.Meta)), "")
        for key, hint in hints.items()
        if get_origin(hint) is Annotated
    }
