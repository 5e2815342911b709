"""The store while several processes write to it, remove from it, or are killed: what it shows is whole, always."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlconsole.evidence.training import ModelFile
from mlconsole.services.models.store import ModelDamaged, ModelMissing, ModelStore, StoreFailed
from tests.waiting import until

WRITER = """\
import itertools, os, random, sys
from pathlib import Path
from mlconsole.services.models.store import ModelStore
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else None
store, chance = ModelStore(folder / "store"), random.Random(seed)
print("ready", flush=True)
for turn in itertools.count():
    if rounds is not None and turn >= rounds and (folder / "enough").exists():
        break
    number = chance.randrange(6)
    file = folder / f"model-{seed}.pkl"
    file.write_bytes(bytes([number]) * 200_000)
    store.adopt(file)
    tree = folder / f"net-{seed}"
    tree.mkdir(exist_ok=True)
    (tree / "config.json").write_text("{}")
    (tree / "weights").write_bytes(bytes([number + 10]) * 100_000)
    store.adopt(tree, "net")
    store.text_put(f"text {number} " * 5000, ".yaml")
print("done", flush=True)
"""
KILLS = 20


def writer(folder: Path, seed: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(seed), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def verify_all(store: ModelStore) -> int:
    """Read all that the store shows; how many models that is."""
    digests = store.digests()
    for digest in digests:
        path = store.path(digest)
        size = path.stat().st_size
        store.verify(ModelFile(digest=digest, size=size, filename=path.name))
    for text in (store.root / "text").glob("*/*"):
        assert store.text_get(f"sha256:{text.name}").startswith("text ")
    return len(digests)


def test_a_writer_that_is_killed_leaves_a_store_that_is_whole(tmp_path: Path) -> None:
    store, chance = ModelStore(tmp_path / "store"), random.Random(7)
    for turn in range(KILLS):
        process = writer(tmp_path, turn % 3)
        if not turn:
            until(store.digests)
        time.sleep(chance.random() * 0.1)
        process.kill()
        process.communicate(timeout=100)
        verify_all(store)
    assert verify_all(store) > 0
    (tmp_path / "enough").touch()
    done = writer(tmp_path, 1, "3")
    assert done.communicate(timeout=100)[0] == "done\n"
    store.sweep(0)
    assert sorted(path.name for path in store.root.iterdir()) == ["sha256", "text", "tree"]


def test_writers_and_a_remover_at_once_do_each_other_no_harm(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    writers = [writer(tmp_path, seed, "40") for seed in range(3)]
    removed = read = 0
    while any(process.poll() is None for process in writers):
        for digest in store.digests():
            try:
                store.verify(ModelFile(digest=digest, size=store.path(digest).stat().st_size, filename=""))
                read += 1
                store.remove(digest)
                removed += 1
            except (ModelMissing, StoreFailed, FileNotFoundError):
                continue  # gone meanwhile, which is said in a sentence
        if min(removed, read) > 10:
            (tmp_path / "enough").touch()
    said = [process.communicate(timeout=100)[0] for process in writers]
    assert said == ["done\n"] * 3, "a writer was disturbed"
    assert [process.returncode for process in writers] == [0, 0, 0]
    assert min(removed, read) > 10, "nothing was removed while they wrote"
    verify_all(store)


@pytest.mark.parametrize("bit", [0, 3, 799_999])
def test_one_bit_is_told(tmp_path: Path, bit: int) -> None:
    store = ModelStore(tmp_path / "store")
    (tmp_path / "model.pkl").write_bytes(b"w" * 100_000)
    model = store.adopt(tmp_path / "model.pkl")
    stored = store.path(model.digest)
    flipped = bytearray(stored.read_bytes())
    flipped[bit // 8] ^= 1 << (bit % 8)
    stored.chmod(0o644)
    stored.write_bytes(flipped)
    with pytest.raises(ModelDamaged, match=r"but [0-9a-f]+ was stored"):
        store.verify(model)
