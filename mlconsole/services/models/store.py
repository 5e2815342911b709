"""Model files and the texts that belong to them, kept by the digest of their content.

<root>/sha256/ab/<hex>/<filename>     models, read-only
<root>/text/ab/<hex>/content<suffix>  manifests, profiles
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.training import ModelFile
from mlconsole.text import short_digest, size

if TYPE_CHECKING:
    from mlconsole.services.models.shared import SharedStore

_CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,16}){0,3}")


class StoreFailed(OutsideFailed):
    """The store can't be written or read: the disk is full, or a permission is missing."""


class ModelMissing(OutsideFailed):
    """There is no model, or no text, of this digest in the store."""


class ModelDamaged(OutsideFailed):
    """What is stored is not what was stored."""


class ModelStore:
    """The models of a project, each stored once and whole.

    Args:
        root: the store's folder; made when something is first stored.
        url: a store that a team shares, see `SharedStore`: what is stored goes there too, and what is not in the folder
            is fetched from there. Empty: the folder alone.
    """

    def __init__(self, root: Path, url: str = "") -> None:
        self.root = root.absolute()
        self._shared: SharedStore | None = None
        if url:
            from mlconsole.services.models.shared import SharedStore

            self._shared = SharedStore(url)

    def adopt(self, path: Path) -> ModelFile:
        """Copy a model file into the store; where it is there already, only its copy is made fresh.

        Raises:
            ModelMissing: there is no such file.
            ModelDamaged: it was written to while it was read.
            StoreFailed: the store can't be written; nothing half is left.
        """
        try:
            source = path.open("rb")
        except OSError as error:
            raise ModelMissing(f"The model can't be read from {path}: {error.strerror}.") from error
        with source, self._fresh() as (copy, temporary):
            before = os.fstat(source.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ModelMissing(f"{path} is not a file, so it can't be stored as a model.")
            digest, count = _copy(source, copy)
            after = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or count != after.st_size:
                raise ModelDamaged(
                    f"{path} was written to while it was stored.", "Store it again when its training has ended."
                )
            self._place(copy, temporary, self._folder("sha256", digest), path.name)
        if self._shared is not None:
            self._shared.upload(self.path(digest), digest)
        return ModelFile(digest=digest, size=count, filename=path.name)

    def path(self, digest: str) -> Path:
        """The stored file of a digest.

        Raises:
            ModelMissing: there is none.
        """
        found = self.local_path(digest) or self._fetched(digest)
        if found is None:
            raise ModelMissing(
                f"The model {short_digest(digest)} is not in the store {self.root}.", "Train it again, or restore it."
            )
        return found

    def local_path(self, digest: str) -> Path | None:
        """The file of a digest in the folder; None where it is not there, although a shared store may have it."""
        return _only_file(self._folder("sha256", digest))

    def _fetched(self, digest: str) -> Path | None:
        """Bring a model from the shared store into the folder."""
        found = self._shared.find(digest) if self._shared is not None else None
        if self._shared is None or found is None:
            return None
        folder = self._folder("sha256", digest)
        with self._shared.open(found) as source, self._fresh() as (copy, temporary):
            came, _ = _copy(source, copy)
            if came != digest:
                raise ModelDamaged(
                    f"{found} in {self._shared.url} has the digest {short_digest(came)}, not {short_digest(digest)}.",
                    "Restore it there from a backup.",
                )
            self._place(copy, temporary, folder, found.rpartition("/")[2])
        return _only_file(folder)

    def uri(self, model: ModelFile, *, local: bool = False) -> str:
        """Where a stored model is: in the shared store, where there is one; else, or where `local`, as `file://…`.

        Raises:
            ModelMissing: it is not stored.
            SharedStoreFailed: the shared store can't be asked.
        """
        path = self.path(model.digest)
        if self._shared is None or local:
            return path.as_uri()
        # a model that was stored before the store was shared is brought there now
        self._shared.upload(path, model.digest)
        return self._shared.uri(model.digest)

    def verify(self, model: ModelFile) -> None:
        """Read a stored model again and compare it with what is known of it.

        Raises:
            ModelMissing: it is not stored.
            ModelDamaged: its size or its digest differs.
        """
        path = self.path(model.digest)
        with _failures(f"The model {path}"), path.open("rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != model.size:
                raise ModelDamaged(
                    f"The model {path} has {size(found)} ({found} bytes), but {model.size} bytes were stored.",
                    "Train it again, or restore the file from a backup.",
                )
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if digest != model.digest:
            raise ModelDamaged(
                f"The model {path} has the digest {short_digest(digest)}, but {short_digest(model.digest)} was stored.",
                "Train it again, or restore the file from a backup.",
            )

    def text_put(self, text: str, suffix: str) -> str:
        """Store a text and return its digest. `suffix` is the end of its file name, such as `.yaml`.

        Raises:
            StoreFailed: the store can't be written.
        """
        if not _SUFFIX.fullmatch(suffix):
            raise ValueError(f"not a file suffix: {suffix!r}")
        data = text.encode("utf-8", "surrogatepass")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        folder = self._folder("text", digest)
        if (existing := _only_file(folder)) is None or _read(existing) != data:
            with self._fresh() as (copy, temporary):
                copy.write(data)
                self._place(copy, temporary, folder, f"content{suffix}")
        return digest

    def text_get(self, digest: str) -> str:
        """The stored text of a digest.

        Raises:
            ModelMissing: there is none.
            ModelDamaged: it is not what was stored.
        """
        path = _only_file(self._folder("text", digest))
        if path is None:
            raise ModelMissing(f"The text {short_digest(digest)} is not in the store {self.root}.")
        data = _read(path)
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise ModelDamaged(f"The stored text {path} was changed since it was stored.")
        return data.decode("utf-8", "surrogatepass")

    def digests(self) -> tuple[str, ...]:
        """The digests of all stored models, sorted."""
        folders = (self.root / "sha256").glob("[0-9a-f][0-9a-f]/*")
        names = sorted(folder.name for folder in folders if _only_file(folder))
        return tuple(f"sha256:{name}" for name in names if _DIGEST.fullmatch(f"sha256:{name}"))

    def remove(self, digest: str) -> None:
        """Remove a stored model.

        Raises:
            ModelMissing: it is not stored.
            StoreFailed: it can't be removed.
        """
        path = self.path(digest)
        with _failures(f"The model {path}"):
            path.unlink()
            for folder in (path.parent, path.parent.parent):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _folder(self, kind: str, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise ModelMissing(f"{digest or 'An empty text'} is not a digest such as `sha256:1f3a…`.")
        return self.root / kind / match[1][:2] / match[1]

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new file in the store, gone at the end unless it was placed."""
        with _failures(f"The store {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self.root)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield file, Path(name)
            finally:
                Path(name).unlink(missing_ok=True)

    def _place(self, file: BinaryIO, temporary: Path, folder: Path, filename: str) -> None:
        """Make a fresh file the one file of its folder, whole on disk before it can be seen."""
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
        folder.mkdir(parents=True, exist_ok=True)
        try:
            temporary.replace(_only_file(folder) or folder / filename)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise
        for place in (folder, folder.parent, folder.parent.parent):
            _sync_folder(place)


@contextlib.contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFailed(f"{what} is on a disk that is full.", "Free some space, then go on.") from error
        raise StoreFailed(f"{what} can't be written or read: {error.strerror}.", "Check its permissions.") from error


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    hasher = hashlib.sha256()
    count = 0
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        target.write(chunk)
        count += len(chunk)
    return f"sha256:{hasher.hexdigest()}", count


def _only_file(folder: Path) -> Path | None:
    try:
        return min((entry for entry in folder.iterdir() if entry.is_file()), default=None)
    except OSError:
        return None


def _read(path: Path) -> bytes:
    with _failures(f"The stored text {path}"):
        return path.read_bytes()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
