"""What an alias, a late release or a young age speaks for stays in the store; the rest may go."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import ClusterTarget, DeployEvidence, DeployPlan
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.collect import look, remove
from mlconsole.services.models.store import ModelStore

TARGET = ClusterTarget(context="local", namespace="default", selector="app=m")
LONG_AGO = now() - timedelta(days=40)


@pytest.fixture
def store(project: Project) -> ModelStore:
    return ModelStore(project.store)


def put(store: ModelStore, journal: Journal, folder: Path, number: int, *, old: bool = True) -> ModelVersion:
    path = folder / "model.pkl"
    path.write_bytes(b"weights %d" % number)
    model = store.adopt(path)
    created = LONG_AGO if old else now()
    if old:
        rest(store)
    version = ModelVersion(name="m", number=number, model=model, release=number, created_at=created)
    journal.add_version(version)
    return version


def rest(store: ModelStore) -> None:
    """Let all that is stored be of long ago."""
    for digest in store.digests():
        os.utime(store.path(digest), (LONG_AGO.timestamp(), LONG_AGO.timestamp()))


def deploy(journal: Journal, number: int) -> None:
    plan = DeployPlan(digest="d", target=TARGET, version=f"m@v{number}", manifests="", manifests_digest="d", changes=())
    evidence = DeployEvidence(plan=plan, applied=True)
    journal.save_stage(
        StageRun(release=number, stage="deploy", attempt=1, state="done", started_at=now(), evidence=evidence)
    )


def reasons(project: Project, journal: Journal, keep: int = 2) -> dict[str, tuple[str, ...]]:
    return {entry.labels[0] if entry.labels else "": entry.reasons for entry in look(project, journal, keep)}


def test_alias_late_releases_and_age_keep_a_model(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    for number in range(1, 7):
        put(store, journal, tmp_path, number, old=number != 6)
    for number in (2, 3, 4):
        deploy(journal, number)
    journal.move_alias("m", "champion", 4, 4)
    journal.move_alias("m", "previous", 1, 4)
    assert reasons(project, journal) == {
        "m@v1": ("previous",),
        "m@v2": (),
        "m@v3": ("deployed by release 3",),
        "m@v4": ("champion", "deployed by release 4"),
        "m@v5": (),
        "m@v6": ("younger than a day",),
    }


def test_only_what_is_not_needed_is_removed_and_its_version_stays_on_record(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    needed, unneeded = put(store, journal, tmp_path, 1), put(store, journal, tmp_path, 2)
    journal.move_alias("m", "champion", 1, 1)
    remove(project, tuple(entry for entry in look(project, journal, 0) if not entry.reasons))
    assert store.digests() == (needed.model.digest,)
    assert journal.version("m", 2).model.digest == unneeded.model.digest


def test_two_versions_of_one_file_are_kept_by_either(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    first = put(store, journal, tmp_path, 1)
    journal.add_version(ModelVersion(name="m", number=2, model=first.model, release=2, created_at=LONG_AGO))
    journal.move_alias("m", "candidate", 1, 1)
    (entry,) = look(project, journal, 0)
    assert (entry.labels, entry.reasons) == (("m@v1", "m@v2"), ("candidate",))


def test_a_file_of_no_version_goes_once_it_is_old(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    path = tmp_path / "lost.pkl"
    path.write_bytes(b"of a release that died")
    stored = store.path(store.adopt(path).digest)
    assert reasons(project, journal) == {"": ("younger than a day",)}
    os.utime(stored, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    assert reasons(project, journal) == {"": ()}


def put_folder(store: ModelStore, journal: Journal, folder: Path, number: int) -> ModelVersion:
    """A version of long ago that is a folder: one file of its own, and one that all have."""
    path = folder / f"net {number}"
    path.mkdir()
    (path / "config.json").write_text("shared")
    (path / "weights").write_bytes(b"weights %d" % number)
    version = ModelVersion(name="m", number=number, model=store.adopt(path), release=number, created_at=LONG_AGO)
    rest(store)
    journal.add_version(version)
    return version


def test_files_of_folders_stay_and_go_with_them(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    kept, gone = (put_folder(store, journal, tmp_path, number) for number in (1, 2))
    journal.move_alias("m", "champion", 1, 1)
    found = look(project, journal, keep=1)
    assert {entry.labels: entry.reasons for entry in found} == {("m@v1",): ("champion",), ("m@v2",): ()}
    assert {entry.size for entry in found} == {15}
    remove(project, tuple(entry for entry in found if not entry.reasons))
    store.verify(kept.model)
    assert gone.model.digest not in store.digests()
    assert len(store.digests()) == 3


def test_a_model_that_was_stored_again_stays_although_its_version_is_old(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    old = put(store, journal, tmp_path, 1)
    found = look(project, journal, 0)
    assert [entry.reasons for entry in found] == [()]
    # between the look and the removal, a release trains the same model again
    store.adopt(tmp_path / "model.pkl")
    remove(project, found)
    assert store.digests() == (old.model.digest,)
    assert reasons(project, journal, 0) == {"m@v1": ("younger than a day",)}


def test_what_was_left_half_written_goes_once_it_is_old(
    project: Project, journal: Journal, store: ModelStore, tmp_path: Path
) -> None:
    put(store, journal, tmp_path, 1, old=False)
    for name in ("old", "young"):
        (store.root / f".new-{name}").write_bytes(b"half a mod")
    (store.root / ".new-folder").mkdir()
    for name in ("old", "folder"):
        os.utime(store.root / f".new-{name}", (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    remove(project, ())
    assert sorted(path.name for path in store.root.iterdir()) == [".new-young", "sha256"]
