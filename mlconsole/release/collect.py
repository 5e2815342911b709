"""Which stored models nobody needs any more: all but those that an alias, a late release or a young age speaks for."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import timedelta

import msgspec

from mlconsole.evidence.base import Record, now
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.versions import ALIASES
from mlconsole.services.models.store import ModelStore
from mlconsole.services.models.tree import Tree

YOUNG = timedelta(days=1)
"""A model may be of a release that still runs, or of one that a person is about to look at."""


class Kept(Record, frozen=True, kw_only=True):
    """A stored model and why it stays, or that it may go: `reasons` is empty then.

    Of a model that is a folder, `files` are the digests of those that go with it: no other model has them.
    """

    digest: str
    size: int
    labels: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def look(project: Project, journal: Journal, keep: int) -> tuple[Kept, ...]:
    """Tell of each stored model whether it stays: those of an alias, of the last `keep` deployed versions, the young.

    Only the folder of this project is looked at, never a store that a team shares: others' journals are not known here.
    """
    store = ModelStore(project.store)
    name = project.settings.name
    by_digest: dict[str, list[ModelVersion]] = {}
    for version in journal.versions(name):
        for file in (version.model, *version.outputs):
            by_digest.setdefault(file.digest, []).append(version)
    reasons = _reasons(journal, name, keep)
    trees = {digest: tree for digest in store.digests() if (tree := store.tree(digest)) is not None}
    inside = {file.digest for tree in trees.values() for file in tree.files}
    found = []
    for digest in store.digests():
        path = store.local_path(digest)
        versions = by_digest.get(digest, [])
        # the files of folders stay and go with these
        if path is None or (digest in inside and not versions):
            continue
        why = [reason for version in versions for reason in reasons.get(version.label, ())]
        if _is_young(store.stored_at(digest), versions):
            why.append("younger than a day")
        labels = tuple(version.label for version in reversed(versions))
        bytes_of = trees[digest].size if digest in trees else path.stat().st_size
        found.append(Kept(digest=digest, size=bytes_of, labels=labels, reasons=tuple(dict.fromkeys(why))))
    needed = {
        file.digest for entry in found if entry.reasons and entry.digest in trees for file in trees[entry.digest].files
    }
    return tuple(_with_files(entry, trees, needed.union(by_digest)) for entry in found)


def _with_files(entry: Kept, trees: Mapping[str, Tree], needed: Set[str]) -> Kept:
    """A folder that may go, with its files that nothing else needs."""
    if entry.reasons or entry.digest not in trees:
        return entry
    files = dict.fromkeys(file.digest for file in trees[entry.digest].files if file.digest not in needed)
    return msgspec.structs.replace(entry, files=tuple(files))


def remove(project: Project, unneeded: tuple[Kept, ...]) -> None:
    """Remove stored models, and what killed processes left half written.

    Their versions stay in the journal, and say where they came from.

    Raises:
        StoreFailed: one can't be removed; those before it are gone.
    """
    store = ModelStore(project.store)
    rested = YOUNG.total_seconds()
    for entry in unneeded:
        store.remove(entry.digest, rested)
    for digest in {digest for entry in unneeded for digest in entry.files}:
        store.remove(digest, rested)
    if store.root.is_dir():
        store.sweep(rested)


def _reasons(journal: Journal, name: str, keep: int) -> dict[str, list[str]]:
    """Why versions stay, by their labels."""
    reasons: dict[str, list[str]] = {}
    for alias in ALIASES:
        version = journal.alias(name, alias)
        if version is not None:
            reasons.setdefault(version.label, []).append(alias)
    deployed: dict[str, int] = {}
    for run in journal.done_stages("deploy"):
        evidence = run.evidence
        if isinstance(evidence, DeployEvidence) and evidence.applied and len(deployed) < keep:
            deployed.setdefault(evidence.plan.version, run.release)
    for label, number in deployed.items():
        reasons.setdefault(label, []).append(f"deployed by release {number}")
    return reasons


def _is_young(stored_at: float, versions: list[ModelVersion]) -> bool:
    """Also where an old version has the same model: a release of today may have stored it again."""
    made = max([stored_at, *(version.created_at.timestamp() for version in versions)])
    return now().timestamp() - made < YOUNG.total_seconds()
