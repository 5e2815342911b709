"""Which change concerns which stage: every one by itself, and any of them together.

A stage runs where its inputs differ, and says which; so all that there is to hold is what `inputs` names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.evidence.base import STAGES, Fingerprint, Input, InputPart, StageName, now
from mlconsole.evidence.cluster import ClusterTarget, DeployEvidence, DeployPlan
from mlconsole.evidence.data import DataEvidence, DataProfile, DataSchema
from mlconsole.evidence.training import ModelFile, ModelVersion, PythonEnvironment, ResourceUse, TrainEvidence
from mlconsole.journal import Journal
from mlconsole.project import open_project
from mlconsole.stages import stage_of
from mlconsole.stages.base import Known, StageContext, fingerprint_of
from mlconsole.stages.data import identify

SITE = f".venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: m}
spec:
  replicas: 2
  selector: {matchLabels: {app: m}}
  template: {metadata: {labels: {app: m}}, spec: {containers: [{name: m, image: "m:1"}]}}
"""
FILES = {
    "data/training.csv": "x,y\n1,2\n2,4\n",
    "data/holdout.csv": "x,y\n3,6\n",
    "checks.yaml": "minimum_rows: 1\ncolumns: {}\n",
    "params.yaml": "rate: 0.1\n",
    "train_model.py": "import helper\nfrom features.scale import scaled\n# a remark\nprint(helper.FACTOR)\n",
    "helper.py": "FACTOR = 1\n",
    "features/__init__.py": "",
    "features/scale.py": "def scaled(x):\n    return x\n",
    "unrelated.py": "print(1)\n",
    "conftest.py": "",
    "pytest.ini": "[pytest]\n",
    "tests/test_quality.py": "from tests.tools import close\n\n\ndef test_it():\n    assert close(1, 1)\n",
    "tests/__init__.py": "",
    "tests/tools.py": "def close(a, b):\n    return a == b\n",
    "tests/test_slow.py": "def test_slow():\n    pass\n",
    "deployment.yaml": MANIFEST,
    "README.md": "a model\n",
    ".gitignore": ".venv\n.mlconsole\ndata\n",
    f"{SITE}/numpy-1.0.dist-info/METADATA": "",
    ".venv/pyvenv.cfg": "home = /usr/bin\n",
}
SETTINGS: dict[str, Any] = {
    "name": "m",
    "data": {"path": "data/training.csv", "target": "y", "checks": "checks.yaml"},
    "train": {"command": "python train_model.py {data} {model}", "parameters": "params.yaml"},
    "test": {"paths": ["tests/test_quality.py"]},
    "quality": {"holdout": "data/holdout.csv"},
    "deploy": {"manifests": ["deployment.yaml"], "selector": "app=m", "context": "there", "namespace": "default"},
}
TREE = "commit and working tree"

Concerned = dict[StageName, set[str]]


class Place(NamedTuple):
    """A project's folder, and its settings, which are written once all changes are made."""

    root: Path
    settings: dict[str, Any]

    def set(self, key: str, value: Any) -> None:
        section, _, name = key.rpartition(".")
        (self.settings.setdefault(section, {}) if section else self.settings)[name] = value

    def append(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        with (self.root / name).open("a") as file:
            file.write(text)


def toml(settings: dict[str, Any]) -> str:
    """Settings as TOML, whose texts, numbers and lists are those of JSON."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict):
            inner = ((name, toml_value(entry)) for name, entry in value.items())
            lines += [f"[{key}]", *(f"{name} = {entry}" for name, entry in inner)]
        else:
            lines.append(f"{key} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {json.dumps(entry)}" for key, entry in value.items()) + "}"
    return json.dumps(value)


Change = Callable[[Place], None]


def grown(name: str, text: str) -> Change:
    return lambda place: place.append(name, text)


def setting(key: str, value: Any) -> Change:
    return lambda place: place.set(key, value)


def renamed(old: str, new: str) -> Change:
    return lambda place: (place.root / old).rename(place.root / new) and None


CHANGES: dict[str, tuple[Change, Concerned]] = {
    # files: what git tracks is the repository's, too
    "a parameter": (grown("params.yaml", "depth: 3\n"), {"repo": {TREE}, "train": {"parameters"}}),
    "a comment in the training code": (
        grown("train_model.py", "# more\n"),
        {"repo": {TREE}, "train": {"training code"}},
    ),
    "a module that it imports": (grown("helper.py", "FACTOR = 2\n"), {"repo": {TREE}, "train": {"training code"}}),
    "a module in a package": (grown("features/scale.py", "# x\n"), {"repo": {TREE}, "train": {"training code"}}),
    "a script that nothing imports": (grown("unrelated.py", "print(2)\n"), {"repo": {TREE}}),
    "a text about it": (grown("README.md", "more\n"), {"repo": {TREE}}),
    "a row of data": (grown("data/training.csv", "5,10\n"), {"data": {"data"}, "train": {"data"}}),
    "a row of the hold-out": (grown("data/holdout.csv", "5,10\n"), {"test": {"hold-out"}}),
    "how texts are encoded": (
        setting("data.encoding", "latin-1"),
        {"repo": {TREE}, "data": {"data settings"}, "test": {"how the hold-out is written"}},
    ),
    "a rule for the data": (grown("checks.yaml", "relations: []\n"), {"repo": {TREE}, "data": {"checks"}}),
    "a test": (grown("tests/test_quality.py", "# more\n"), {"repo": {TREE}, "test": {"tests"}}),
    "a module of the tests": (grown("tests/tools.py", "# more\n"), {"repo": {TREE}, "test": {"tests"}}),
    "a test that is not run": (grown("tests/test_slow.py", "# more\n"), {"repo": {TREE}}),
    "a fixture above": (grown("conftest.py", "# more\n"), {"repo": {TREE}, "test": {"tests"}}),
    "options in pytest's file": (
        grown("pytest.ini", "addopts = -x\n"),
        {"repo": {TREE}, "test": {"pytest's configuration"}},
    ),
    "a package": (
        renamed(f"{SITE}/numpy-1.0.dist-info", f"{SITE}/numpy-2.0.dist-info"),
        {"train": {"Python environment"}, "test": {"Python environment"}},
    ),
    "another package": (
        grown(f"{SITE}/new-1.0.dist-info/METADATA", ""),
        {"train": {"Python environment"}, "test": {"Python environment"}},
    ),
    "a manifest": (
        grown("deployment.yaml", "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"),
        {"repo": {TREE}, "deploy": {"manifests"}},
    ),
    # settings: their file is the repository's
    "the tolerance": (setting("quality.tolerance", 0.2), {"repo": {TREE}, "test": {"quality settings"}}),
    "the metric": (setting("quality.metric", "r2"), {"repo": {TREE}, "test": {"quality settings"}}),
    "drift that fails": (setting("data.drift", "fail"), {"repo": {TREE}, "data": {"data settings"}}),
    "the target": (setting("data.target", "x"), {"repo": {TREE}, "data": {"target"}}),
    "the command": (setting("train.command", "python train_model.py"), {"repo": {TREE}, "train": {"command"}}),
    "where the model is": (setting("train.model", "*.pkl"), {"repo": {TREE}, "train": {"place of the model"}}),
    "options of the tests": (setting("test.args", ["-x"]), {"repo": {TREE}, "test": {"test settings"}}),
    "the image": (setting("deploy.image", "m:{commit}"), {"repo": {TREE}, "deploy": {"image"}}),
    "the namespace": (setting("deploy.namespace", "prod"), {"repo": {TREE}, "deploy": {"target"}}),
    "the store": (setting("store.url", "s3://bucket/models"), {"repo": {TREE}, "deploy": {"model store"}}),
    "the settling time": (setting("deploy.settle", "3s"), {"repo": {TREE}, "pods": {"settling time"}}),
    "a smoke test": (setting("deploy.smoke", {"path": "/"}), {"repo": {TREE}, "pods": {"smoke test"}}),
    # what decides nothing that a stage finds out
    "how long training may take": (setting("train.timeout", "2h"), {"repo": {TREE}}),
    "what follows a failed deploy": (setting("deploy.rollback", "auto"), {"repo": {TREE}}),
    "who is notified": (setting("notify.webhook", "HOOK"), {"repo": {TREE}}),
}


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """The project as it was committed, to be copied for each trial."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        for name, text in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / ".venv/bin").mkdir()
        (root / ".venv/bin/python").symlink_to(sys.executable)
        (root / "mlconsole.toml").write_text(toml(SETTINGS))
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "one")):
            subprocess.run(["git", *words], cwd=root, check=True, timeout=30)
        yield root


@pytest.fixture(scope="module")
def before(template: Path) -> dict[StageName, Any]:
    return fingerprints(template)


def fingerprints(root: Path) -> dict[StageName, Any]:
    """What each stage names as its inputs in a project whose candidate and plan are always the same."""
    project = open_project(root)
    journal = Journal(project.journal_path)
    version = ModelVersion(
        name="m",
        number=2,
        model=ModelFile(digest="sha256:m", size=1, filename="m"),
        release=2,
        created_at=now(),
        data_digest="sha256:d",
    )
    environment = PythonEnvironment(executable="python", version="3", digest="sha256:e")
    training = TrainEvidence(
        command="", environment=environment, parameters=(), exit_code=0, use=ResourceUse(seconds=0), version=version
    )
    target = ClusterTarget(context="there", namespace="default", selector="app=m")
    plan = DeployPlan(digest="", target=target, version=version.label, manifests="", manifests_digest="", changes=())
    profile = DataProfile(identity=identify(project), rows=1, columns=())
    known = Known(
        data=DataEvidence(profile=profile, schema=DataSchema(columns=())),
        train=training,
        deploy=DeployEvidence(plan=plan),
    )
    context = StageContext(
        project=project,
        journal=journal,
        known=known,
        champion=None,
        cancelled=threading.Event(),
        release=None,
        emit=lambda body: None,
        approves=lambda plan: False,
    )
    try:
        return {name: fingerprint_of(stage_of(name).inputs(context)) for name in STAGES}
    finally:
        journal.close()


def changed(template: Path, changes: list[str]) -> dict[StageName, Any]:
    """What each stage names as its inputs in a copy of the project with some changes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        shutil.copytree(template, root, symlinks=True, ignore=shutil.ignore_patterns(".mlconsole"))
        place = Place(root, {key: dict(value) if isinstance(value, dict) else value for key, value in SETTINGS.items()})
        for name in changes:
            CHANGES[name][0](place)
        text = toml(place.settings)
        if (root / "mlconsole.toml").read_text() != text:
            (root / "mlconsole.toml").write_text(text)
        return fingerprints(root)


def concerned(template: Path, before: dict[StageName, Any], changes: list[str]) -> Concerned:
    """Make some changes: the stages that are concerned, each with the inputs that it names."""
    after = changed(template, changes)
    return {name: set(after[name].changed_since(before[name])) for name in STAGES if after[name] != before[name]}


def expected(changes: list[str]) -> Concerned:
    found: Concerned = defaultdict(set)
    for name in changes:
        for stage, inputs in CHANGES[name][1].items():
            found[stage] |= inputs
    return found


@pytest.fixture(autouse=True)
def no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


def test_a_copy_in_which_nothing_changed_concerns_nobody(template: Path, before: dict[StageName, Any]) -> None:
    assert concerned(template, before, []) == {}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_concerns_just_what_depends_on_it(
    template: Path, before: dict[StageName, Any], change: str
) -> None:
    assert concerned(template, before, [change]) == expected([change])


@settings(max_examples=25)
@given(changes=st.lists(st.sampled_from(sorted(CHANGES)), unique=True, max_size=8))
def test_any_changes_together_concern_what_each_of_them_does(
    template: Path, before: dict[StageName, Any], changes: list[str]
) -> None:
    assert concerned(template, before, changes) == expected(changes)


WORDS: dict[str, tuple[StageName, str]] = {
    "a parameter": ("train", "parameters (params.yaml)"),
    "a comment in the training code": ("train", "training code (train_model.py)"),
    "a module in a package": ("train", "training code (features/scale.py)"),
    "a row of data": ("train", "data (data/training.csv)"),
    "a row of the hold-out": ("test", "hold-out (data/holdout.csv)"),
    "a rule for the data": ("data", "checks (checks.yaml)"),
    "a module of the tests": ("test", "tests (tests/tools.py)"),
    "a package": ("train", "Python environment (numpy 1.0 → 2.0)"),
    "another package": ("test", "Python environment (new new 1.0)"),
    "the tolerance": ("test", "quality settings (tolerance 0.01 → 0.2)"),
    "the command": ("train", "command"),
}


@pytest.mark.parametrize("change", WORDS)
def test_what_changed_is_named(template: Path, before: dict[StageName, Any], change: str) -> None:
    stage, words = WORDS[change]
    assert changed(template, [change])[stage].words_since(before[stage]) == (words,)


def test_of_many_files_the_first_are_named(template: Path, before: dict[StageName, Any]) -> None:
    changes = ["a comment in the training code", "a module that it imports", "a module in a package"]
    found = changed(template, changes)["train"]
    expected_words = "training code (features/scale.py, helper.py and train_model.py)"
    assert found.words_since(before["train"]) == (expected_words,)

    def code(**states: str) -> Fingerprint:
        parts = tuple(InputPart(name, f"sha256:{state}") for name, state in states.items())
        return Fingerprint(digest=str(states), inputs=(Input(name="training code", digest=str(states), parts=parts),))

    many = code(a="1", b="1", c="1", d="1", e="1")
    assert code(a="2", c="1", d="2", e="2", f="1").words_since(many) == ("training code (a, d, e and 2 more)",)
    assert code(a="1", b="1", c="2", f="1").words_since(many) == ("training code (c, new f, d gone and 1 more)",)


def test_what_was_kept_without_its_parts_is_named_as_a_whole(template: Path, before: dict[StageName, Any]) -> None:
    train = before["train"]
    old = fingerprint_of(tuple(Input(name=entry.name, digest=entry.digest) for entry in train.inputs))
    assert old.digest == train.digest
    assert changed(template, ["a module that it imports"])["train"].words_since(old) == ("training code",)
