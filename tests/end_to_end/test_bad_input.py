"""Each thing that can be wrong ends in one clear sentence and the right exit code, and never in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end


def missing_data(bench: Workbench) -> None:
    (bench.root / "data/training.csv").unlink()
    bench.write("mlconsole.toml", '[data]\npath = "data/training.csv"\n')


def ragged_rows(bench: Workbench) -> None:
    bench.write("data/training.csv", "x,y\n1,2\n3\n5,6\n")


def failing_training(bench: Workbench) -> None:
    bench.write("train_model.py", "import sys  # --data --output\nprint('about to fail')\nsys.exit('no memory left')\n")
    bench.write("mlconsole.toml", '[train]\ncommand = "python train_model.py {data} {model}"\n')


def no_model(bench: Workbench) -> None:
    bench.write("train_model.py", "print('done')\n")
    bench.write("mlconsole.toml", '[train]\ncommand = "python train_model.py {data} {model}"\n')


def missing_command(bench: Workbench) -> None:
    bench.write("mlconsole.toml", '[train]\ncommand = "trainer-that-is-not-there {data} {model}"\n')


def failing_test(bench: Workbench) -> None:
    bench.write("tests/test_model_quality.py", "def test_bad():\n    assert 1 == 2, 'worse than a coin'\n")


def manifest_not_yaml(bench: Workbench) -> None:
    bench.write("deployment.yaml", "kind: Deployment\n  name: [unclosed\n")


def manifest_with_unknown_field(bench: Workbench) -> None:
    text = (bench.root / "deployment.yaml").read_text()
    bench.write("deployment.yaml", text.replace("replicas: 2", "replicaz: 2"))
    bench.type("cluster", "start")


def misspelt_setting(bench: Workbench) -> None:
    bench.write("mlconsole.toml", "[deploy]\nmanifest = ['deployment.yaml']\n")


def no_repository(bench: Workbench) -> None:
    (bench.root / ".git").rename(bench.root / "not-git")


def cluster_not_started(bench: Workbench) -> None:
    pass


def no_cluster_at_all(bench: Workbench) -> None:
    bench.write("mlconsole.toml", "")


def cluster_that_refuses(bench: Workbench) -> None:
    bench.write("mlconsole.toml", "")
    bench.write("no-kubeconfig", KUBECONFIG)


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: closed
clusters: [{name: closed, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {token: secret-token}}]
contexts: [{name: closed, context: {cluster: closed, user: me}}]
"""


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (missing_data, 2, "training.csv"),
        (ragged_rows, 1, "line 3"),
        (failing_training, 1, "exit code 1"),
        (no_model, 1, "no model"),
        (missing_command, 2, "trainer-that-is-not-there"),
        (failing_test, 1, "1 of 1 test failed"),
        (manifest_not_yaml, 2, "deployment.yaml"),
        (manifest_with_unknown_field, 2, "replicaz"),
        (misspelt_setting, 2, "Did you mean deploy.manifests?"),
        (no_repository, 2, "not a git repository"),
        (cluster_not_started, 3, "The local cluster is not running"),
        (no_cluster_at_all, 3, "kubeconfig"),
        (cluster_that_refuses, 3, "127.0.0.1"),
    ],
)
def test_a_fault_is_told_in_a_sentence(
    bench: Workbench, spoil: Callable[[Workbench], None], code: int, sentence: str
) -> None:
    spoil(bench)
    ended = bench.type("run", "--approve")
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    assert "defect" not in said
    assert "secret-token" not in said
    assert sentence.lower() in said.lower(), said
    assert ended.returncode == code, said


def test_a_word_that_is_no_command_is_answered_with_the_nearest(bench: Workbench) -> None:
    ended = bench.type("rnu")
    assert (ended.returncode, "Did you mean run?" in ended.stderr) == (2, True)


def test_escapes_and_markup_show_as_plain_text(bench: Workbench) -> None:
    bench.write("a \x1b]52;c;ZXZpbA==\x07file [bold].txt", "new")
    bench.commit("evil \x1b[2J [/oops] subject")
    bench.write("train_model.py", "print('\\x1b[31mevil [red]log')\nraise SystemExit(1)\n")
    bench.write("mlconsole.toml", '[train]\ncommand = "python train_model.py {data} {model}"\n')
    bench.write("b \x1b[2J[link].txt", "dirty")
    ended = bench.type("run", "--until", "train")
    shown = bench.type("show", "1", "--stage", "repo").stdout
    assert "\x1b" not in ended.stdout + ended.stderr + shown
    assert "evil [red]log" in ended.stdout
    assert "evil  [/oops] subject" in shown
