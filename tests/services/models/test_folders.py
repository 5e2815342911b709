"""Models that are folders: one digest for names and contents, each file once, whole or absent."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import fsspec
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.evidence.training import ModelFile
from mlconsole.services.models import scan
from mlconsole.services.models.store import ModelDamaged, ModelMissing, ModelStore, StoreFailed
from mlconsole.services.models.tree import FolderUnfit, NoTree, Tree, TreeFile, look, manifest_name, parse
from mlconsole.services.models.trees import Trees


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "net")


def written(path: Path, weights: bytes = b"w" * 1000) -> Path:
    """A model of three files, of which one may be run."""
    (path / "variables").mkdir(parents=True)
    (path / "config.json").write_text('{"layers": 3}')
    (path / "variables" / "weights.npy").write_bytes(weights)
    (path / "serve").write_text("#!/bin/sh\n")
    (path / "serve").chmod(0o755)
    return path


def blobs(store: ModelStore) -> set[str]:
    return {path.name for path in (store.root / "sha256").glob("*/*")}


def test_a_folder_is_stored_under_the_digest_of_its_names_and_contents(store: ModelStore, folder: Path) -> None:
    model = store.adopt(folder)
    assert model == ModelFile(digest=model.digest, size=1023, filename="net", files=3)
    stored = store.path(model.digest)
    assert stored.name == "net"
    assert {path.name for path in look(folder)} == {file.name for file in look(stored)}  # type: ignore[attr-defined]
    assert (stored / "variables/weights.npy").read_bytes() == b"w" * 1000
    assert stat.S_IMODE((stored / "config.json").stat().st_mode) == 0o444
    assert stat.S_IMODE((stored / "serve").stat().st_mode) == 0o555
    store.verify(model)
    assert store.uri(model) == stored.as_uri()
    assert model.digest in store.digests()


def test_neither_place_nor_time_nor_empty_folders_change_the_digest(store: ModelStore, tmp_path: Path) -> None:
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    (second / "assets").mkdir()
    os.utime(second / "config.json", (1, 1))
    assert store.adopt(first).digest == store.adopt(second).digest


@pytest.mark.parametrize("change", ["name", "bytes", "runs", "more"])
def test_names_bytes_and_what_may_be_run_change_it(store: ModelStore, tmp_path: Path, change: str) -> None:
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    if change == "name":
        (second / "config.json").rename(second / "Config.json")
    elif change == "bytes":
        (second / "config.json").write_text('{"layers": 4}')
    elif change == "runs":
        (second / "serve").chmod(0o644)
    else:
        (second / "more").write_text("")
    assert store.adopt(first).digest != store.adopt(second).digest


def test_files_that_versions_share_are_stored_once(store: ModelStore, tmp_path: Path) -> None:
    first, second = store.adopt(written(tmp_path / "a")), store.adopt(written(tmp_path / "b", b"v" * 1000))
    assert len(blobs(store)) == 4
    one, other = (store.path(model.digest) / "config.json" for model in (first, second))
    assert one.stat().st_ino == other.stat().st_ino


def test_adopting_again_heals_it(store: ModelStore, folder: Path) -> None:
    model = store.adopt(folder)
    stored = store.path(model.digest)
    (stored / "config.json").unlink()
    for read in (store.verify, lambda model: store.path(model.digest)):
        with pytest.raises(ModelDamaged, match=r"has no config\.json any more"):
            read(model)
    store.adopt(folder)
    store.verify(model)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda stored: (stored / "extra").write_text("1"), "has extra, which was not stored"),
        (lambda stored: (stored / "serve").chmod(0o444), "serve is not what was stored"),
        (lambda stored: swap(stored / "config.json", '{"layers": 9}'), r"config\.json is not what was stored"),
        (
            lambda stored: next(stored.parent.glob("*.tree")).write_text("x") if unlock(stored) else 0,
            "was changed since",
        ),
    ],
)
def test_a_folder_that_was_changed_is_told(store: ModelStore, folder: Path, harm: object, sentence: str) -> None:
    model = store.adopt(folder)
    harm(store.path(model.digest))  # type: ignore[operator]
    with pytest.raises(ModelDamaged, match=sentence):
        store.verify(model)


def swap(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def unlock(stored: Path) -> bool:
    next(stored.parent.glob("*.tree")).chmod(0o644)
    return True


def test_what_can_not_be_kept_is_refused_in_a_sentence(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    (folder / "latest").symlink_to("config.json")
    with pytest.raises(FolderUnfit, match="latest in the folder net is a link"):
        store.adopt(folder)
    (folder / "latest").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(FolderUnfit, match="pipe in the folder net is neither a file nor a folder"):
        store.adopt(folder)
    (folder / "pipe").unlink()
    (folder / "a\nb").write_text("1")
    with pytest.raises(FolderUnfit, match="is no text on one line"):
        store.adopt(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderUnfit, match="The folder empty is empty"):
        store.adopt(tmp_path / "empty")
    assert store.digests() == ()


def test_a_folder_is_whole_or_absent(store: ModelStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlconsole.services.models import trees

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trees, "sync_folder", full)
    with pytest.raises(StoreFailed, match="disk that is full"):
        store.adopt(folder)
    assert not list((store.root / "tree").glob("*/*"))
    assert not list(store.root.glob(".new-*"))


def test_a_disk_without_links_keeps_copies(store: ModelStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store.verify(store.adopt(folder))


def test_of_two_who_store_the_same_folder_at_once_one_finds_it_there(store: ModelStore, folder: Path) -> None:
    model = store.adopt(folder)
    tree, trees, asked = store.tree(model.digest), Trees(store.root), list[str]()
    assert tree is not None
    trees.remove(model.digest)

    def second(digest: str) -> Path:
        asked.append(digest)
        return store.path(digest)

    other = threading.Thread(target=trees.put, args=(tree, "net", second))

    def first(digest: str) -> Path:
        if other.ident is None:
            other.start()
            other.join(0.2)
        return store.path(digest)

    trees.put(tree, "net", first)
    other.join()
    assert asked == []
    store.verify(model)


def test_a_removed_folder_leaves_its_files(store: ModelStore, folder: Path) -> None:
    model = store.adopt(folder)
    store.remove(model.digest)
    assert model.digest not in store.digests()
    assert len(blobs(store)) == 3
    with pytest.raises(ModelMissing):
        store.path(model.digest)


def test_a_folder_goes_to_the_shared_store_and_comes_back(
    store: ModelStore, folder: Path, tmp_path: Path, url: str
) -> None:
    model = ModelStore(store.root, url).adopt(folder)
    other = ModelStore(tmp_path / "elsewhere", url)
    assert other.uri(model).endswith(f"/{model.digest[7:]}/net")
    with fsspec.open(f"{other.uri(model)}/config.json") as file:
        assert file.read() == b'{"layers": 3}'
    other.verify(model)
    assert other.path(model.digest).is_relative_to(tmp_path / "elsewhere")


def test_half_a_folder_in_the_shared_store_is_none(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    model = ModelStore(store.root, (tmp_path / "shared").as_uri()).adopt(folder)
    next((tmp_path / "shared").rglob(manifest_name(model.digest))).unlink()
    with pytest.raises(ModelMissing):
        ModelStore(tmp_path / "elsewhere", (tmp_path / "shared").as_uri()).path(model.digest)


def test_a_file_that_was_changed_in_the_shared_store_is_refused(
    store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    model = ModelStore(store.root, (tmp_path / "shared").as_uri()).adopt(folder)
    changed = next((tmp_path / "shared").rglob("config.json"))
    changed.write_text('{"layers": 9}')
    with pytest.raises(ModelDamaged, match="has the digest"):
        ModelStore(tmp_path / "elsewhere", (tmp_path / "shared").as_uri()).path(model.digest)


def test_every_file_is_scanned(folder: Path) -> None:
    import pickle

    assert scan.imports(folder) == ()
    (folder / "variables" / "step.pkl").write_bytes(pickle.dumps(shutil.rmtree))
    assert scan.dangerous(scan.imports(folder)) == ("shutil.rmtree",)


def test_arrays_of_objects_are_scanned_and_those_of_numbers_are_not(folder: Path) -> None:
    numpy.save(folder / "variables" / "weights.npy", numpy.arange(1000.0))
    numpy.savez(folder / "both.npz", a=numpy.ones(3), b=numpy.ones(2))
    assert scan.imports(folder) == ()
    harmful = numpy.array([shutil.rmtree], dtype=object)
    numpy.save(folder / "variables" / "weights.npy", harmful, allow_pickle=True)
    assert scan.dangerous(scan.imports(folder)) == ("shutil.rmtree",)
    (folder / "variables" / "weights.npy").unlink()
    numpy.savez(folder / "both.npz", a=numpy.ones(3), b=harmful)
    assert scan.dangerous(scan.imports(folder)) == ("shutil.rmtree",)


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and "/" not in name
)
FILES = st.lists(
    st.builds(
        TreeFile,
        path=st.lists(NAMES, min_size=1, max_size=3).map("/".join),
        size=st.integers(0, 10**12),
        digest=st.integers(0, 2**256 - 1).map(lambda value: f"sha256:{value:064x}"),
        executable=st.booleans(),
    ),
    min_size=1,
    unique_by=lambda file: file.path,
)


@given(FILES)
def test_what_is_written_is_read_again(files: list[TreeFile]) -> None:
    tree = Tree(files=tuple(files))
    read = parse(tree.text.encode())
    assert read.digest == tree.digest
    assert sorted(read.files, key=lambda file: file.path) == sorted(files, key=lambda file: file.path)


@pytest.mark.parametrize("path", ["../up", "/root", "a//b", "a/./b", "a\x00b", ""])
def test_a_list_that_leads_out_of_the_folder_is_none(path: str) -> None:
    with pytest.raises(NoTree):
        parse(f"mlconsole folder 1\nsha256:{'0' * 64} 1 - {path}\n".encode())


@given(st.binary())
def test_wild_bytes_are_no_list(data: bytes) -> None:
    with pytest.raises(NoTree):
        parse(data)
