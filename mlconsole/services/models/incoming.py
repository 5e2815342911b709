"""Models that somebody else put into a store, at an address that was agreed on: fetched, and held against their digest.

Beside the file may lie one with `.sha256` at its end, as `sha256sum` writes it: what comes has to have that digest.
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
    sha = hashlib.sha256()
    try:
        if not files.exists(path):
            raise NothingCame(f"The training ended well, but there is no model at {uri}.", "Let it write one there.")
        with files.open(path, "rb") as source, target.open("wb") as copy:
            while chunk := source.read(_CHUNK):
                sha.update(chunk)
                copy.write(chunk)
        told = files.cat_file(f"{path}.sha256").decode() if files.exists(f"{path}.sha256") else ""
    except NothingCame:
        raise
    except Exception as error:
        raise OutsideFailed(f"The model can't be read from {uri}: {_why(error)}.", "Look at the store.") from error
    if not target.stat().st_size:
        raise NothingCame(f"The training wrote an empty file to {uri}.", "Look in its log.")
    wanted = told.split()[0].removeprefix("sha256:").lower() if told.split() else ""
    if wanted and wanted != sha.hexdigest():
        raise ModelDamaged(
            f"What came from {uri} has the digest {short_digest(sha.hexdigest())}, not {short_digest(wanted)}.",
            "Train again; look at the store if it stays.",
        )
    return bool(wanted)


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
