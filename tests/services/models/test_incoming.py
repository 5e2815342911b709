"""Models that a training of the project's own manifest left at an address: a file, or a folder, with their sums."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mlconsole.services.models import incoming
from mlconsole.services.models.incoming import NothingCame
from mlconsole.services.models.store import ModelDamaged


def put(place: Path, files: dict[str, bytes]) -> str:
    """Write files as a training does, and what `sha256sum` prints of them in that folder."""
    lines = []
    for name, content in files.items():
        path = place / name if name else place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {f'./{name}' if name else place.name}\n")
    return "".join(lines)


NET = {"config.json": b"{}", "variables/weights 1.npy": b"123"}


def test_a_file_comes_with_or_without_its_sum(tmp_path: Path) -> None:
    place, target = tmp_path / "in" / "model.pkl", tmp_path / "model.pkl"
    sums = put(place, {"": b"weights"})
    assert not incoming.fetch(place.as_uri(), target)
    place.with_name("model.pkl.sha256").write_text(sums)
    assert incoming.fetch(place.as_uri(), target)
    assert target.read_bytes() == b"weights"


def test_a_folder_comes_with_the_sums_of_its_files(tmp_path: Path) -> None:
    place, target = tmp_path / "in" / "net", tmp_path / "net"
    sums = put(place, NET)
    assert not incoming.fetch(place.as_uri(), target)
    place.with_name("net.sha256").write_text(sums)
    assert incoming.fetch(place.as_uri(), target)
    assert {name: (target / name).read_bytes() for name in NET} == NET


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda place: (place / "config.json").write_text("{1}"), r"config\.json of what came from .* has the digest"),
        (lambda place: (place / "config.json").unlink(), r"config\.json of what came from .* is not there"),
    ],
)
def test_a_folder_that_is_not_what_its_sums_say_is_refused(tmp_path: Path, change: object, sentence: str) -> None:
    place = tmp_path / "in" / "net"
    sums = put(place, NET)
    place.with_name("net.sha256").write_text(sums)
    change(place)  # type: ignore[operator]
    with pytest.raises(ModelDamaged, match=sentence):
        incoming.fetch(place.as_uri(), tmp_path / "net")


def test_nothing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NothingCame, match="there is no model at"):
        incoming.fetch((tmp_path / "none").as_uri(), tmp_path / "model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingCame, match="left an empty folder"):
        incoming.fetch((tmp_path / "empty").as_uri(), tmp_path / "model")
    put(tmp_path / "in" / "m.pkl", {"": b""})
    with pytest.raises(NothingCame, match="wrote an empty file"):
        incoming.fetch((tmp_path / "in" / "m.pkl").as_uri(), tmp_path / "model")
