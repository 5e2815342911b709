"""The workflows: what the published schemas say of them, and what they never hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlconsole.project import Project, open_project
from mlconsole.project.ci import Workflow, github, gitlab

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: m}
spec: {selector: {matchLabels: {app: m}}, template: {metadata: {labels: {app: m}}}}
"""


def project(root: Path, settings: str = "", **files: str) -> Project:
    (root / "mlconsole.toml").write_text(settings)
    (root / "deployment.yaml").write_text(DEPLOYMENT)
    (root / "tests").mkdir()
    (root / "tests" / "test_model_quality.py").write_text("def test_it():\n    assert True\n")
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text)
    return open_project(root, personal=False)


def read(text: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(text)
    return found


def shell_lines(made: dict[Any, Any], job: str) -> list[str]:
    return [step["run"].strip() for step in made["jobs"][job]["steps"] if "run" in step]


WORKFLOWS = [Workflow(), Workflow(approve=True, branch="release/2's", environment="yes", install="mlconsole @ git+x")]
SETTINGS = [
    "",
    '[deploy]\ncontext = "local"\n',
    'name = "müller: \\"m\\""\n[store]\nurl = "s3://bucket/models"\n[deploy]\ncontext = "staging"\n',
]


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (github, "mlconsole.yml", ["--builtin-schema", "vendor.github-workflows"]),
        (gitlab, ".gitlab-ci.yml", ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
)
def test_the_published_schema_takes_it(
    tmp_path: Path, make: Any, name: str, options: list[str], settings: str, workflow: Workflow
) -> None:
    file = tmp_path / name
    file.write_text(make(project(tmp_path, settings), workflow))
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *options, str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_plan_waits_for_the_environment_unless_it_was_asked_not_to(tmp_path: Path) -> None:
    made = project(tmp_path)
    asked, waits = read(github(made, Workflow(approve=True))), read(github(made, Workflow(environment="live")))
    assert list(asked["jobs"]) == ["release"]
    assert 'mlconsole run --until "$UNTIL" --approve' in shell_lines(asked, "release")
    assert waits["jobs"]["deploy"]["environment"] == "live"
    assert "--approve" not in json.dumps(waits)
    assert waits["jobs"]["deploy"]["if"] == "needs.release.outputs.waiting != ''"
    lab = read(gitlab(made, Workflow(environment="live")))
    assert lab["deploy"]["environment"] == {"name": "live"}
    assert "--approve" not in json.dumps(lab)
    assert "deploy" not in read(gitlab(made, Workflow(approve=True)))


def test_a_local_cluster_lives_in_the_job(tmp_path: Path) -> None:
    made = project(tmp_path, '[deploy]\ncontext = "local"\n')
    (run,) = [line for line in shell_lines(read(github(made, Workflow())), "release") if "mlconsole run" in line]
    assert "mlconsole cluster start" in run and "trap 'mlconsole cluster stop' EXIT" in run
    assert "KUBECONFIG" not in github(made, Workflow()) + gitlab(made, Workflow())


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"uv__lock": ""}, ["python -m pip install uv", "uv sync --frozen"]),
        (
            {"requirements__txt": ""},
            ["python -m venv .venv", ".venv/bin/python -m pip install -r requirements.txt pytest"],
        ),
        (
            {"pyproject__toml": "[project]\nname='m'"},
            ["python -m venv .venv", ".venv/bin/python -m pip install -e . pytest"],
        ),
        ({"pyproject__toml": "[tool.black]"}, []),
        ({}, []),
    ],
)
def test_the_projects_python_is_made_as_its_files_say(tmp_path: Path, files: dict[str, str], lines: list[str]) -> None:
    made = read(github(project(tmp_path, **files), Workflow(install="mlconsole>=1")))
    assert shell_lines(made, "release")[0].splitlines() == ["python -m pip install 'mlconsole>=1'", *lines]


def test_no_secret_is_in_it_only_the_names_of_the_cis_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("KUBECONFIG", "/home/ada/.kube/hunter2")
    made = project(tmp_path, '[store]\nurl = "s3://bucket/models"\n')
    both = github(made, Workflow()) + gitlab(made, Workflow())
    assert "hunter2" not in both
    assert "${{ secrets.KUBECONFIG }}" in both and "${{ secrets.AWS_SECRET_ACCESS_KEY }}" in both
    assert "# Variables that the project's CI settings have to hold: KUBECONFIG (of type File), AWS" in both
