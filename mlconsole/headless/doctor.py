"""`mlconsole doctor`: everything that a release needs, looked at before one is begun."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from mlconsole.errors import Exit, Problem
from mlconsole.headless.initialise import found_words
from mlconsole.headless.output import say, say_json, styled
from mlconsole.project import Project, open_project
from mlconsole.text import count, listed, size

Level = Literal["ok", "warn", "fail"]
_MARKS: dict[Level, tuple[str, str]] = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
ENOUGH_SPACE = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """What one look found: about what, how bad, and the exit code that it means where it is a failure."""

    subject: str
    level: Level
    sentence: str
    next_step: str = ""
    exit_code: int = 0


def examine(directory: Path, *, as_json: bool) -> int:
    """Look at everything, print a line each, and return 0, or the exit code of the first failure."""
    findings: list[Finding] = []
    for finding in _look(directory):
        findings.append(finding)
        if as_json:
            say_json(finding)
        else:
            _print(finding)
    return next((finding.exit_code for finding in findings if finding.level == "fail"), int(Exit.DONE))


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.level]
    say(f"{styled(mark, fg=colour)} {finding.subject:<10} {finding.sentence}")
    if finding.next_step and finding.level != "ok":
        say(f"  {'':<10} {finding.next_step}")


def _look(directory: Path) -> Iterator[Finding]:
    try:
        project = open_project(directory)
    except Problem as problem:
        yield _failed("settings", problem)
        return
    source = project.settings_file.name if project.settings_file else "none: everything is found in the project"
    yield Finding("settings", "ok", source)
    yield from (Finding("found", "ok", words) for words in found_words(project))
    for subject, look in _LOOKS.items():
        try:
            yield from look(project, subject)
        except Problem as problem:
            yield _failed(subject, problem)


def _failed(subject: str, problem: Problem) -> Finding:
    return Finding(subject, "fail", problem.sentence, problem.next_step, int(problem.exit_code))


def _git(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.services import git

    found = git.inspect(project.root, recent=1)
    if found.commit is None:
        yield Finding(subject, "fail", "no commit yet", 'git add -A && git commit -m "…"', Exit.REFUSED)
        return
    dirty = f", {count(len(found.dirty), 'file')} not committed" if found.dirty else ""
    yield Finding(subject, "ok", f"{found.branch or 'detached'}@{found.commit.sha[:7]}{dirty}")
    if found.tracked_models:
        names = listed([model.path for model in found.tracked_models])
        yield Finding(subject, "warn", f"git tracks model files: {names}", "git rm --cached FILE, and ignore it")


def _python(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.stages.training_inputs import project_python

    python = project_python(project)
    yield Finding(subject, "ok", f"{python.version}, {python.found}: {python.executable}")
    if not any(package.name.lower() == "pytest" for package in python.packages):
        yield Finding(subject, "warn", "pytest is not installed there", f"{python.executable} -m pip install pytest")


def _data(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.stages.data import identify, is_elsewhere

    if is_elsewhere(project):
        what = f"{project.settings.train.data_uri}, read on the cluster"
    else:
        identity = identify(project)
        what = f"{listed([file.path for file in identity.files])}, {size(identity.size)}"
    target = project.settings.data.target
    yield Finding(subject, "ok", what + (f", target {target}" if target else ""))
    if not target:
        yield Finding(subject, "warn", "the target is not known: versions can't be compared", 'Set [data] target = "…"')


def _train(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.stages.training_inputs import command_template

    yield Finding(subject, "ok", command_template(project))


def _tests(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.stages.test import test_paths

    yield Finding(subject, "ok", listed([str(path.relative_to(project.root)) for path in test_paths(project)]))


def _manifests(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.stages.target import given_manifests, selector_of

    names = listed([f"{manifest.kind} {manifest.name}" for manifest in given_manifests(project)])
    yield Finding(subject, "ok", f"{names}; pods by {selector_of(project)}")


def _cluster(project: Project, subject: str) -> Iterator[Finding]:
    from mlconsole.services.kubernetes import access
    from mlconsole.stages import train_on_cluster
    from mlconsole.stages.pods import smoke_test
    from mlconsole.stages.target import connect, given_manifests

    with closing(connect(project)) as connection:
        smoke = smoke_test(project, "")
        answers = access.review(connection, given_manifests(project), smoke_method=smoke.method if smoke else "")
        for resource in train_on_cluster.resources_of(project):
            answers += access.review_training(connection, resource)
        denied = [f"{answer.verb} {answer.resource}" for answer in answers if not answer.allowed]
        where = f"{connection.context or 'in-cluster'}, namespace {connection.namespace}, {connection.server}"
    yield Finding(subject, "ok", where)
    if denied:
        sentence = f"not allowed there: {listed(denied, 6)}"
        yield Finding(subject, "fail", sentence, "Ask for a role that allows it.", Exit.OUTSIDE_FAILED)


def _disk(project: Project, subject: str) -> Iterator[Finding]:
    free = shutil.disk_usage(project.root).free
    level: Level = "ok" if free > ENOUGH_SPACE else "warn"
    yield Finding(subject, level, f"{size(free)} free for models and logs", "Make room: models and logs are kept here.")


def _tools(project: Project, subject: str) -> Iterator[Finding]:
    kubectl = shutil.which("kubectl")
    sentence = kubectl or "not installed: mlconsole does not need it"
    yield Finding(subject, "ok", f"{sentence} (our own Python: {sys.version.split()[0]})")


_LOOKS: dict[str, Callable[[Project, str], Iterator[Finding]]] = {
    "git": _git,
    "python": _python,
    "data": _data,
    "train": _train,
    "tests": _tests,
    "manifests": _manifests,
    "cluster": _cluster,
    "disk": _disk,
    "kubectl": _tools,
}
