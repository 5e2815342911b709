"""Models and the texts that belong to them, kept by the digest of their content.

<root>/sha256/ab/<hex>/<filename>     models, and the files of those that are folders; read-only
<root>/tree/ab/<hex>/<name>/…         models that are folders, see `trees`
<root>/text/ab/<hex>/content<suffix>  manifests, profiles
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.training import ModelFile
from mlconsole.services.models.store_lock import adding, removing
from mlconsole.services.models.tree import FolderUnfit, NoTree, Tree, TreeFile, look, parse
from mlconsole.services.models.trees import TreeDamaged, Trees, digest_of, sync_folder
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
        self._trees = Trees(self.root)
        self._shared: SharedStore | None = None
        if url:
            from mlconsole.services.models.shared import SharedStore

            self._shared = SharedStore(url)

    def adopt(self, path: Path, name: str = "") -> ModelFile:
        """Copy a model, a file or a folder, into the store; where it is there already, only its copy is made fresh.

        Args:
            path: the model.
            name: what a folder is called in the store; empty: as it is called now.

        Raises:
            ModelMissing: there is no such file.
            ModelDamaged: it was written to while it was read.
            FolderUnfit: it is a folder that can't be kept.
            StoreFailed: the store can't be written; nothing half is left.
        """
        model = self._adopt_folder(path, name or path.name) if path.is_dir() else self._adopt_file(path)
        if self._shared is not None:
            self._share(model.digest)
        return model

    def _adopt_folder(self, path: Path, name: str) -> ModelFile:
        before, files = look(path), []
        # its files are needed until it is made of them
        with self._adding():
            for found in before:
                kept = self._kept(found.path) or self._adopt_file(found.path)
                files.append(TreeFile(path=found.name, size=kept.size, digest=kept.digest, executable=found.executable))
            if look(path) != before:
                raise _written_meanwhile(path)
            tree = Tree(files=tuple(files))
            self._put_tree(tree, name)
        return ModelFile(digest=tree.digest, size=tree.size, filename=name, files=len(files))

    def _kept(self, path: Path) -> ModelFile | None:
        """A file that is stored already, as it should be: folders are linked to it, so it stays."""
        with _failures(f"The model {path}"):
            digest = digest_of(path)
            kept = _only_file(self._folder("sha256", digest))
            if kept is None or digest_of(kept) != digest:
                return None
            os.utime(kept)
            return ModelFile(digest=digest, size=kept.stat().st_size, filename=path.name)

    def _put_tree(self, tree: Tree, name: str) -> None:
        with self._adding():
            self._trees.put(tree, name, lambda digest: _only_file(self._folder("sha256", digest)) or Path())

    def _adopt_file(self, path: Path) -> ModelFile:
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
                raise _written_meanwhile(path)
            self._place(copy, temporary, self._folder("sha256", digest), path.name)
        return ModelFile(digest=digest, size=count, filename=path.name)

    def path(self, digest: str) -> Path:
        """The stored file, or folder, of a digest.

        Raises:
            ModelMissing: there is none.
            ModelDamaged: it is a folder that has not all of its files.
            StoreFailed: the folder can't be read.
        """
        found = self.local_path(digest) or self._fetched(digest)
        if found is None:
            raise self._missing(digest)
        if found.is_dir():
            with _failures(f"The model {found}"), _damage():
                self._trees.check(digest)
        return found

    def _missing(self, digest: str) -> ModelMissing:
        return ModelMissing(
            f"The model {short_digest(digest)} is not in the store {self.root}.", "Train it again, or restore it."
        )

    def local_path(self, digest: str) -> Path | None:
        """Where a model is in the folder; None where it is not there, although a shared store may have it."""
        return _only_file(self._folder("sha256", digest)) or self._trees.path(digest)

    def tree(self, digest: str) -> Tree | None:
        """Which files a stored model has, where it is a folder; None where it is a file.

        Raises:
            ModelMissing: it is not stored.
            ModelDamaged: nothing says so any more.
            StoreFailed: it can't be read.
        """
        if not self.path(digest).is_dir():
            return None
        with _failures(f"The store {self.root}"), _damage():
            return self._trees.tree(digest)

    def _share(self, digest: str) -> None:
        """Have a stored model in the shared store, too."""
        if self._shared is not None:
            tree = self.tree(digest)
            if tree is None:
                self._shared.upload(self.path(digest), digest)
            else:
                self._shared.upload_folder(self.path(digest), tree)

    def _fetched(self, digest: str) -> Path | None:
        """Bring a model from the shared store into the folder."""
        if self._shared is None:
            return None
        if found := self._shared.find(digest):
            self._fetch_file(self._shared, found, digest)
        elif folder := self._shared.find_folder(digest):
            data, place = folder
            if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
                raise _another(self._shared, f"What lists the files of {place}", "another digest", digest)
            try:
                tree = parse(data)
            except NoTree as problem:
                raise ModelDamaged(f"{place} in {self._shared.url} can't be used. {problem}") from problem
            with self._adding():
                for file in tree.files:
                    if _only_file(self._folder("sha256", file.digest)) is None:
                        self._fetch_file(self._shared, f"{place}/{file.path}", file.digest)
                self._put_tree(tree, place.rpartition("/")[2])
        return self.local_path(digest)

    def _fetch_file(self, shared: SharedStore, found: str, digest: str) -> None:
        with shared.open(found) as source, self._fresh() as (copy, temporary):
            came, _ = _copy(source, copy)
            if came != digest:
                raise _another(shared, found, f"the digest {short_digest(came)}", digest)
            self._place(copy, temporary, self._folder("sha256", digest), found.rpartition("/")[2])

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
        self._share(model.digest)
        return self._shared.uri(model.digest)

    def verify(self, model: ModelFile) -> None:
        """Read a stored model again and compare it with what is known of it.

        Raises:
            ModelMissing: it is not stored.
            ModelDamaged: its size or its digest differs.
        """
        path = self.path(model.digest)
        if path.is_dir():
            with _failures(f"The model {path}"), _damage():
                self._trees.verify(model.digest)
            return
        with _failures(f"The model {path}"):
            found = path.stat().st_size
            if found != model.size:
                raise ModelDamaged(
                    f"The model {path} has {size(found)} ({found} bytes), but {model.size} bytes were stored.",
                    "Train it again, or restore the file from a backup.",
                )
            digest = digest_of(path)
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
        """The digests of all stored models, and of the files of those that are folders, sorted."""
        folders = (self.root / "sha256").glob("[0-9a-f][0-9a-f]/*")
        names = {f"sha256:{folder.name}" for folder in folders if _only_file(folder)}
        return tuple(sorted(name for name in names.union(self._trees.digests()) if _DIGEST.fullmatch(name)))

    def stored_at(self, digest: str) -> float:
        """When a model was stored last, in seconds since 1970; 0 where it is not in the folder."""
        path = self.local_path(digest)
        try:
            return path.stat().st_mtime if path is not None else 0.0
        except OSError:
            return 0.0

    def remove(self, digest: str, rested: float = 0.0) -> None:
        """Remove a stored model; the files of a folder stay, since others may have them, too.

        Args:
            digest: of the model.
            rested: nothing happens where it was stored again less than so many seconds ago, since who decided to
                remove it: somebody needs it.

        Raises:
            ModelMissing: it is not stored.
            StoreFailed: it can't be removed.
        """
        path = self.local_path(digest)
        if path is None:
            raise self._missing(digest)
        with _failures(f"The model {path}"), removing(self.root):
            if rested and time.time() - self.stored_at(digest) < rested:
                return
            if path.is_dir():
                self._trees.remove(digest)
                return
            # two who stored it at once, under two names, left two files
            for entry in path.parent.iterdir():
                entry.unlink(missing_ok=True)
            for folder in (path.parent, path.parent.parent):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def sweep(self, rested: float) -> None:
        """Remove what a process that was killed left half written, so many seconds ago or more.

        Raises:
            StoreFailed: it can't be removed.
        """
        with _failures(f"The store {self.root}"):
            for left in self.root.glob(".new-*"):
                if time.time() - left.lstat().st_mtime >= rested:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _folder(self, kind: str, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise ModelMissing(f"{digest or 'An empty text'} is not a digest such as `sha256:1f3a…`.")
        return self.root / kind / match[1][:2] / match[1]

    @contextlib.contextmanager
    def _adding(self) -> Iterator[None]:
        """While nobody removes anything; problems with the disk become sentences."""
        with _failures(f"The store {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
            with adding(self.root):
                yield

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
        with adding(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                temporary.replace(_only_file(folder) or folder / filename)
            except OSError:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                raise
            for place in (folder, folder.parent, folder.parent.parent):
                sync_folder(place)


@contextlib.contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFailed(f"{what} is on a disk that is full.", "Free some space, then go on.") from error
        raise StoreFailed(f"{what} can't be written or read: {error.strerror}.", "Check its permissions.") from error


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (TreeDamaged, FolderUnfit) as problem:
        raise ModelDamaged(problem.sentence, "Train it again, or restore the folder from a backup.") from problem


def _written_meanwhile(path: Path) -> ModelDamaged:
    return ModelDamaged(f"{path} was written to while it was stored.", "Store it again when its training has ended.")


def _another(shared: SharedStore, what: str, came: str, digest: str) -> ModelDamaged:
    return ModelDamaged(
        f"{what} in {shared.url} has {came}, not {short_digest(digest)}.", "Restore it there from a backup."
    )


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
