"""Tests run again outside of a release, as a person types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlconsole.cli import commands
from mlconsole.errors import WrongUse

TRAIN = "import sys\nopen(sys.argv[sys.argv.index('--output') + 1], 'w').write('weights')\n"
TESTS = """
import os
def test_model(): assert open(os.environ["MODEL_PATH"]).read() == "weights"
def test_sums():
    print("so far so good")
    assert 1 + 1 == 3, "wrong sum"
class TestClass:
    def test_model_again(self): pass
"""


def typed(root: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = CliRunner().invoke(commands, [*words, "-C", str(root)], standalone_mode=False, catch_exceptions=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value or 0), done.stdout, done.stderr


def prepare(root: Path) -> Path:
    for folder in ("data", "tests"):
        (root / folder).mkdir(parents=True)
    (root / "data/training.csv").write_text("hour,bikers\n" + "".join(f"{n % 24},{n}\n" for n in range(300)))
    (root / "train_model.py").write_text(TRAIN)
    (root / "tests/test_model_quality.py").write_text(TESTS)
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "mlconsole.toml").write_text(
        'name = "m"\n[data]\npath = "data/training.csv"\n[train]\n'
        'command = "python train_model.py --data {data} --output {model}"\n[test]\npaths = ["tests"]\n'
    )
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a release whose tests failed."""
    root = prepare(tmp_path_factory.mktemp("tests") / "project")
    assert typed(root, "test")[0] == 1
    return root


def ran(output: str) -> list[str]:
    """What was run, by the last part of each node id."""
    lines = [line.split("  test   ")[1] for line in output.splitlines() if "  test   " in line]
    return [" ".join(line.split()[:2]).replace("tests/test_model_quality.py::", "").rstrip(":") for line in lines]


@pytest.mark.parametrize(
    ("words", "outcomes", "code"),
    [
        (["--failed"], ["failed test_sums"], 1),
        (["-k", "sums or TestClass"], ["failed test_sums", "passed TestClass::test_model_again"], 1),
        (["-k", "not sums"], ["passed test_model", "passed TestClass::test_model_again"], 0),
        (["tests/test_model_quality.py::test_model"], ["passed test_model"], 0),
        (["tests/test_model_quality.py::TestClass"], ["passed TestClass::test_model_again"], 0),
        (["tests", "-k", "TestClass"], ["passed TestClass::test_model_again"], 0),
    ],
)
def test_some_tests_are_run_again_and_nothing_is_recorded(
    root: Path, words: list[str], outcomes: list[str], code: int
) -> None:
    history = typed(root, "show", "1", "--json")[1]
    found, output, narration = typed(root, "test", *words)
    assert (found, ran(output)) == (code, outcomes)
    assert "this is not recorded, and changes no evidence and no gate" in narration
    assert typed(root, "show", "1", "--json")[1] == history


def test_the_exact_command_is_printed_and_a_failure_in_full(root: Path) -> None:
    _, output, narration = typed(root, "test", "--failed")
    (command,) = [line for line in narration.splitlines() if line.startswith("$ ")]
    assert command.endswith(" -m pytest -q tests/test_model_quality.py::test_sums")
    by_hand = subprocess.run(command[2:], shell=True, cwd=root, capture_output=True, text=True)
    assert by_hand.returncode == 1
    assert "1 failed" in by_hand.stdout
    assert "E       AssertionError: wrong sum" in output
    assert "so far so good" in output
    assert "1/1 failed of 1" in output


def test_as_json_each_outcome_is_a_line_and_the_run_is_the_last(root: Path) -> None:
    code, output, _ = typed(root, "test", "--failed", "--json")
    outcome, run = map(json.loads, output.splitlines())
    assert (code, outcome["outcome"], outcome["message"].splitlines()[0]) == (1, "failed", "AssertionError: wrong sum")
    assert run["exit_code"] == 1
    assert [test["nodeid"] for test in run["outcomes"]] == ["tests/test_model_quality.py::test_sums"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tests/absent.py"], "There is no test for tests/absent.py."),
        (["-k", "absent"], "There is no test for -k absent."),
        (["-k", "and and"], "pytest was started in the wrong way: Wrong expression passed to '-k'"),
    ],
)
def test_what_is_not_there_is_wrong_use(root: Path, words: list[str], sentence: str) -> None:
    code, output, narration = typed(root, "test", *words)
    assert (code, ran(output)) == (2, [])
    assert sentence in narration


def test_node_ids_of_another_root_folder_find_their_tests(tmp_path: Path) -> None:
    moved = prepare(tmp_path / "project")
    # pytest's root is where its settings are, and tests are named from there on
    (moved / "pytest.ini").rename(tmp_path / "pytest.ini")
    assert typed(moved, "test")[0] == 1
    code, output, narration = typed(moved, "test", "--failed")
    assert (code, ran(output)) == (1, ["failed project/test_sums"])
    assert "  # only project/tests/test_model_quality.py::test_sums" in narration


def test_what_never_failed_is_not_run_again(tmp_path: Path) -> None:
    root = prepare(tmp_path / "project")
    with pytest.raises(WrongUse, match="No release has a model yet"):
        typed(root, "test", "--failed")
    typed(root, "train")
    with pytest.raises(WrongUse, match="No test has ended in this release yet"):
        typed(root, "test", "--failed")
    (root / "tests/test_model_quality.py").write_text("def test_a(): pass\n")
    assert typed(root, "test")[0] == 0
    code, output, narration = typed(root, "test", "--failed")
    assert (code, ran(output)) == (0, [])
    assert "No test has failed." in narration


def test_one_thing_is_asked_at_a_time(root: Path) -> None:
    import click

    with pytest.raises(click.UsageError, match="exclude each other"):
        typed(root, "test", "--failed", "--again")
