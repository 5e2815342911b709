"""From what serves back to the release, the commit and the data."""

from __future__ import annotations

from mlconsole.errors import WrongUse
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.serving import Serving, Whereabouts
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.release.versions import find_version


def whereabouts(journal: Journal | None, name: str, found: Serving) -> Whereabouts:
    """Lead what the pods tell back to what the journal knows. `journal` is None on a machine that has none."""
    version = _version(journal, name, found.version) if journal is not None else None
    if journal is None or version is None:
        return Whereabouts(serving=found, agreement="unknown")
    differs = tuple(
        part
        for part, told, known in (
            ("model digest", found.model_digest, version.model.digest),
            ("data digest", found.data_digest, version.data_digest),
            ("commit", found.commit, version.commit),
        )
        if told != known
    )
    champion = journal.alias(name, "champion")
    made = Whereabouts(
        serving=found,
        agreement="differs" if differs else "agrees",
        differs=differs,
        made_by=version.release,
        is_champion=champion is not None and champion.label == version.label,
    )
    return _with_deploy(journal, made, version)


def _version(journal: Journal, name: str, told: str) -> ModelVersion | None:
    if not told:
        return None
    try:
        return find_version(journal, name, told)
    except WrongUse:
        return None


def _with_deploy(journal: Journal, made: Whereabouts, version: ModelVersion) -> Whereabouts:
    """Add which release brought the version there last, and who that was."""
    for run in journal.done_stages("deploy"):
        evidence = run.evidence
        if isinstance(evidence, DeployEvidence) and evidence.applied and evidence.plan.version == version.label:
            release = journal.release(run.release)
            return Whereabouts(
                serving=made.serving,
                agreement=made.agreement,
                differs=made.differs,
                made_by=made.made_by,
                deployed_by=release.number,
                who=release.started_by,
                deployed_at=evidence.applied_at,
                reason=release.reason,
                is_champion=made.is_champion,
            )
    return made
