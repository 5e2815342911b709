"""Versions and stages as annotated git tags."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import now
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.release.tags import tag
from mlconsole.services.git import GitFailed
from mlconsole.services.git.tags import TagTaken


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    return tmp_path


def a_version(number: int, commit: str, name: str = "m") -> ModelVersion:
    model = ModelFile(digest=f"sha256:{number:064}", size=1, filename="model.pkl")
    return ModelVersion(name=name, number=number, model=model, release=number, created_at=now(), commit=commit)


def test_a_version_is_an_annotated_tag_at_its_commit(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    git(root, "commit", "-q", "--allow-empty", "-m", "two")
    assert tag(root, a_version(1, first)) == ("m@v1",)
    assert git(root, "rev-parse", "m@v1^{commit}") == first
    assert git(root, "cat-file", "-t", "m@v1") == "tag"
    assert f"model sha256:{1:064}" in git(root, "tag", "-l", "--format=%(contents)", "m@v1")


def test_a_tag_is_written_once_and_never_moved(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    tag(root, a_version(1, first))
    made = git(root, "rev-parse", "m@v1")
    tag(root, a_version(1, first))
    assert git(root, "rev-parse", "m@v1") == made
    git(root, "commit", "-q", "--allow-empty", "-m", "two")
    with pytest.raises(TagTaken, match="m@v1 is at another commit"):
        tag(root, a_version(1, git(root, "rev-parse", "HEAD")))


def test_each_assignment_of_a_stage_has_a_number(root: Path) -> None:
    commit = git(root, "rev-parse", "HEAD")
    assert tag(root, a_version(1, commit), "prod") == ("m@v1", "m#prod#1")
    assert tag(root, a_version(1, commit), "prod") == ("m@v1", "m#prod#1")
    # another version of the same commit is another assignment, and so is a rollback to the first
    assert tag(root, a_version(2, commit), "prod")[1] == "m#prod#2"
    assert tag(root, a_version(1, commit), "prod")[1] == "m#prod#3"
    assert tag(root, a_version(1, commit), "staging")[1] == "m#staging#1"


def test_what_can_not_be_tagged_is_told(root: Path) -> None:
    with pytest.raises(WrongUse, match="without a commit"):
        tag(root, a_version(1, ""))
    with pytest.raises(WrongUse, match="can't be part of a tag"):
        tag(root, a_version(1, "a" * 40), "--force x")
    with pytest.raises(GitFailed):
        tag(root, a_version(1, "a" * 40))
