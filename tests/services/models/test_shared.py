"""A store that a team shares: what is stored on one machine is found, and proven, on another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pytest

from mlconsole.services.models.shared import SharedStore, SharedStoreFailed, SharedStoreUnusable
from mlconsole.services.models.store import ModelDamaged, ModelMissing, ModelStore
from tests.services.models.s3_server import S3Server, use_s3


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"weights" * 1000)
    return path


def shared_files(url: str) -> dict[str, bytes]:
    fs, root = fsspec.core.url_to_fs(url)
    fs.invalidate_cache()
    return {name: bytes(fs.cat_file(name)) for name in fs.find(root)}


def test_what_one_machine_stores_another_finds(url: str, model: Path, tmp_path: Path) -> None:
    stored = ModelStore(tmp_path / "one", url).adopt(model)
    other = ModelStore(tmp_path / "other", url)
    assert other.local_path(stored.digest) is None
    assert other.path(stored.digest).read_bytes() == model.read_bytes()
    assert other.path(stored.digest).is_relative_to(tmp_path / "other")
    other.verify(stored)


def test_the_uri_is_the_shared_ones_and_nothing_unfinished_is_left(url: str, model: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "one", url)
    stored = store.adopt(model)
    store.adopt(model)
    (name,) = shared_files(url)
    assert name.endswith(f"/sha256/{stored.digest[7:9]}/{stored.digest[7:]}/model.pkl")
    uri = store.uri(stored)
    assert uri.startswith(f"{urlsplit(url).scheme or 'file'}://")
    with fsspec.open(uri, "rb") as file:
        assert file.read() == model.read_bytes()
    assert store.uri(stored, local=True) == store.path(stored.digest).as_uri()


def test_a_model_that_was_stored_before_is_brought_there_when_it_is_named(
    url: str, model: Path, tmp_path: Path
) -> None:
    stored = ModelStore(tmp_path / "one").adopt(model)
    assert ModelStore(tmp_path / "one", url).uri(stored).endswith("/model.pkl")
    assert list(shared_files(url).values()) == [model.read_bytes()]


def test_what_was_changed_there_is_not_taken(url: str, model: Path, tmp_path: Path) -> None:
    stored = ModelStore(tmp_path / "one", url).adopt(model)
    (name,) = shared_files(url)
    fs, _ = fsspec.core.url_to_fs(url)
    if not url.startswith(("memory", "s3")):
        Path(name).chmod(0o644)
    fs.pipe_file(name, b"other weights")
    other = ModelStore(tmp_path / "other", url)
    with pytest.raises(ModelDamaged, match="has the digest"):
        other.path(stored.digest)
    assert other.local_path(stored.digest) is None


def test_a_model_that_nobody_has_is_missing(url: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        ModelStore(tmp_path / "one", url).path(f"sha256:{'0' * 64}")


def test_an_upload_that_comes_back_otherwise_is_not_named(
    url: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path / "one", url)
    fs = store._shared._fs if store._shared else None
    put = fs.put_file

    def lossy(source: str, target: str, **options: Any) -> None:
        put(source, target, **options)
        Path(target).chmod(0o644) if Path(target).exists() else None
        fs.pipe_file(target, b"half")

    monkeypatch.setattr(fs, "put_file", lossy)
    with pytest.raises(SharedStoreFailed, match=r"where .* was written"):
        store.adopt(model)
    assert shared_files(url) == {}


def test_a_store_that_can_not_be_written_is_a_sentence(model: Path, tmp_path: Path) -> None:
    (tmp_path / "team").write_text("a file, not a folder")
    with pytest.raises(SharedStoreFailed, match="can't be"):
        ModelStore(tmp_path / "one", str(tmp_path / "team")).adopt(model)


@pytest.mark.parametrize(
    ("url", "words"),
    [("nosuch://bucket/models", "can't be used"), ("s3://me:secret@bucket/models", "holds a password")],
)
def test_a_url_that_can_not_be_used_is_told(url: str, words: str) -> None:
    with pytest.raises(SharedStoreUnusable, match=words) as caught:
        SharedStore(url)
    assert "secret" not in str(caught.value)


def test_machines_that_store_at_once_leave_one_whole_file_of_each_model(url: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.pkl" for number in range(2)]
    for number, path in enumerate(paths):
        path.write_bytes(b"weights %d" % number * 100_000)
    found: list[str] = []
    start = threading.Barrier(6)

    def machine(number: int) -> None:
        store = ModelStore(tmp_path / f"machine{number}", url)
        start.wait(100)
        found.append(store.adopt(paths[number % 2]).digest)

    threads = [threading.Thread(target=machine, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert len(found) == 6
    assert sorted(shared_files(url).values()) == sorted(path.read_bytes() for path in paths)
    other = ModelStore(tmp_path / "other", url)
    assert {other.path(digest).read_bytes() for digest in found} == {path.read_bytes() for path in paths}


def test_an_object_store_that_is_full_is_a_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = S3Server()
    use_s3(monkeypatch, server.address)
    store = ModelStore(tmp_path / "one", "s3://bucket/models")
    server.full.set()
    with pytest.raises(SharedStoreFailed, match="The store is full"):
        store.adopt(model)
    assert server.objects == {}
    server.full.clear()
    assert store.uri(store.adopt(model)).startswith("s3://bucket/models/sha256/")
    server.close()
