"""What a deploy would change, without a release: a dry run of the candidate's manifests."""

from __future__ import annotations

import threading
from contextlib import closing

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import DeployPlan
from mlconsole.evidence.release import Release
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.decisions import who_am_i
from mlconsole.release.versions import made_by
from mlconsole.stages.base import Known, StageContext
from mlconsole.stages.deploy import DeployStage
from mlconsole.stages.target import connect


def plan_candidate(project: Project, journal: Journal) -> DeployPlan:
    """Plan a deploy of the candidate.

    Raises:
        WrongUse: there is none yet, or it has not passed its tests.
    """
    version = journal.alias(project.settings.name, "candidate")
    if version is None:
        raise WrongUse("There is no candidate yet.", "Make one: mlconsole run --until test")
    known = Known()
    for run in made_by(journal, version):
        if run.evidence is not None:
            known = known.with_evidence(run.stage, run.evidence)
    context = StageContext(
        project=project,
        journal=journal,
        known=known,
        champion=journal.alias(project.settings.name, "champion"),
        cancelled=threading.Event(),
        release=_next_release(journal),
        emit=lambda body: None,
        approves=lambda plan: False,
    )
    with closing(connect(project)) as connection:
        return DeployStage().plan(context, connection)


def _next_release(journal: Journal) -> Release:
    """The release that a deploy would belong to, for the facts in the manifests; it is not written down."""
    latest = journal.latest_release()
    number = latest.number + 1 if latest else 1
    return Release(number=number, kind="release", state="running", started_at=now(), started_by=who_am_i())
