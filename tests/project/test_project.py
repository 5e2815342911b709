"""A project's settings are read strictly; what they leave open is found."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from mlconsole.errors import WrongUse
from mlconsole.project import find_root, open_project
from mlconsole.project.settings import SettingsInvalid, seconds, size_in_bytes
from mlconsole.project.writing import SettingsThere, as_toml, initialise

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: bike-model}
spec:
  selector: {matchLabels: {app: bikes, tier: model}}
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A project of the plain layout, without settings."""
    for name, text in {
        "data/training.csv": "a,b\n1,2\n",
        "data/holdout.csv": "a,b\n1,2\n",
        "train_model.py": 'TARGET = "b"\nparser.add_argument("--data")\nparser.add_argument("--output")\n',
        "tests/test_model_quality.py": "",
        "deployment.yaml": DEPLOYMENT,
        "params.yaml": "depth: 3\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_plain_layout_needs_no_settings(plain: Path) -> None:
    settings = open_project(plain).settings
    assert settings.name == "bike-model"
    assert settings.data.path == "data/training.csv"
    assert settings.data.target == "b"
    assert settings.train.command == "python train_model.py --data {data} --output {model}"
    assert settings.train.parameters == "params.yaml"
    assert settings.test.paths == ("tests/test_model_quality.py",)
    assert settings.quality.holdout == "data/holdout.csv"
    assert settings.deploy.manifests == ("deployment.yaml",)
    assert settings.deploy.selector == "app=bikes,tier=model"


def test_what_is_given_is_not_searched_for(plain: Path) -> None:
    (plain / "mlconsole.toml").write_text('name = "mine"\n[data]\npath = "other.csv"\n')
    project = open_project(plain)
    assert (project.settings.name, project.settings.data.path) == ("mine", "other.csv")
    assert "data.path" not in {found.key for found in project.found}


@pytest.mark.parametrize("name", ["mlconsole.toml", "pyproject.toml"])
def test_settings_may_be_written_by_an_editor_on_windows(plain: Path, name: str) -> None:
    text = 'name = "mine"\r\n' if name == "mlconsole.toml" else '[tool.mlconsole]\r\nname = "mine"\r\n'
    (plain / name).write_bytes(text.encode("utf-8-sig"))
    assert open_project(plain).settings.name == "mine"


def test_settings_may_stand_in_pyproject(plain: Path) -> None:
    (plain / "pyproject.toml").write_text('[tool.mlconsole]\nname = "from-pyproject"\n')
    assert open_project(plain).settings.name == "from-pyproject"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[deploy]\nmanifest = 'x'\n", r"no setting deploy\.manifest\. Did you mean deploy\.manifests\?"),
        ("[quality]\ntolerence = 0.1\n", r"Did you mean quality\.tolerance\?"),
        ("nmae = 'x'\n", r"Did you mean name\?"),
        ("[quality]\ntolerance = 'much'\n", r"quality\.tolerance: Expected `float`, got `str`"),
        ("name = \n", r"mlconsole\.toml is not valid TOML"),
        ("data = 3\n", r"data: Expected `object`, got `int`"),
    ],
)
def test_a_wrong_setting_is_named(plain: Path, text: str, sentence: str) -> None:
    (plain / "mlconsole.toml").write_text(text)
    with pytest.raises(SettingsInvalid, match=sentence):
        open_project(plain)


def test_an_empty_folder_is_a_project_with_everything_open(tmp_path: Path) -> None:
    project = open_project(tmp_path)
    assert project.settings.data.path == ""
    assert project.settings.train.command == ""


def test_a_project_is_found_from_a_folder_below_it(plain: Path) -> None:
    assert find_root(plain / "data") == plain


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="There is no folder"):
        open_project(tmp_path / "nowhere")


def test_init_writes_what_was_found_with_a_comment_a_key(plain: Path) -> None:
    found = open_project(plain)
    path = initialise(found)
    text = path.read_text()
    assert tomllib.loads(text)["deploy"]["selector"] == "app=bikes,tier=model"
    keys = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    comments = [line for line in text.partition("# [[watch]]")[0].splitlines() if line.startswith("# ")]
    assert len(keys) == len(comments)
    assert msgspec.structs.asdict(open_project(plain).settings) == msgspec.structs.asdict(found.settings)
    assert as_toml(open_project(plain)).count("Found:") == 0


def test_init_overwrites_nothing(plain: Path) -> None:
    initialise(open_project(plain))
    with pytest.raises(SettingsThere):
        initialise(open_project(plain))


def test_manifests_that_cannot_be_read_do_not_keep_a_project_from_opening(plain: Path) -> None:
    (plain / "deployment.yaml").write_text("kind: [unclosed\n")
    assert open_project(plain).settings.deploy.selector == ""


def test_lengths_of_time() -> None:
    assert (seconds("10s", "x"), seconds("5m", "x"), seconds("", "x")) == (10, 300, None)
    with pytest.raises(SettingsInvalid, match="no length of time"):
        seconds("soon", "deploy.settle")


@pytest.mark.parametrize(
    ("text", "amount"),
    [("8GB", 8 * 10**9), ("512 MiB", 512 * 2**20), ("1.5g", 1_500_000_000), ("100", 100), ("2k", 2000), ("", None)],
)
def test_an_amount_of_memory_is_read(text: str, amount: int | None) -> None:
    assert size_in_bytes(text, "train.memory") == amount


@pytest.mark.parametrize("text", ["much", "8 apples", "0", "-1GB", "GB"])
def test_what_is_no_amount_of_memory_is_a_sentence(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"train\.memory: .* is no amount of memory"):
        size_in_bytes(text, "train.memory")


def test_a_sweep_is_lists_of_values(plain: Path) -> None:
    (plain / "mlconsole.toml").write_text("[train]\njobs = 2\n[train.sweep]\ndepth = [3, 5]\nkind = ['a', true]\n")
    train = open_project(plain).settings.train
    assert (train.jobs, train.sweep) == (2, {"depth": [3, 5], "kind": ["a", True]})


def test_what_is_watched_is_read_as_a_list_of_tables_whose_keys_are_checked(plain: Path) -> None:
    given = '[[watch]]\nkind = "data"\nthen = "run"\n[[watch]]\nkind = "schedule"\ncron = "0 6 * * 1"\n'
    (plain / "mlconsole.toml").write_text(given)
    watches = open_project(plain).settings.watch
    assert [(watch.kind, watch.then, watch.cron) for watch in watches] == [
        ("data", "run", ""),
        ("schedule", "propose", "0 6 * * 1"),
    ]
    (plain / "mlconsole.toml").write_text('[[watch]]\nkind = "data"\nsetle = "1s"\n')
    with pytest.raises(SettingsInvalid, match=r"Did you mean watch\.settle\?"):
        open_project(plain)
