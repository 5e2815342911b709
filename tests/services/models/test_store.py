"""Models kept by digest: whole, once, and unchanged."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlconsole.evidence.training import ModelFile
from mlconsole.services.models.store import ModelDamaged, ModelMissing, ModelStore, StoreFailed


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "my model_v1.pkl"
    path.write_bytes(b"weights" * 1000)
    return path


def everything(store: ModelStore) -> list[str]:
    return sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file())


def test_a_model_is_stored_under_its_digest_and_read_only(store: ModelStore, model_path: Path) -> None:
    model = store.adopt(model_path)
    hexadecimal = hashlib.sha256(b"weights" * 1000).hexdigest()
    assert model == ModelFile(digest=f"sha256:{hexadecimal}", size=7000, filename="my model_v1.pkl")
    assert everything(store) == [f"sha256/{hexadecimal[:2]}/{hexadecimal}/my model_v1.pkl"]
    assert stat.S_IMODE(store.path(model.digest).stat().st_mode) == 0o444
    assert store.path(model.digest).read_bytes() == model_path.read_bytes()
    store.verify(model)


def test_its_address_leads_to_the_file(store: ModelStore, model_path: Path) -> None:
    uri = store.uri(store.adopt(model_path))
    assert uri.startswith("file:///")
    assert Path(unquote(urlparse(uri).path)).read_bytes() == model_path.read_bytes()


def test_the_same_model_is_stored_once_under_its_first_name(store: ModelStore, model_path: Path) -> None:
    first = store.adopt(model_path)
    other = model_path.rename(model_path.with_name("other.pkl"))
    second = store.adopt(other)
    assert (second.digest, second.filename) == (first.digest, "other.pkl")
    assert len(everything(store)) == 1
    assert store.uri(second) == store.uri(first)
    assert store.digests() == (first.digest,)


def test_adopting_again_heals_a_damaged_copy(store: ModelStore, model_path: Path) -> None:
    model = store.adopt(model_path)
    store.path(model.digest).chmod(0o644)
    store.path(model.digest).write_bytes(b"x" * 7000)
    with pytest.raises(ModelDamaged, match=r"has the digest [0-9a-f]{12}, but [0-9a-f]{12} was stored"):
        store.verify(model)
    store.adopt(model_path)
    store.verify(model)


def test_a_copy_of_another_size_is_damaged(store: ModelStore, model_path: Path) -> None:
    model = store.adopt(model_path)
    store.path(model.digest).chmod(0o644)
    store.path(model.digest).write_bytes(b"half")
    with pytest.raises(ModelDamaged, match=r"\(4 bytes\), but 7000 bytes were stored"):
        store.verify(model)


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    store: ModelStore, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFailed, match="is on a disk that is full"):
        store.adopt(model_path)
    with pytest.raises(StoreFailed, match="is on a disk that is full"):
        store.text_put("text", ".yaml")
    assert everything(store) == []
    assert store.digests() == ()


def test_a_model_that_is_not_there_is_a_sentence(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="No such file"):
        store.adopt(tmp_path / "gone.pkl")
    with pytest.raises(ModelMissing, match="is not a file"):
        store.adopt(Path(os.devnull))
    assert not store.root.exists() or everything(store) == []


def test_a_model_that_grows_while_it_is_read_is_refused(
    store: ModelStore, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlconsole.services.models import store as module

    copy = module._copy

    def grow(source: object, target: object) -> tuple[str, int]:
        result = copy(source, target)  # type: ignore[arg-type]
        with model_path.open("ab") as file:
            file.write(b"more")
        return result

    monkeypatch.setattr(module, "_copy", grow)
    with pytest.raises(ModelDamaged, match="was written to while it was stored"):
        store.adopt(model_path)
    assert everything(store) == []


def test_a_removed_model_is_missing(store: ModelStore, model_path: Path) -> None:
    model = store.adopt(model_path)
    store.remove(model.digest)
    assert (everything(store), store.digests()) == ([], ())
    for use in (store.path, store.remove):
        with pytest.raises(ModelMissing, match="is not in the store"):
            use(model.digest)
    with pytest.raises(ModelMissing):
        store.verify(model)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc", "md5:" + "0" * 64, "sha256:" + "G" * 64])
def test_what_is_no_digest_is_refused(store: ModelStore, digest: str) -> None:
    with pytest.raises(ModelMissing, match="is not a digest"):
        store.path(digest)


def test_a_store_that_can_not_be_made_is_a_sentence(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreFailed, match="can't be written"):
        ModelStore(tmp_path / "taken").adopt(model_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text())
def test_a_text_comes_back_as_it_was(store: ModelStore, text: str) -> None:
    digest = store.text_put(text, ".yaml")
    assert store.text_get(digest) == text
    assert store.text_put(text, ".yaml") == digest


def test_texts_are_no_models(store: ModelStore) -> None:
    digest = store.text_put("kind: Deployment\n", ".yaml")
    assert store.digests() == ()
    assert digest == f"sha256:{hashlib.sha256(b'kind: Deployment' + bytes([10])).hexdigest()}"
    assert [Path(name).name for name in everything(store)] == ["content.yaml"]


def test_a_changed_text_is_damaged(store: ModelStore) -> None:
    digest = store.text_put("kind: Deployment\n", ".yaml")
    path = next(path for path in store.root.rglob("content.yaml"))
    path.chmod(0o644)
    path.write_text("kind: Secret\n")
    with pytest.raises(ModelDamaged, match="was changed since it was stored"):
        store.text_get(digest)
    assert store.text_put("kind: Deployment\n", ".yaml") == digest
    assert store.text_get(digest) == "kind: Deployment\n"


def test_a_text_that_is_not_there_is_a_sentence(store: ModelStore) -> None:
    with pytest.raises(ModelMissing, match="The text 000000000000 is not in the store"):
        store.text_get("sha256:" + "0" * 64)
