"""Objects of a store, by its listing: S3, GCS, Azure, WebDAV, SFTP, whatever fsspec knows.

A store that tells a checksum (an ETag, an MD5) lists an object only once it is whole. In all others an object counts
once its listing has not changed for the settled time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.watching import Sighting
from mlconsole.services.datasets.files import is_table
from mlconsole.services.triggers.files import (
    BLOCK,
    UNFINISHED,
    Look,
    NotWhole,
    Settling,
    WholeFile,
    digest_of,
    keep_whole,
)
from mlconsole.text import clean_line

CHECKSUMS = ("ETag", "etag", "md5Hash", "md5", "content_md5", "checksum")
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


def is_address(path: str) -> bool:
    """Whether a setting names a place of a store, and not files."""
    return "://" in path


class ObjectListing:
    """Lists what an address means, again and again.

    Args:
        address: such as `s3://bucket/incoming`, or with a glob, `s3://bucket/incoming/*.csv`.
        settle: seconds without a change after which an object without a checksum is whole.
        clock: seconds that only go forwards.
    """

    def __init__(self, address: str, settle: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._settling = Settling(settle, clock)
        self._store: Any = None
        self._path = ""

    def look(self, known: Mapping[str, Sighting]) -> Look:
        """List it.

        Raises:
            WrongUse: the address can't be used.
            OutsideFailed: the store can't be asked.
        """
        whole: list[WholeFile] = []
        places: set[str] = set()
        waits: list[float] = []
        for info in self._entries():
            place = clean_line(self._store.unstrip_protocol(info["name"]))
            places.add(place)
            stamp = _stamp(info)
            if place in known and known[place].stamp == stamp:
                continue
            left = 0.0 if _checksum(info) else self._settling.left(place, stamp)
            if left:
                waits.append(left)
            else:
                whole.append(WholeFile(place=place, path=info["name"], stamp=stamp, size=int(info["size"])))
        self._settling.keep(places)
        gone = tuple(place for place in known if place not in places)
        return Look(tuple(whole), len(waits), gone, min(waits, default=None))

    def read_digest(self, file: WholeFile, copy_to: Path | None = None) -> str:
        """Read an object: `sha256:…` of its bytes; see `files.read_digest`.

        Raises:
            NotWhole: it is another one now, or gone.
            OutsideFailed: it can't be read.
        """
        try:
            with self._store.open(file.path, "rb") as source:
                blocks: Iterator[bytes] = iter(lambda: source.read(BLOCK), b"")
                digest = keep_whole(blocks, copy_to) if copy_to is not None else digest_of(blocks)
            self._store.invalidate_cache()
            info = self._store.info(file.path)
        except FileNotFoundError as error:
            raise NotWhole(f"{file.place} went away.") from error
        except Exception as error:
            raise _unusable(self._address, error) from error
        if _stamp(info) != file.stamp:
            raise NotWhole(f"{file.place} changed while it was read.")
        return digest

    def _entries(self) -> list[dict[str, Any]]:
        try:
            if self._store is None:
                import fsspec

                self._store, self._path = fsspec.core.url_to_fs(self._address)
            self._store.invalidate_cache()
            if any(mark in self._path for mark in "*?["):
                found = list(self._store.glob(self._path, detail=True).values())
            elif self._store.isdir(self._path):
                found = [info for info in self._store.ls(self._path, detail=True) if is_table(Path(info["name"]))]
            else:
                found = [self._store.info(self._path)] if self._store.exists(self._path) else []
        except (ImportError, ValueError) as error:
            raise WrongUse(f"{self._address} can't be watched: {_why(error)}.", "Install what it needs.") from error
        except Exception as error:
            raise _unusable(self._address, error) from error
        return [info for info in found if info["type"] == "file" and info["size"] and _is_meant(info["name"])]


def _is_meant(path: str) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith((".", "_")) and not name.lower().endswith(UNFINISHED)


def _checksum(info: Mapping[str, Any]) -> str:
    return next((str(info[key]) for key in CHECKSUMS if info.get(key)), "")


def _stamp(info: Mapping[str, Any]) -> str:
    moment = next((info[key] for key in TIMES if info.get(key)), "")
    # one and the same store may tell a time as seconds in a listing and as a date of a single object
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    return f"{info['size']}:{_checksum(info) or seconds}"


def _unusable(address: str, error: Exception) -> OutsideFailed:
    return OutsideFailed(
        f"{address} can't be read: {_why(error)}.", "Check the network, the address and the credentials for it."
    )


def _why(error: Exception) -> str:
    return clean_line(" ".join(str(error).split())).rstrip(".") or type(error).__name__
