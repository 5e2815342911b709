"""The workflows' own shell steps, run in fresh clones as a CI does: judged, planned, approved, told."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]


class Runner:
    """Runs the shell steps of a job: each job in a clone of its own at the same place, the state kept between them."""

    def __init__(self, bench: Workbench, folder: Path) -> None:
        self.origin, self.workspace, self.kept = bench.root, folder / "work", folder / "kept"
        self.summary, self.outputs = folder / "summary.md", folder / "outputs"
        programs = folder / "bin"
        programs.mkdir()
        (programs / "mlconsole").write_text(f'#!/bin/sh\nexec {sys.executable} -m mlconsole "$@"\n')
        (programs / "mlconsole").chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": bench.kubeconfig,
            "LOGNAME": "ada",
        }
        self.printed = ""

    def clone(self) -> None:
        """A fresh checkout with what was kept."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", str(self.origin), str(self.workspace)], check=True, timeout=60)
        if self.kept.exists():
            shutil.copytree(self.kept, self.workspace / ".mlconsole")

    def keep(self) -> None:
        """What a cache or an artifact does."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.workspace / ".mlconsole", self.kept)

    def run(self, script: str, **variables: str) -> int:
        """One step, by the shell that CI uses."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.workspace,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )
        self.printed = done.stdout
        return done.returncode

    def github_job(self, made: dict[Any, Any], job: str, event: str, waiting: str = "") -> dict[str, int]:
        """The exit code of each step of a job, by its name; installing and `uses` are left out."""
        values = {
            "github.event_name == 'pull_request' && 'test' || 'pods'": "test" if event == "pull_request" else "pods",
            "needs.release.outputs.waiting": waiting,
        }
        codes: dict[str, int] = {}
        self.clone()
        for step in made["jobs"][job]["steps"]:
            if "run" not in step or step["name"] in ("Install", "Kubeconfig"):
                continue
            if any(codes.values()) and step.get("if") != "always()":
                continue
            variables = {
                name: re.sub(r"\$\{\{ (.+?) \}\}", lambda match: values[match[1]], value)
                for name, value in step.get("env", {}).items()
            }
            files = {"GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_OUTPUT": str(self.outputs)}
            codes[step["name"]] = self.run(step["run"], GITHUB_RUN_ID="77", **files, **variables)
        self.keep()
        return codes

    def output(self, name: str) -> str:
        """The last value of a job's output."""
        lines = self.outputs.read_text().splitlines()
        return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")][-1]


@pytest.fixture
def runner(bench: Workbench, tmp_path: Path) -> Iterator[Runner]:
    """A project whose releases go to the current context: here, the local cluster of another folder."""
    bench.write("mlconsole.toml", '[deploy]\nsettle = "1s"\n')
    bench.write(".gitignore", "__pycache__\n.mlconsole\n")
    yield Runner(bench, tmp_path)


def test_github_judges_plans_and_deploys_after_the_environment_let_it(bench: Workbench, runner: Runner) -> None:
    assert bench.type("ci", "github", "--write").stdout == ".github/workflows/mlconsole.yml\n"
    again = bench.type("ci", "github", "--write")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    bench.commit("Release in CI")
    made = yaml.safe_load((bench.root / ".github/workflows/mlconsole.yml").read_text())
    assert bench.type("cluster", "start").returncode == 0

    judged = runner.github_job(made, "release", "pull_request")
    assert judged == {"Release": 0, "Report": 0}, runner.printed
    assert (runner.output("state"), runner.output("waiting")) == ("paused", "")

    planned = runner.github_job(made, "release", "push")
    assert planned == {"Release": 0, "Report": 0}, runner.printed
    number = runner.output("waiting")
    assert number
    page = runner.summary.read_text()
    assert f"## Release {number}: tiny@v1 — " in page
    assert "| create | Deployment tiny |" in page

    deployed = runner.github_job(made, "deploy", "push", number)
    assert deployed == {"Deploy what was planned": 0, "Report": 0}, runner.printed
    assert (runner.output("state"), runner.output("waiting")) == ("done", "")
    history = [json.loads(line) for line in _typed(runner, "history", "--json").splitlines()]
    assert history[0]["state"] == "done"
    decisions = _typed(runner, "show", number)
    assert "ada" in decisions and "approved in run 77" in decisions

    nothing_new = runner.github_job(made, "release", "push")
    assert (nothing_new, runner.output("waiting")) == ({"Release": 0, "Report": 0}, "")


def _typed(runner: Runner, *words: str) -> str:
    assert runner.run(f"mlconsole {' '.join(words)}") == 0, runner.printed
    return runner.printed


def test_a_gate_that_says_no_fails_the_job_and_is_told(bench: Workbench, runner: Runner) -> None:
    bench.write("tests/test_model_quality.py", "def test_it():\n    assert False, 'worse'\n")
    bench.commit("A test that fails")
    made = yaml.safe_load(bench.type("ci", "github").stdout)
    codes = runner.github_job(made, "release", "push")
    assert codes == {"Release": 1, "Report": 0}
    assert (runner.output("state"), runner.output("waiting")) == ("refused", "")
    assert "| test | " in runner.summary.read_text()
    assert "test\\_it" in runner.summary.read_text() or "test_it" in runner.summary.read_text()


def test_wrong_settings_fail_the_job_although_a_plan_waits(bench: Workbench, runner: Runner) -> None:
    assert bench.type("cluster", "start").returncode == 0
    bench.commit("Go")
    made = yaml.safe_load(bench.type("ci", "github").stdout)
    assert runner.github_job(made, "release", "push")["Release"] == 0
    bench.write("mlconsole.toml", "[deploy]\nsetle = '1s'\n")
    bench.commit("A slip of the pen")
    assert runner.github_job(made, "release", "push")["Release"] != 0


class GitLab(http.server.BaseHTTPRequestHandler):
    """Takes notes at merge requests."""

    notes: list[tuple[str, str, str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.notes.append((self.path, self.headers["PRIVATE-TOKEN"], json.loads(body)["body"]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


def test_gitlab_does_the_same_and_puts_a_note_at_the_merge_request(bench: Workbench, runner: Runner) -> None:
    assert bench.type("ci", "gitlab", "--write").stdout == ".gitlab-ci.yml\n"
    bench.commit("Release in CI")
    made = yaml.safe_load((bench.root / ".gitlab-ci.yml").read_text())
    assert bench.type("cluster", "start").returncode == 0
    report = made[".mlconsole"]["after_script"][0]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitLab)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        lab = {"GITLAB_CI": "true", "CI_JOB_ID": "9"}
        request = {
            "CI_MERGE_REQUEST_IID": "5",
            "CI_PROJECT_ID": "3",
            "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}/api/v4",
            "MLCONSOLE_GITLAB_TOKEN": "glpat-1",
        }
        runner.clone()
        assert runner.run(made["release"]["script"][0], UNTIL="test", **lab) == 0, runner.printed
        assert runner.run(report, **lab, **request) == 0, runner.printed
        runner.keep()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, token, page),) = GitLab.notes
    assert (path, token) == ("/api/v4/projects/3/merge_requests/5/notes", "glpat-1")
    assert page == (runner.workspace / "mlconsole-record.md").read_text()

    runner.clone()
    assert runner.run(made["release"]["script"][0], UNTIL="pods", **lab) == 0, runner.printed
    assert runner.run(report, **lab) == 0
    name, _, number = (runner.workspace / "mlconsole.env").read_text().strip().partition("=")
    assert (name, number.isdecimal()) == ("MLCONSOLE_WAITING", True)
    runner.keep()
    runner.clone()
    assert runner.run(made["deploy"]["script"][0], MLCONSOLE_WAITING=number, **lab) == 0, runner.printed
    assert runner.run(report, **lab) == 0
    assert "— done" in (runner.workspace / "mlconsole-record.md").read_text()
    assert runner.run(made["deploy"]["script"][0], MLCONSOLE_WAITING="", **lab) == 0


def test_a_pipeline_that_is_there_is_left_alone(bench: Workbench) -> None:
    bench.write(".gitlab-ci.yml", "lint: {script: [ruff check]}\n")
    written = bench.type("ci", "gitlab", "--write")
    assert written.stdout == ".gitlab/mlconsole.yml\n"
    assert "include: [{local: .gitlab/mlconsole.yml}]" in written.stderr
