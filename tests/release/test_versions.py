"""Versions are found by the names that people give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlconsole.errors import WrongUse
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.engine import Engine, Order
from mlconsole.release.versions import default_version, find_version

if TYPE_CHECKING:
    from conftest import World


@pytest.mark.parametrize("wanted", ["v1", "1", "m@v1", " v1 ", "champion", "m@champion", "candidate"])
def test_tag_number_label_and_alias_mean_the_same(
    project: Project, journal: Journal, world: World, wanted: str
) -> None:
    Engine(project, journal).run(Order(approved=True))
    assert find_version(journal, "m", wanted).label == "m@v1"
    assert default_version(journal, "m").label == "m@v1"


@pytest.mark.parametrize(
    ("wanted", "words"), [("latest", "is no version of m"), ("v7", "no m@v7"), ("previous", "no previous")]
)
def test_what_is_not_there_is_told(journal: Journal, wanted: str, words: str) -> None:
    with pytest.raises(WrongUse, match=words):
        find_version(journal, "m", wanted)


def test_without_any_version_there_is_no_default(journal: Journal) -> None:
    with pytest.raises(WrongUse, match="no version of m yet"):
        default_version(journal, "m")
