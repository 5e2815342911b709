"""Releases in CI: the workflow that is written, whether a plan waits, and the record where the CI shows it."""

from __future__ import annotations

import os
from pathlib import Path

from mlconsole.errors import Exit, OutsideFailed, WrongUse
from mlconsole.evidence.release import Release
from mlconsole.headless.output import narrate, say
from mlconsole.headless.reports import journal_of
from mlconsole.present.summary import summary
from mlconsole.project import Project
from mlconsole.project.ci import (
    GITHUB_FILE,
    GITLAB_FILE,
    GITLAB_INCLUDED,
    REPORT_FILE,
    VARIABLES_FILE,
    WAITING,
    Workflow,
    github,
    gitlab,
)
from mlconsole.release.record import gather

NOTE_SECONDS = 30
GITLAB_TOKENS = ("MLCONSOLE_GITLAB_TOKEN", "GITLAB_TOKEN")


def write_workflow(project: Project, kind: str, workflow: Workflow, *, write: bool, force: bool) -> None:
    """Print a workflow, or write it where the CI looks for it.

    Raises:
        WrongUse: the file is there, and nobody asked to replace it.
    """
    text = github(project, workflow) if kind == "github" else gitlab(project, workflow)
    if not write:
        say(text.rstrip("\n"))
        return
    name = GITHUB_FILE if kind == "github" else _gitlab_name(project, force)
    path = project.root / name
    if path.exists() and not force:
        raise WrongUse(f"{name} is there already.", "Edit it, or write it anew: --force")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    say(name)
    for line in _next_steps(project, kind, name, workflow):
        narrate(line)


def _gitlab_name(project: Project, force: bool) -> str:
    """The usual name, or one to be included where the project has a pipeline of its own."""
    own = project.root / GITLAB_FILE
    if not own.exists() or (force and "mlconsole ci gitlab" in own.read_text("utf-8", "replace")):
        return GITLAB_FILE
    return GITLAB_INCLUDED


def _next_steps(project: Project, kind: str, name: str, workflow: Workflow) -> list[str]:
    steps = []
    if name == GITLAB_INCLUDED:
        steps.append(f"Add to {GITLAB_FILE}: include: [{{local: {GITLAB_INCLUDED}}}]")
    if not project.is_local:
        what = "a secret" if kind == "github" else "a variable of type File"
        context = project.settings.deploy.context or "that releases go to"
        steps.append(f"Give the repository {what} KUBECONFIG: a kubeconfig with the context {context}.")
        if not workflow.approve:
            steps.append(f"Say who may approve, in the rules of the environment {workflow.environment}.")
    return steps


def waits(project: Project) -> int:
    """Say whether the latest release waits for an approval, which in CI is no failure."""
    latest = _latest(project)
    if latest is not None and latest.state == "waiting":
        say(f"Release {latest.number} waits for an approval.")
        return Exit.DONE
    say("No release waits for an approval.")
    return Exit.REFUSED


def report(project: Project) -> None:
    """Put the latest release's record where the CI shows it, and tell its later jobs which release waits.

    GitHub: the job's summary and its outputs `state` and `waiting`. GitLab: two files for the job's artifacts, and a
    note at the merge request where a token is at hand. Elsewhere it is printed.

    Raises:
        OutsideFailed: GitLab does not take the note.
    """
    latest = _latest(project)
    if latest is None:
        page, waiting = "No release was begun.\n", ""
    else:
        with journal_of(project) as journal:
            page = summary(gather(journal, latest.number))
        waiting = str(latest.number) if latest.state == "waiting" else ""
    if target := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(target), page)
        if outputs := os.environ.get("GITHUB_OUTPUT"):
            _append(Path(outputs), f"state={latest.state if latest else ''}\nwaiting={waiting}\n")
        return
    if os.environ.get("GITLAB_CI"):
        (project.root / REPORT_FILE).write_text(page, encoding="utf-8")
        (project.root / VARIABLES_FILE).write_text(f"{WAITING}={waiting}\n", encoding="utf-8")
        _note_at_merge_request(page)
        return
    say(page.rstrip("\n"))


def _latest(project: Project) -> Release | None:
    if not project.journal_path.exists():
        return None
    with journal_of(project) as journal:
        return journal.latest_release()


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _note_at_merge_request(page: str) -> None:
    """Post the page at the pipeline's merge request; the job's own token may not, so another one has to be there."""
    request = os.environ.get("CI_MERGE_REQUEST_IID")
    token = next((os.environ[name] for name in GITLAB_TOKENS if os.environ.get(name)), "")
    if not request:
        return
    if not token:
        narrate(f"No note at the merge request: that needs a token with the scope api in {GITLAB_TOKENS[0]}.")
        return
    import urllib3

    url = f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}/merge_requests/{request}/notes"
    try:
        answer = urllib3.request(
            "POST", url, json={"body": page}, headers={"PRIVATE-TOKEN": token}, timeout=NOTE_SECONDS, retries=2
        )
    except urllib3.exceptions.HTTPError as error:
        raise OutsideFailed(f"GitLab can't be reached for the note: {type(error).__name__}.") from error
    if answer.status >= 300:
        raise OutsideFailed(f"GitLab does not take the note (HTTP {answer.status}).", "Check the token's scope: api.")
    narrate(f"The record is a note at merge request {request}.")
