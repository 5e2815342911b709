"""The versions and the champions of a team, in the store that it shares, beside the models.

<url>/versions/NAME/000003.json   what a version is made of, and who made it on which machine
<url>/aliases/NAME/000007.json    the seventh time that a version was made the champion
<url>/deployed/NAME/000003.json   the stages of the release that deployed a version last, with its manifests

The first two are only ever made, each by one machine alone: two that want the same number can't both have it, and who
makes the move behind the last one that it has seen moves the alias, or learns that another was there first.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.evidence.release import AliasMove, StageRun
from mlconsole.evidence.training import ModelVersion
from mlconsole.services.models.shared import SharedStore, SharedStoreFailed

_DIGITS = 6
_READERS = 8
_PATIENCE: dict[str, Any] = {"retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}}
"""How long an object store is asked for small files before it counts as out of reach: people wait for it."""
_one_at_a_time = threading.Lock()
_R = TypeVar("_R", bound=Record)


class Deployed(Record, frozen=True, kw_only=True):
    """The stages of the release that deployed a version, in their order."""

    version: ModelVersion
    stages: tuple[StageRun, ...]


class Registry(SharedStore):
    """The records that a team's machines leave each other; see `SharedStore` for its URL and what it raises.

    All that asks the store raises SharedStoreFailed where it can't be asked, or holds what is no such record.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._objects: Any = None
        if type(self._fs).__module__.startswith("obstore"):
            self._speak_obstore()

    def _speak_obstore(self) -> None:
        """Ask with less patience, and through obstore itself: its fsspec side can't make a file exclusively."""
        from fsspec.core import url_to_fs
        from obstore.store import from_url

        self._fs, self._root = url_to_fs(self.url, **_PATIENCE)
        parts = urlsplit(self.url)
        with self._failures("read"):
            self._objects = from_url(f"{parts.scheme.replace('gcs', 'gs')}://{parts.netloc}", **_PATIENCE)

    # versions

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers of a model's versions."""
        return self._numbers("versions", name)

    def versions(self, name: str, numbers: Iterable[int]) -> tuple[ModelVersion, ...]:
        """Those versions of a model."""
        found = self._read_all("versions", name, numbers, ModelVersion)
        for number, version in found.items():
            if (version.name, version.number) != (name, number):
                raise self._wrong("versions", name, number, f"is {version.label}")
        return tuple(found.values())

    def add_version(self, version: ModelVersion) -> bool:
        """Give a version its number; False where another one has it."""
        return self._create("versions", version.name, version.number, version)

    # the champion

    def last_move(self, name: str) -> int:
        """The number of the champion's last move; 0 where there was none."""
        return max(self._numbers("aliases", name), default=0)

    def moves(self, name: str, after: int) -> tuple[AliasMove, ...]:
        """The champion's moves behind a number, in their order."""
        numbers = [number for number in self._numbers("aliases", name) if number > after]
        found = self._read_all("aliases", name, numbers, AliasMove)
        for number, move in found.items():
            if (move.name, move.sequence) != (name, number):
                raise self._wrong("aliases", name, number, f"is move {move.sequence} of {move.name}")
        return tuple(found.values())

    def add_move(self, move: AliasMove) -> bool:
        """Move the champion by a move whose sequence is behind the last one seen; False where another has moved it."""
        return self._create("aliases", move.name, move.sequence, move)

    # what was deployed

    def deployed(self, version: ModelVersion) -> Deployed | None:
        """The stages of the release that deployed a version last; None where the store has none."""
        found = self._read("deployed", version.name, version.number, Deployed)
        if found is not None and found.version.model.digest != version.model.digest:
            raise self._wrong("deployed", version.name, version.number, "is of another model")
        return found

    def keep_deployed(self, deployed: Deployed) -> None:
        """Keep the stages of a release that deployed a version, in place of earlier ones of the version."""
        path = self._path("deployed", deployed.version.name, deployed.version.number)
        data = msgspec.json.encode(deployed)
        with self._failures("written to"):
            if self._is_local:
                _place(Path(path), data, os.replace)
            else:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(path, data)

    # files

    def _path(self, kind: str, name: str, number: int) -> str:
        return f"{self._root}/{kind}/{quote(name, safe='')}/{number:0{_DIGITS}}.json"

    def _numbers(self, kind: str, name: str) -> tuple[int, ...]:
        with self._failures("read"):
            # others write there: a listing that was remembered would hide it
            self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(f"{self._root}/{kind}/{quote(name, safe='')}", detail=False)
            except FileNotFoundError:
                return ()
        stems = (str(entry).rpartition("/")[2].removesuffix(".json") for entry in entries)
        return tuple(sorted(int(stem) for stem in stems if stem.isdecimal()))

    def _read(self, kind: str, name: str, number: int, record: type[_R]) -> _R | None:
        with self._failures("read"):
            try:
                data = bytes(self._fs.cat_file(self._path(kind, name, number)))
            except FileNotFoundError:
                return None
        try:
            return msgspec.json.decode(data, type=record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._wrong(kind, name, number, f"can't be read ({error})") from error

    def _read_all(self, kind: str, name: str, numbers: Iterable[int], record: type[_R]) -> dict[int, _R]:
        wanted = list(numbers)
        if not wanted:
            return {}
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(lambda number: self._read(kind, name, number, record), wanted)
            return {number: entry for number, entry in zip(wanted, found, strict=True) if entry is not None}

    def _create(self, kind: str, name: str, number: int, record: Record) -> bool:
        """Make a file whole, or not at all where there is one already."""
        path, data = self._path(kind, name, number), msgspec.json.encode(record)
        with self._failures("written to"):
            try:
                self._create_exclusively(path, data)
            except FileExistsError:
                return False
        return True

    def _create_exclusively(self, path: str, data: bytes) -> None:
        if self._objects is not None:
            import obstore
            from obstore.exceptions import AlreadyExistsError

            key = path.removeprefix(urlsplit(self.url).netloc).strip("/")
            try:
                obstore.put(self._objects, key, data, mode="create")
            except AlreadyExistsError as error:
                raise FileExistsError(path) from error
        elif self._is_local:
            _place(Path(path), data, os.link)
        else:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            # memory:// looks before it writes: threads would pass each other there
            with _one_at_a_time:
                self._fs.pipe_file(path, data, mode="create")

    @property
    def _is_local(self) -> bool:
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._fs, LocalFileSystem)

    def _wrong(self, kind: str, name: str, number: int, what: str) -> SharedStoreFailed:
        return SharedStoreFailed(
            f"{kind}/{name}/{number:0{_DIGITS}}.json in {self.url} {what}.", "Restore it there from a backup."
        )


def _place(path: Path, data: bytes, put: Any) -> None:
    """Write a file beside its place, and `put` it there once it is whole on the disk.

    Raises:
        FileExistsError: there is one, and `put` is `os.link`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".new-{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
