"""Versions by the names that people give them."""

from __future__ import annotations

import re
from typing import get_args

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import STAGES
from mlconsole.evidence.release import AliasName, StageRun
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project

ALIASES: tuple[AliasName, ...] = get_args(AliasName)

MADE_BY = STAGES[:4]
"""The stages that made a version: they stand for the rollback as they were."""


def find_version(journal: Journal, name: str, wanted: str) -> ModelVersion:
    """The version that is meant by `v1`, `1`, `ml-model@v1` or an alias such as `champion`.

    Raises:
        WrongUse: there is no such version, or the alias points nowhere yet.
    """
    text = wanted.strip()
    for alias in ALIASES:
        if text in (alias, f"{name}@{alias}"):
            version = journal.alias(name, alias)
            if version is None:
                raise WrongUse(f"There is no {alias} of {name} yet.", "See: mlconsole models list")
            return version
    match = re.fullmatch(rf"(?:{re.escape(name)}@)?v?(\d+)", text)
    if match is None:
        hint = f"Name it like v1, or by an alias: {', '.join(ALIASES)}."
        raise WrongUse(f"{wanted!r} is no version of {name}.", hint)
    return journal.version(name, int(match[1]))


def default_version(journal: Journal, name: str) -> ModelVersion:
    """The champion, or the newest version where nothing serves yet.

    Raises:
        WrongUse: there is no version at all.
    """
    version = journal.alias(name, "champion") or next(iter(journal.versions(name)), None)
    if version is None:
        raise WrongUse(f"There is no version of {name} yet.", "Make one: mlconsole run --until test")
    return version


def imported_version(journal: Journal, name: str, wanted: str) -> ModelVersion:
    """The version that is meant, as by `find_version`, which came from elsewhere.

    Raises:
        WrongUse: there is no such version, or it was trained here.
    """
    version = find_version(journal, name, wanted)
    if not version.origin:
        hint = f"What is trained is released by: mlconsole run. Back to it: mlconsole rollback {version.tag}"
        raise WrongUse(f"{version.label} was not imported.", hint)
    return version


def made_by(journal: Journal, version: ModelVersion) -> tuple[StageRun, ...]:
    """The stage runs that made a version and let it pass.

    Raises:
        WrongUse: it has not passed its tests.
    """
    for release in journal.releases(10_000):
        if release.version == version.label and release.kind == "release":
            runs = {run.stage: run for run in journal.stage_runs(release.number)}
            if all(stage in runs and runs[stage].state in {"done", "reused", "skipped"} for stage in MADE_BY):
                return tuple(runs[stage] for stage in MADE_BY)
    raise WrongUse(f"{version.label} has not passed its tests.", "Test it first: mlconsole test")


def made_anywhere(project: Project, journal: Journal, version: ModelVersion) -> tuple[StageRun, ...]:
    """As `made_by`; of a version that another machine of the team made, as the store that they share has it.

    Raises:
        WrongUse: it has not passed its tests.
        Problem: it was made elsewhere, and the store can't be asked or does not have it.
    """
    try:
        return made_by(journal, version)
    except WrongUse:
        if not version.elsewhere:
            raise
    from mlconsole.stages.team import runs_elsewhere

    return tuple(run for run in runs_elsewhere(project, version) if run.stage in MADE_BY)
