"""Whether another machine has released the same already: then this one ends before it does so again.

Two watchers, or a watcher and a CI run, have journals of their own. What they have in common is the target, and the
team's store where there is one: both tell from which source a version was released. A deploy asks while it holds the
target's lease, so that of two at once the second sees what the first has done; a release that nobody attends asks
before it trains, too.
"""

from __future__ import annotations

from contextlib import closing

from mlconsole.errors import Problem
from mlconsole.evidence.release import Release
from mlconsole.evidence.serving import Released
from mlconsole.stages.base import StageContext, digest_of, needed
from mlconsole.stages.training_inputs import PYTHON_ENVIRONMENT, training_inputs


class AlreadyReleased(Problem):
    """Another machine has released the same."""

    def __init__(self, released: Released) -> None:
        now = f", and {released.now} serves since" if released.now else ""
        super().__init__(
            f"{released.version} was released there from the same commit and data already, by {released.by}{now}.",
            "To release it once more: mlconsole run --from train",
        )
        self.released = released


def is_unattended(release: Release) -> bool:
    """Whether nobody looks at a release before it changes the target: a trigger set it off, or it is approved."""
    return release.trigger is not None or release.approved


def source_digest(context: StageContext) -> str:
    """What a release is made of: commit, data, all that decides what training makes, and the manifests.

    The packages of the machine that trains are left out: machines differ in them. Empty where there is no commit, or
    nothing that could be deployed.

    Raises:
        Problem: what decides the training can't be read.
    """
    from mlconsole.services.kubernetes.documents import to_yaml
    from mlconsole.stages.target import given_manifests

    repo = needed(context.known.repo)
    if repo.commit is None:
        return ""
    inputs = training_inputs(context.project, context.known.data_identity)
    parts = [text for entry in inputs if entry.name != PYTHON_ENVIRONMENT for text in (entry.name, entry.digest)]
    try:
        manifests = to_yaml(given_manifests(context.project))
    except Problem:
        return ""
    return digest_of(repo.commit.sha, *parts, manifests)


def stop_where_released(context: StageContext, source: str) -> None:
    """End a release whose source another journal's release has brought to the same target.

    Where nobody can tell, that is said, and it goes on.

    Raises:
        AlreadyReleased: one has.
    """
    if not source or context.again or needed(context.release).kind == "rollback":
        return
    try:
        found = _told_by_store(context, source) or _told_by_target(context, source)
    except Problem as problem:
        context.note(f"Whether another machine has released the same is not known: {problem.sentence}")
        return
    if found is not None:
        raise AlreadyReleased(found)


def _told_by_store(context: StageContext, source: str) -> Released | None:
    """What the team's store tells, where it says what serves at the target."""
    from mlconsole.stages.team import look, registry_of, shares_champion

    project, journal = context.project, context.journal
    registry = registry_of(project) if shares_champion(project) else None
    if registry is None:
        return None
    look(project, journal)
    champion = journal.alias(project.settings.name, "champion")
    for version in journal.versions(project.settings.name):
        if version.elsewhere and version.source == source and registry.deployed(version) is not None:
            serves = champion is not None and champion.label == version.label
            now = champion.label if champion is not None and not serves else ""
            return Released(version=version.label, by=version.elsewhere, serves=serves, now=now)
    return None


def _told_by_target(context: StageContext, source: str) -> Released | None:
    """What the target tells; a local cluster is nobody else's."""
    if context.project.is_local:
        return None
    from mlconsole.services.kubernetes.released import released
    from mlconsole.stages.target import connect, selector_of

    journal = context.journal
    models = {
        version.model.digest for version in journal.versions(context.project.settings.name) if not version.elsewhere
    }
    with closing(connect(context.project)) as connection:
        return released(connection, selector_of(context.project), source, journal.identity, models)
