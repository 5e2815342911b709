"""Versions and champions in a store that a team shares: no number is given twice, and no move is lost."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.evidence.release import AliasMove, StageRun
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.services.models.registry import Deployed, Registry
from mlconsole.services.models.shared import SharedStoreFailed
from tests.services.models.s3_server import use_s3

NAME = "team/model"
"""With a slash, which must not make a folder."""


def a_version(number: int, who: str = "ada on one", digest: str = "sha256:1") -> ModelVersion:
    model = ModelFile(digest=digest, size=1, filename="model.pkl")
    return ModelVersion(name=NAME, number=number, model=model, release=0, created_at=now(), elsewhere=who)


def a_move(sequence: int, number: int, who: str = "ada on one") -> AliasMove:
    return AliasMove(name=NAME, alias="champion", number=number, release=0, at=now(), elsewhere=who, sequence=sequence)


def test_what_one_machine_writes_another_reads(url: str) -> None:
    one, other = Registry(url), Registry(url)
    assert (other.numbers(NAME), other.last_move(NAME), other.moves(NAME, 0)) == ((), 0, ())
    versions = [a_version(1), a_version(2), a_version(12)]
    assert all(one.add_version(version) for version in versions)
    assert one.add_move(a_move(1, 2))
    assert one.add_move(a_move(2, 12))
    assert other.numbers(NAME) == (1, 2, 12)
    assert other.versions(NAME, [2, 12]) == tuple(versions[1:])
    assert other.last_move(NAME) == 2
    assert [move.number for move in other.moves(NAME, 1)] == [12]
    assert Registry(url).numbers("another") == ()


def test_a_number_and_a_move_are_given_once(url: str) -> None:
    one, other = Registry(url), Registry(url)
    assert one.add_version(a_version(1))
    assert not other.add_version(a_version(1, "bob on two"))
    assert one.add_move(a_move(1, 1))
    assert not other.add_move(a_move(1, 1, "bob on two"))
    assert [version.elsewhere for version in other.versions(NAME, [1])] == ["ada on one"]
    assert [move.elsewhere for move in other.moves(NAME, 0)] == ["ada on one"]


def test_of_many_that_want_one_number_just_one_gets_it(url: str) -> None:
    start = threading.Barrier(8)

    def machine(who: int) -> list[int]:
        registry = Registry(url)
        start.wait(60)
        return [number for number in range(1, 6) if registry.add_version(a_version(number, f"{who}"))]

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(machine, range(8)))
    assert sorted(number for numbers in got for number in numbers) == [1, 2, 3, 4, 5]
    found = {version.number: int(version.elsewhere) for version in Registry(url).versions(NAME, range(1, 6))}
    assert found == {number: who for who, numbers in enumerate(got) for number in numbers}


def _take(url: str, who: int) -> list[int]:
    registry = Registry(url)
    return [number for number in range(1, 21) if registry.add_version(a_version(number, f"{who}"))]


def test_processes_that_race_for_numbers_of_a_folder_get_each_once(tmp_path: Path) -> None:
    url = str(tmp_path / "team")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        got = pool.starmap(_take, [(url, who) for who in range(4)])
    assert sorted(number for numbers in got for number in numbers) == list(range(1, 21))
    found = Registry(url).versions(NAME, range(1, 21))
    assert all(version.number in got[int(version.elsewhere)] for version in found)
    assert not list(Path(url).rglob(".new-*"))


def test_the_stages_that_deployed_a_version_are_those_of_the_last_time(url: str) -> None:
    version = a_version(3)
    assert Registry(url).deployed(version) is None
    for release in (4, 5):
        run = StageRun(release=release, stage="repo", attempt=1, state="done", started_at=now())
        Registry(url).keep_deployed(Deployed(version=version, stages=(run,)))
    found = Registry(url).deployed(version)
    assert found is not None
    assert [run.release for run in found.stages] == [5]
    with pytest.raises(SharedStoreFailed, match="another model"):
        Registry(url).deployed(a_version(3, digest="sha256:2"))


@pytest.mark.parametrize("content", [b"", b"{half", b"\xff\xfe", b"[1, 2]"])
def test_what_is_no_record_is_a_sentence(url: str, content: bytes) -> None:
    Registry(url).add_version(a_version(1))
    fs, root = fsspec.core.url_to_fs(url)
    (path,) = fs.find(root)
    fs.pipe_file(path, content)
    with pytest.raises(SharedStoreFailed, match=r"versions/team/model/000001.json in .* can't be read"):
        Registry(url).versions(NAME, [1])


def test_a_record_of_another_number_is_a_sentence(url: str) -> None:
    Registry(url).add_version(a_version(1))
    fs, root = fsspec.core.url_to_fs(url)
    (path,) = fs.find(root)
    fs.pipe_file(path.replace("000001", "000002"), bytes(fs.cat_file(path)))
    with pytest.raises(SharedStoreFailed, match="is team/model@v1"):
        Registry(url).versions(NAME, [2])


def test_a_store_that_nobody_answers_for_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # nothing listens on the port of discarding
    use_s3(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(SharedStoreFailed, match="can't be read"):
        Registry("s3://bucket/models").numbers(NAME)
