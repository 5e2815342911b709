"""What the journal and the store know, as tables and lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from mlconsole.errors import Exit, Problem, WrongUse
from mlconsole.evidence.base import StageName, now
from mlconsole.evidence.release import Release, StageRun
from mlconsole.evidence.repo import CloneProgress
from mlconsole.headless.output import narrate, say, say_blocks, say_json, say_problem
from mlconsole.headless.output import table_lines as lines_of
from mlconsole.journal import Journal
from mlconsole.present import (
    Lines,
    Table,
    age,
    blocks,
    final_metrics,
    needless,
    reasons,
    record,
    standing,
    why_it_ran,
)
from mlconsole.project import Project, open_without_settings
from mlconsole.release.record import gather
from mlconsole.text import number, short_digest, size


@contextmanager
def journal_of(project: Project) -> Iterator[Journal]:
    """Open a project's journal for a while."""
    journal = Journal(project.journal_path)
    try:
        yield journal
    finally:
        journal.close()


def project_by_journal(directory: Path, problem: Problem) -> Project:
    """A project whose settings can't be read, by what is found in its folder and what its journal knows; says so."""
    say_problem(problem)
    narrate("  This goes by the journal, whatever the settings say.")
    project = open_without_settings(directory)
    if not project.journal_path.is_file():
        return project
    with journal_of(project) as journal:
        name = journal.last_name()
    if not name:
        return project
    return replace(project, settings=msgspec.structs.replace(project.settings, name=name))


def narrate_of_others(project: Project, journal: Journal) -> None:
    """Write what other machines of the team made into the journal, and say what there is to say of it."""
    if project.settings.store.url:
        from mlconsole.stages.team import look

        for note in look(project, journal):
            narrate(note)


def show_latest(project: Project, *, as_json: bool) -> None:
    """Print the record of the latest release."""
    with journal_of(project) as journal:
        latest = journal.latest_release()
    if latest is not None:
        show_release(project, latest.number, None, as_json=as_json)
    elif not as_json:
        say("No release yet. Begin one: mlconsole run")


def show_release(project: Project, release_number: int, stage: StageName | None, *, as_json: bool) -> None:
    """Print the record of a release, or all that is known of one of its stages."""
    with journal_of(project) as journal:
        found = gather(journal, release_number)
    if stage is not None:
        _show_stage(found.stage(stage), stage, found.release, as_json=as_json)
    elif as_json:
        for item in (found.release, *found.stages, *found.decisions):
            say_json(item)
    else:
        say_blocks(record(found))


def _show_stage(run: StageRun | None, stage: StageName, release: Release, *, as_json: bool) -> None:
    if run is None:
        raise WrongUse(f"Release {release.number} did not come to {stage}.")
    if as_json:
        say_json(run)
        return
    if run.evidence is not None:
        say_blocks(blocks(run.evidence))
    if why := why_it_ran(run):
        say_blocks((Lines("Changed", (why,)),))
    if run.problem is not None:
        say_blocks((Lines("Problem", (run.problem.sentence, run.problem.next_step, *run.problem.tail)),))
    if run.verdict is not None and run.verdict.reasons:
        say_blocks((Lines("Gate", reasons(run.verdict)),))


def show_history(project: Project, most: int, *, as_json: bool) -> None:
    """Print past releases, newest first."""
    with journal_of(project) as journal:
        releases = journal.releases(most)
    if as_json:
        for release in releases:
            say_json(release)
        return
    moment = now()
    rows = tuple(
        (
            str(r.number),
            standing(r, releases[0].number, whole=True),
            r.kind,
            r.version,
            age(r.started_at, moment),
            r.started_by,
            "; ".join(part for part in (r.trigger.words if r.trigger else "", r.reason, needless(r)) if part),
        )
        for r in releases
    )
    columns = ("release", "state", "kind", "version", "started", "by", "reason")
    for line in lines_of(Table("", columns, rows, frozenset({0}))) if rows else ["No release yet."]:
        say(line)


def show_models(project: Project, *, as_json: bool) -> None:
    """Print a model's versions with their aliases and metrics."""
    name = project.settings.name
    with journal_of(project) as journal:
        narrate_of_others(project, journal)
        versions = journal.versions(name)
        aliases = {alias: journal.alias(name, alias) for alias in ("champion", "previous", "candidate")}
    if as_json:
        for version in versions:
            say_json(version)
        return
    rows = []
    for version in versions:
        names = ", ".join(alias for alias, at in aliases.items() if at and at.number == version.number)
        metrics = ", ".join(f"{metric.name} {number(metric.value)}" for metric in final_metrics(version.metrics)[:3])
        digest = short_digest(version.model.digest)
        release = str(version.release or version.elsewhere or "imported")
        rows.append((version.label, names, release, metrics, size(version.model.size), digest))
    columns = ("version", "aliases", "release", "metrics", "size", "digest")
    for line in lines_of(Table("", columns, tuple(rows), frozenset({2, 4}))) if rows else ["No version yet."]:
        say(line)


def verify_store(project: Project) -> int:
    """Compute the digest of every stored model again, and tell which are not what they were."""
    from mlconsole.stages.base import model_store

    store = model_store(project)
    with journal_of(project) as journal:
        versions = journal.versions(project.settings.name)
    code = Exit.DONE
    for version in versions:
        try:
            store.verify(version.model)
            say(f"✓ {version.label} {version.model.digest}")
        except Problem as problem:
            say(f"✗ {version.label} {problem.sentence}")
            code = Exit.OUTSIDE_FAILED
    return code


def cancel_release(project: Project, release_number: int) -> None:
    """Ask a running release to end."""
    from mlconsole.release.decisions import cancel, who_am_i

    with journal_of(project) as journal:
        cancel(journal, release_number, who=who_am_i())
    narrate(f"Release {release_number} was asked to end.")


def clone_repository(url: str, directory: Path | None) -> None:
    """Clone with progress on standard error; print the folder."""
    import sys

    from mlconsole.services import git

    target = directory or Path(git.folder_name(url))
    is_terminal = sys.stderr.isatty()
    said = ""

    def report(progress: CloneProgress) -> None:
        nonlocal said
        part = f" {progress.fraction:4.0%}" if progress.fraction is not None else ""
        words = f"{progress.phase}{part} {progress.message}".rstrip()
        if is_terminal:
            sys.stderr.write(f"\r\x1b[K{words}")
            sys.stderr.flush()
        elif progress.phase != said:
            narrate(words)
        said = progress.phase

    path = git.clone(url, target, report=report, cancelled=threading.Event())
    if is_terminal:
        narrate("")
    say(str(path))
