"""Models that somebody else put into a store, at an address that was agreed on: fetched, and held against their digest.

Beside the file may lie one with `.sha256` at its end, as `sha256sum` writes it: what comes has to have that digest. For
a model that is a folder, it has a line for each file, by its path below the folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mlconsole.errors import OutsideFailed, Refused
from mlconsole.services.models.store import ModelDamaged
from mlconsole.text import clean_line, short_digest, shorten

_CHUNK = 1 << 20


class NothingCame(Refused):
    """Nobody put a model where it was to be put."""


def prepare(uri: str) -> None:
    """Make the folder of an address, where the store has folders.

    Raises:
        OutsideFailed: the store can't be written.
    """
    files, path = _open(uri)
    try:
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
    except Exception as error:
        raise OutsideFailed(f"The store can't be written at {uri}: {_why(error)}.", "Check its rights.") from error


def fetch(uri: str, target: Path) -> bool:
    """Fetch a model; returns whether there was a digest to hold it against.

    Raises:
        NothingCame: there is no file, or an empty one.
        ModelDamaged: it has another digest than the file beside it says.
        OutsideFailed: the store can't be read.
    """
    files, path = _open(uri)
    try:
        if not files.exists(path):
            raise NothingCame(f"The training ended well, but there is no model at {uri}.", "Let it write one there.")
        names = _names(files, path) if files.isdir(path) else [""]
        came = {name: _copied(files, f"{path}/{name}".rstrip("/"), target / name) for name in names}
        told = files.cat_file(f"{path}.sha256").decode() if files.exists(f"{path}.sha256") else ""
    except NothingCame:
        raise
    except Exception as error:
        raise OutsideFailed(f"The model can't be read from {uri}: {_why(error)}.", "Look at the store.") from error
    if not any(size for _, size in came.values()):
        raise NothingCame(f"The training wrote an empty file to {uri}.", "Look in its log.")
    _compare(uri, {name: digest for name, (digest, _) in came.items()}, told)
    return bool(told.split())


def _names(files: Any, path: str) -> list[str]:
    """The files below a folder, by their paths in it.

    Raises:
        NothingCame: there are none.
    """
    found = [str(name).removeprefix(path).strip("/") for name in files.find(path)]
    if not found or any(".." in name.split("/") for name in found):
        raise NothingCame("The training left an empty folder as its model.", "Look in its log.")
    return sorted(found)


def _copied(files: Any, path: str, target: Path) -> tuple[str, int]:
    """Fetch a file; returns its digest in hexadecimal digits, and its bytes."""
    sha, size = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.open(path, "rb") as source, target.open("wb") as copy:
        while chunk := source.read(_CHUNK):
            sha.update(chunk)
            copy.write(chunk)
            size += len(chunk)
    return sha.hexdigest(), size


def _compare(uri: str, came: dict[str, str], told: str) -> None:
    """Hold digests against what `sha256sum` wrote of them.

    Raises:
        ModelDamaged: a file has another one, or is not there.
    """
    lines = [line.partition(" ") for line in told.splitlines() if line.strip()]
    if list(came) == [""]:
        sums = {"": lines[0][0]} if lines else {}
    else:
        sums = {name.strip().removeprefix("*").removeprefix("./"): sha for sha, _, name in lines}
    for name, wanted in sums.items():
        digest, sha = came.get(name, ""), wanted.removeprefix("sha256:").lower()
        if digest != sha:
            what = f"{name} of what came" if name else "What came"
            is_there = f"has the digest {short_digest(digest)}, not {short_digest(sha)}" if digest else "is not there"
            raise ModelDamaged(f"{what} from {uri} {is_there}.", "Train again; look at the store if it stays.")


def remove(uri: str) -> None:
    """Remove the folder of an address, as far as that can be done."""
    from mlconsole.services.models.side_files import SideFiles

    folder, _, last = uri.rpartition("/")[0].rpartition("/")
    SideFiles(folder).remove(last)


def _open(uri: str) -> tuple[Any, str]:
    from mlconsole.services.models.shared import files_of

    try:
        return files_of(uri)
    except (ImportError, ValueError) as error:
        raise OutsideFailed(f"{uri} can't be used: {clean_line(str(error))}", "Install what it names.") from error


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shorten(clean_line(str(text)).rstrip("."), 200)
