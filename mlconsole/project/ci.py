"""Workflows that release a project in CI: the same commands as at a desk, written once and then the team's own.

No secret is in them: they name the CI's own secrets. Nothing is approved by the workflow unless that is asked for: the
first job goes as far as the plan, and the second one approves just that plan, once the CI's environment lets it run.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from mlconsole.project import Project

GITHUB_FILE = ".github/workflows/mlconsole.yml"
GITLAB_FILE = ".gitlab-ci.yml"
GITLAB_INCLUDED = ".gitlab/mlconsole.yml"
REPORT_FILE = "mlconsole-record.md"
VARIABLES_FILE = "mlconsole.env"
WAITING = "MLCONSOLE_WAITING"
"""The variable that names the release that waits for an approval; empty where none does."""

RUN_TO_PLAN = 'mlconsole run --until "$UNTIL" || { test $? -eq 1 && mlconsole ci waits; }'
"""Exit code 1 is a gate's no, or a plan that waits: only the latter is good."""

_STORES = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "gcs": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "abfs": ("AZURE_STORAGE_CONNECTION_STRING",),
    "az": ("AZURE_STORAGE_CONNECTION_STRING",),
}


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """What a workflow is to do beside releasing.

    Attributes:
        branch: the branch that is released.
        python: the version of Python, such as `3.12`.
        install: what `pip install` brings mlconsole by.
        environment: the CI's protected environment that the deploy waits for.
        approve: deploy without anyone's approval.
    """

    branch: str = "main"
    python: str = "3.12"
    install: str = "mlconsole"
    environment: str = "production"
    approve: bool = False


def preparations(project: Project) -> tuple[str, ...]:
    """The shell lines that make the project's Python and bring its data, as its files tell."""
    root = project.root
    lines: list[str] = []
    pytest = " pytest" if project.settings.test.paths else ""
    if (root / "uv.lock").is_file():
        lines += ["python -m pip install uv", "uv sync --frozen"]
    elif (root / "poetry.lock").is_file():
        lines += ["python -m pip install poetry", "POETRY_VIRTUALENVS_IN_PROJECT=1 poetry install"]
    elif (root / "requirements.txt").is_file():
        lines += ["python -m venv .venv", f".venv/bin/python -m pip install -r requirements.txt{pytest}"]
    elif _is_package(root):
        lines += ["python -m venv .venv", f".venv/bin/python -m pip install -e .{pytest}"]
    if (root / ".dvc").is_dir():
        lines += ["python -m pip install dvc", "dvc pull"]
    return tuple(lines)


def _is_package(root: Path) -> bool:
    try:
        return "project" in tomllib.loads((root / "pyproject.toml").read_text("utf-8-sig"))
    except (OSError, ValueError):
        return False


def _store_variables(project: Project) -> tuple[str, ...]:
    return _STORES.get(project.settings.store.url.partition("://")[0], ())


def github(project: Project, workflow: Workflow) -> str:
    """A workflow of GitHub Actions."""
    local = project.is_local
    approves = workflow.approve or local
    head = _GITHUB_HEAD.format(
        name=_yaml(f"Release {project.settings.name}"), branch=_yaml(workflow.branch), run=_github_run(workflow, local)
    )
    setup = _github_setup(project, workflow)
    release = head.replace("@SETUP@\n", indent(setup.replace("@KEY@", _KEY_BEFORE), " " * 6))
    if approves:
        return release
    deploy = _GITHUB_DEPLOY.format(environment=_yaml(workflow.environment))
    return release + deploy.replace("@SETUP@\n", indent(setup.replace("@KEY@", _KEY_PLANNED), " " * 6))


def _github_run(workflow: Workflow, local: bool) -> str:
    if local:
        return (
            "# The cluster of [deploy] is a local one: it lives in this job, and nobody else is asked about it.\n"
            "          mlconsole cluster start\n"
            "          trap 'mlconsole cluster stop' EXIT\n"
            '          mlconsole run --until "$UNTIL" --approve'
        )
    return 'mlconsole run --until "$UNTIL" --approve' if workflow.approve else RUN_TO_PLAN


def _github_setup(project: Project, workflow: Workflow) -> str:
    lines = (f"python -m pip install {shlex.quote(workflow.install)}", *preparations(project))
    text = _GITHUB_SETUP.format(python=workflow.python, install=indent("\n".join(lines), " " * 4).lstrip())
    if not project.is_local:
        text += _GITHUB_KUBECONFIG
    names = _store_variables(project)
    if names:
        shown = "\n".join(f"#   {name}: ${{{{ secrets.{name} }}}}" for name in names)
        text += f"# The store reads its credentials from the environment; put them under `env:` of this job:\n{shown}\n"
    return text


_KEY_BEFORE = """\
    key: mlconsole-${{ github.ref_name }}-${{ github.run_id }}-${{ github.run_attempt }}
    restore-keys: mlconsole-${{ github.base_ref || github.ref_name }}-"""
_KEY_PLANNED = """\
    key: mlconsole-${{ github.ref_name }}-${{ github.run_id }}-${{ github.run_attempt }}-planned
    restore-keys: mlconsole-${{ github.ref_name }}-${{ github.run_id }}-
    fail-on-cache-miss: true"""

_GITHUB_HEAD = """\
# Made by `mlconsole ci github`, and yours from here on.
name: {name}
on:
  push:
    branches: [{branch}]
  pull_request:
  workflow_dispatch:
permissions:
  contents: read
env:
  # whom the journal names
  LOGNAME: ${{{{ github.actor }}}}
concurrency:
  # one release at a time: each goes on from the journal of the one before
  group: mlconsole-${{{{ github.ref }}}}
  cancel-in-progress: false
jobs:
  release:
    runs-on: ubuntu-latest
    timeout-minutes: 360
    outputs:
      waiting: ${{{{ steps.report.outputs.waiting }}}}
    steps:
@SETUP@
      - name: Release
        env:
          # a pull request is judged, not deployed
          UNTIL: ${{{{ github.event_name == 'pull_request' && 'test' || 'pods' }}}}
        run: |
          {run}
      - name: Report
        id: report
        if: always()
        run: mlconsole ci report
      - name: Keep the journal and the models
        if: always() && github.event_name != 'pull_request'
        uses: actions/cache/save@v4
        with:
          path: .mlconsole
          key: mlconsole-${{{{ github.ref_name }}}}-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}-planned
"""
_GITHUB_DEPLOY = """\
  deploy:
    needs: release
    if: needs.release.outputs.waiting != ''
    # Who may approve is said in the rules of this environment; the plan is in the summary of the job before.
    environment: {environment}
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
@SETUP@
      - name: Deploy what was planned
        env:
          WAITING: ${{{{ needs.release.outputs.waiting }}}}
        run: mlconsole approve "$WAITING" --reason "approved in run $GITHUB_RUN_ID"
      - name: Report
        if: always()
        run: mlconsole ci report
      - name: Keep the journal and the models
        if: always()
        uses: actions/cache/save@v4
        with:
          path: .mlconsole
          key: mlconsole-${{{{ github.ref_name }}}}-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}-released
"""
_GITHUB_SETUP = """\
- uses: actions/checkout@v4
  with:
    fetch-depth: 0
- uses: actions/setup-python@v5
  with:
    python-version: "{python}"
- name: Install
  run: |
    {install}
- name: Bring back the journal and the models
  uses: actions/cache/restore@v4
  with:
    path: .mlconsole
@KEY@
"""
_GITHUB_KUBECONFIG = """\
- name: Kubeconfig
  if: github.event_name != 'pull_request'
  env:
    KUBECONFIG_TEXT: ${{ secrets.KUBECONFIG }}
  run: |
    umask 077
    printf '%s' "$KUBECONFIG_TEXT" > "$RUNNER_TEMP/kubeconfig"
    echo "KUBECONFIG=$RUNNER_TEMP/kubeconfig" >> "$GITHUB_ENV"
"""


def gitlab(project: Project, workflow: Workflow) -> str:
    """A configuration of GitLab CI."""
    local = project.is_local
    lines = (f"python -m pip install {shlex.quote(workflow.install)}", *preparations(project))
    names = _store_variables(project)
    secrets = [*([] if local else ["KUBECONFIG (of type File)"]), *names]
    wanted = f"# Variables that the project's CI settings have to hold: {', '.join(secrets)}.\n" if secrets else ""
    run = 'mlconsole run --until "$UNTIL" --approve' if workflow.approve or local else RUN_TO_PLAN
    script = [run]
    if local:
        script = ["mlconsole cluster start", f"{run} || code=$?; mlconsole cluster stop; exit ${{code:-0}}"]
    text = _GITLAB.format(
        wanted=wanted,
        python=workflow.python,
        setup="\n".join(f"    - {_yaml(line)}" for line in lines),
        script="\n".join(f"    - {_yaml(line)}" for line in script),
        report=REPORT_FILE,
        variables=VARIABLES_FILE,
        branch=_yaml(f'$CI_COMMIT_BRANCH == "{workflow.branch}"'),
    )
    if workflow.approve or local:
        return text
    approve = f'test -z "${WAITING}" || mlconsole approve "${WAITING}" --reason "approved in job $CI_JOB_ID"'
    return text + _GITLAB_DEPLOY.format(
        environment=_yaml(workflow.environment),
        approve=_yaml(approve),
        report=REPORT_FILE,
        branch=_yaml(f'$CI_COMMIT_BRANCH == "{workflow.branch}"'),
    )


_GITLAB = """\
# Made by `mlconsole ci gitlab`, and yours from here on.
{wanted}.mlconsole:
  image: python:{python}
  variables:
    GIT_DEPTH: "0"
    UNTIL: pods
    CACHE_POLICY: pull-push
    # whom the journal names
    LOGNAME: $GITLAB_USER_LOGIN
  # one release at a time: each goes on from the journal of the one before
  resource_group: mlconsole
  cache:
    key: mlconsole-$CI_DEFAULT_BRANCH
    paths: [.mlconsole/]
    policy: $CACHE_POLICY
    when: always
  before_script:
{setup}
  after_script:
    - mlconsole ci report

release:
  extends: .mlconsole
  stage: test
  script:
{script}
  artifacts:
    when: always
    expire_in: 1 week
    access: developer
    paths: [{report}, .mlconsole/]
    reports:
      dotenv: {variables}
  rules:
    # a merge request is judged, not deployed
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
      variables:
        UNTIL: test
        CACHE_POLICY: pull
    - if: {branch}
"""
_GITLAB_DEPLOY = """\

deploy:
  extends: .mlconsole
  stage: deploy
  needs: [release]
  # Who may start it is said in the rules of this environment; the plan is in the record of the job before.
  environment:
    name: {environment}
  script:
    - {approve}
  artifacts:
    when: always
    access: developer
    paths: [{report}]
  rules:
    - if: {branch}
      when: manual
      allow_failure: true
"""


def _yaml(text: str) -> str:
    """A text as a YAML scalar, in quotes only where it needs them."""
    if re.fullmatch(r"[A-Za-z][\w./ -]*[\w./]", text) and text.lower() not in ("true", "false", "null", "yes", "no"):
        return text
    return "'" + text.replace("'", "''") + "'"
