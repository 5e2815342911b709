"""What the machines of a team tell each other by the store that they share: versions, and which is the champion.

Nothing here does anything where the settings name no store. The journal stays what a release goes by: what others made
is written into it when a release is opened and when versions are listed.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable

import msgspec

from mlconsole.errors import Problem, Refused
from mlconsole.evidence.base import STAGES, now
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.release import AliasMove, StageRun
from mlconsole.evidence.training import ModelVersion, TrainEvidence
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.services import readonly
from mlconsole.services.models.registry import Deployed, Registry
from mlconsole.services.models.shared import SharedStoreFailed, SharedStoreUnusable
from mlconsole.stages.base import StageContext, model_store, needed, shared_url, shares_models


class ChampionMoved(Refused):
    """Another machine made another version the champion since this release began."""


class NotDeployedThere(Refused):
    """The store has no manifests of a version that another machine made, or not those that were put there."""


def registry_of(project: Project) -> Registry | None:
    """The records of the store that the project's team shares; None where the settings name no store.

    Raises:
        SharedStoreUnusable: store.url can't be used.
        SharedStoreFailed: it can't be opened.
    """
    url = shared_url(project)
    return Registry(url) if url else None


def shares_champion(project: Project) -> bool:
    """Whether a release to the project's cluster moves the champion of the team.

    A local cluster is nobody else's: it does so only where the store is one of this machine, too.
    """
    return bool(project.settings.store.url) and not (project.is_local and shares_models(project))


def here(who: str, release: int = 0) -> str:
    """Who does something on which machine, for the others: `ada on host2, release 3`."""
    return f"{who} on {socket.gethostname()}{f', release {release}' if release else ''}"


# what others made


def look(project: Project, journal: Journal) -> tuple[str, ...]:
    """Write what others made into the journal; what there is to say of it, or why the store can't be asked."""
    if not project.settings.store.url:
        return ()
    try:
        return catch_up(project, journal)
    except (SharedStoreFailed, SharedStoreUnusable) as problem:
        return (f"Versions of other machines are as they were last known. {problem.sentence}",)


def catch_up(project: Project, journal: Journal) -> tuple[str, ...]:
    """Write what others made into the journal, and tell the store what it has not been told; returns sentences.

    Raises:
        SharedStoreFailed: the store can't be asked, or holds what is no record of these.
    """
    registry = None if readonly.is_on() else registry_of(project)
    if registry is None:
        return ()
    name = project.settings.name
    known = {version.number for version in journal.versions(name)}
    found = registry.versions(name, [number for number in registry.numbers(name) if number not in known])
    moves = registry.moves(name, _last_seen(journal, name)) if shares_champion(project) else ()
    moved_to = {version.number: version for version in registry.versions(name, {move.number for move in moves})}
    notes = []
    with journal.transaction():
        known = {version.number for version in journal.versions(name)}
        for version in found:
            if version.number not in known:
                journal.add_version(version)
        for move in moves:
            # another command of this machine may have written it down meanwhile
            if move.sequence > _last_seen(journal, name):
                notes += _follow(journal, move, moved_to.get(move.number))
    return (*notes, *tell_champion(project, journal))


def _follow(journal: Journal, move: AliasMove, version: ModelVersion | None) -> list[str]:
    """Make the champion what another machine made it."""
    before = journal.alias(move.name, "champion")
    ours = next((entry for entry in journal.versions(move.name) if entry.number == move.number), None)
    if ours is None or version is None or ours.model.digest != version.model.digest:
        what = "which the store does not have" if version is None else "which is another model here"
        last = champion_move(journal, move.name)
        if last is not None:
            journal.replace_last_move(msgspec.structs.replace(last, sequence=move.sequence))
        return [f"{move.elsewhere} made {move.name}@v{move.number} the champion, {what}: it is not taken over."]
    if before is not None and before.number != move.number:
        journal.add_move(msgspec.structs.replace(move, alias="previous", number=before.number, sequence=0))
    journal.add_move(move)
    if before is not None and before.number == move.number:
        return []
    return [f"{ours.label} is the champion: {move.elsewhere} made it so."]


def _last_seen(journal: Journal, name: str) -> int:
    return max((move.sequence for move in journal.alias_moves(name)), default=0)


def champion_move(journal: Journal, name: str) -> AliasMove | None:
    """The last move of the champion."""
    return next((move for move in reversed(journal.alias_moves(name)) if move.alias == "champion"), None)


def refuse_where_champion_moved(context: StageContext) -> None:
    """Stop where the champion is no longer the one that the candidate was compared with.

    Raises:
        ChampionMoved: another machine moved it since this release began.
    """
    if not shares_champion(context.project):
        return
    for note in look(context.project, context.journal):
        context.note(note)
    last = champion_move(context.journal, context.project.settings.name)
    before = context.champion.number if context.champion else 0
    if last is None or not last.elsewhere or last.number == before:
        return
    rival = f"compared with {context.champion.label}" if context.champion else "compared with no champion"
    is_rollback = needed(context.release).kind == "rollback"
    done = f"begun while {context.champion.label} was it" if is_rollback and context.champion else rival
    raise ChampionMoved(
        f"{last.elsewhere} made {last.name}@v{last.number} the champion since this release began, which was {done}.",
        f"Run again: mlconsole {'rollback VERSION' if is_rollback else 'run'}",
    )


# what is made here


def next_number(project: Project, journal: Journal) -> int:
    """The number that the next version most likely gets; `number_version` gives it.

    Raises:
        SharedStoreFailed: the store can't be asked, and so no number can be given.
    """
    name = project.settings.name
    registry = registry_of(project)
    there = max(registry.numbers(name), default=0) + 1 if registry is not None else 1
    return max(there, journal.next_version_number(name))


def number_version(
    project: Project, version: ModelVersion, who: str, note: Callable[[str], None] = lambda text: None
) -> ModelVersion:
    """Give a version its number, or a later one where another machine was given that meanwhile.

    Raises:
        SharedStoreFailed: the store can't be written.
    """
    registry = registry_of(project)
    if registry is None:
        return version
    wanted = version.number
    while not registry.add_version(_as_told(version, here(who, version.release))):
        version = msgspec.structs.replace(version, number=max(version.number, *registry.numbers(version.name)) + 1)
    if version.number != wanted:
        note(f"Another machine made v{wanted} meanwhile: this is {version.label}.")
    return version


def _as_told(version: ModelVersion, elsewhere: str) -> ModelVersion:
    return msgspec.structs.replace(version, release=0, elsewhere=elsewhere)


def note_own_deploy(journal: Journal, name: str, release: int) -> None:
    """Write down that this machine deployed what another one had made the champion: the team's champion is the same."""
    last = champion_move(journal, name)
    if last is not None:
        journal.add_move(msgspec.structs.replace(last, release=release, elsewhere="", at=now()))


def tell_of_deploy(context: StageContext) -> tuple[str, ...]:
    """Tell the store what a release brought to serve, and by which manifests; returns sentences.

    Raises:
        SharedStoreFailed: the store can't be asked or written.
    """
    project, journal, release = context.project, context.journal, needed(context.release)
    notes = tell_champion(project, journal)
    last = champion_move(journal, project.settings.name)
    registry = registry_of(project) if shares_champion(project) else None
    if registry is not None and last is not None and last.sequence and not notes:
        # also where the champion stayed what it was, and only its manifests changed
        version = journal.version(last.name, last.number)
        told = _as_told(version, version.elsewhere or here(release.started_by, release.number))
        registry.keep_deployed(_deployed(journal, release.number, told))
    return notes


def tell_champion(project: Project, journal: Journal) -> tuple[str, ...]:
    """Move the champion of the team to that of the journal, where this machine made it so and has not told; sentences.

    Where another machine was first, its move stands, and comes into the journal when the store is next looked at.

    Raises:
        SharedStoreFailed: the store can't be asked or written.
    """
    name = project.settings.name
    last = champion_move(journal, name) if shares_champion(project) and not readonly.is_on() else None
    registry = registry_of(project)
    if last is None or last.elsewhere or last.sequence or registry is None:
        return ()
    version = journal.version(name, last.number)
    who = here(journal.release(last.release).started_by, last.release)
    try:
        _tell_version(project, registry, version, who)
        registry.keep_deployed(_deployed(journal, last.release, _as_told(version, version.elsewhere or who)))
    except SharedStoreFailed:
        raise
    except Problem as problem:
        return (f"The store was not told that {version.label} is the champion. {problem.sentence}",)
    move = msgspec.structs.replace(last, sequence=_last_seen(journal, name) + 1)
    if not registry.add_move(msgspec.structs.replace(move, release=0, elsewhere=who)):
        return (f"Another machine made another version the champion before {version.label}: the store keeps that.",)
    journal.replace_last_move(move)
    return ()


def _tell_version(project: Project, registry: Registry, version: ModelVersion, who: str) -> None:
    """Have a version of before the store was shared there, too.

    Raises:
        Refused: there is another one of its number.
        Problem: its model can't be brought there.
    """
    if version.number not in registry.numbers(version.name):
        model_store(project).uri(version.model)
        registry.add_version(_as_told(version, who))
    found = registry.versions(version.name, [version.number])
    if any(entry.model.digest != version.model.digest for entry in found):
        raise Refused(f"{registry.url} has another model of the name {version.label}.")


def _deployed(journal: Journal, release: int, version: ModelVersion) -> Deployed:
    runs = {run.stage: run for run in journal.stage_runs(release)}
    return Deployed(version=version, stages=tuple(runs[stage] for stage in STAGES if stage in runs))


# what was deployed elsewhere


def runs_elsewhere(project: Project, version: ModelVersion) -> tuple[StageRun, ...]:
    """The stage runs by which another machine deployed a version, in their order; of no release of this journal.

    Raises:
        NotDeployedThere: the store has none, or not as they were put there.
        SharedStoreFailed: the store can't be asked.
    """
    registry = registry_of(project)
    found = registry.deployed(version) if registry is not None else None
    if registry is None or found is None:
        raise NotDeployedThere(
            f"{version.label} was made by {version.elsewhere}, and its manifests are not in the shared store.",
            "Deploy it from there once, or release here: mlconsole run",
        )
    for run in found.stages:
        if not _is_whole(run, version):
            raise NotDeployedThere(
                f"The {run.stage} stage of {version.label} in {registry.url} is not what was put there.",
                "Deploy it once more from the machine that made it.",
            )
    return tuple(msgspec.structs.replace(run, release=0, reused_from=None, commands=()) for run in found.stages)


def _is_whole(run: StageRun, version: ModelVersion) -> bool:
    """Whether what a stage left is of this version, and its manifests have the digest that they had."""
    if isinstance(run.evidence, TrainEvidence):
        made = run.evidence.version
        return made is not None and (made.label, made.model.digest) == (version.label, version.model.digest)
    if isinstance(run.evidence, DeployEvidence):
        plan = run.evidence.plan
        digest = f"sha256:{hashlib.sha256(plan.manifests.encode()).hexdigest()}"
        return plan.version == version.label and digest == plan.manifests_digest
    return True


def manifests_elsewhere(project: Project, version: ModelVersion) -> str:
    """The manifests by which another machine deployed a version.

    Raises:
        NotDeployedThere: as `runs_elsewhere` says.
    """
    for run in runs_elsewhere(project, version):
        if isinstance(run.evidence, DeployEvidence):
            return run.evidence.plan.manifests
    raise NotDeployedThere(f"The store has no manifests of {version.label}.", "Deploy it from where it was made.")
