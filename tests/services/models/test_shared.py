"""A store that a team shares: what is stored on one machine is found, and proven, on another."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mlconsole.services.models.shared import SharedStore, SharedStoreFailed, SharedStoreUnusable
from mlconsole.services.models.store import ModelDamaged, ModelMissing, ModelStore


@pytest.fixture(params=["folder", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The three kinds that need no network."""
    name = uuid.uuid4().hex
    yield {"folder": str(tmp_path / "team"), "file": f"file://{tmp_path}/team", "memory": f"memory://{name}"}[
        request.param
    ]
    if request.param == "memory":
        memory = fsspec.filesystem("memory")
        if memory.exists(f"/{name}"):
            memory.rm(f"/{name}", recursive=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"weights" * 1000)
    return path


def shared_files(url: str) -> dict[str, bytes]:
    fs, root = fsspec.core.url_to_fs(url)
    return {name: fs.cat_file(name) for name in fs.find(root)}


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
    assert uri.startswith("memory://" if url.startswith("memory") else "file://")
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
    if not url.startswith("memory"):
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
    fs, _ = fsspec.core.url_to_fs(url)
    put = type(fs).put_file

    def lossy(self: Any, source: str, target: str, **options: Any) -> None:
        put(self, source, target, **options)
        Path(target).chmod(0o644) if Path(target).exists() else None
        self.pipe_file(target, b"half")

    monkeypatch.setattr(type(fs), "put_file", lossy)
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
