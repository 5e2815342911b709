"""Models that are folders, in the store: each file once by its digest, and the folder made of links to them.

<root>/sha256/ab/<hex>/<filename>   the files, as those of all models
<root>/tree/ab/<hex>/<hex>.tree     which files a folder has: its digest is that of this text
<root>/tree/ab/<hex>/<name>/…       the folder itself; what may be run is a copy, all else links to the files

A folder gets its place by one rename, whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from mlconsole.errors import OutsideFailed
from mlconsole.services.models.store_lock import placing
from mlconsole.services.models.tree import FolderUnfit, Found, NoTree, Tree, TreeFile, look, manifest_name, parse
from mlconsole.text import clean_line, listed, short_digest

_CHUNK = 1 << 20


class TreeDamaged(OutsideFailed):
    """What is stored of a folder is not what was stored; `sentence` says what differs."""


class Trees:
    """The folders of a store.

    Args:
        root: the store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, digest: str) -> Path | None:
        """The folder of a digest; None where there is none."""
        place = self._place(digest)
        try:
            inside = sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith(".new-"))
        except OSError:
            return None
        return inside[0] if inside and (place / manifest_name(digest)).is_file() else None

    def digests(self) -> list[str]:
        """The digests of all folders."""
        found = (entry.name for entry in (self._root / "tree").glob("[0-9a-f][0-9a-f]/*"))
        return [digest for name in found if self.path(digest := f"sha256:{name}") is not None]

    def tree(self, digest: str) -> Tree:
        """Which files a stored folder has.

        Raises:
            TreeDamaged: what says so was changed.
            OSError: it can't be read.
        """
        data = (self._place(digest) / manifest_name(digest)).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        try:
            if found == digest.rpartition(":")[2]:
                return parse(data)
        except NoTree as problem:
            raise TreeDamaged(f"The list of the files of {short_digest(digest)} can't be used. {problem}") from problem
        raise TreeDamaged(f"The list of the files of {short_digest(digest)} was changed since it was stored.")

    def put(self, tree: Tree, name: str, stored: Callable[[str], Path]) -> None:
        """Make a folder of stored files, in place of one that is there already and damaged.

        Args:
            tree: its files.
            name: what it is called.
            stored: the stored file of a digest.

        Raises:
            OSError: the store can't be written; nothing half is left.
        """
        kind = self._root / "tree"
        kind.mkdir(parents=True, exist_ok=True)
        with placing(kind):
            there = self.path(tree.digest)
            if there is not None and self._is_whole(tree.digest):
                # whoever is killed between the two renames has taken away what was good
                os.utime(there)
            else:
                self._make(tree, name, stored)

    def _make(self, tree: Tree, name: str, stored: Callable[[str], Path]) -> None:
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        try:
            fresh.chmod(0o755)
            for file in tree.files:
                target = fresh / name / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(stored(file.digest), target, executable=file.executable)
            with (fresh / manifest_name(tree.digest)).open("w", encoding="utf-8") as manifest:
                manifest.write(tree.text)
                os.fchmod(manifest.fileno(), 0o444)
                manifest.flush()
                os.fsync(manifest.fileno())
            for folder, _, _ in os.walk(fresh):
                sync_folder(Path(folder))
            self._swap(fresh, self._place(tree.digest))
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _is_whole(self, digest: str) -> bool:
        with contextlib.suppress(TreeDamaged, FolderUnfit, OSError):
            self.verify(digest)
            return True
        return False

    def _swap(self, fresh: Path, place: Path) -> None:
        """Give a whole folder its place; where there is one, it steps aside."""
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = fresh.with_name(f"{fresh.name}.old")
        with contextlib.suppress(FileNotFoundError):
            place.rename(aside)
        try:
            fresh.rename(place)
        except OSError:
            if not place.exists() and aside.exists():
                aside.rename(place)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        for folder in (place.parent, place.parent.parent, self._root):
            sync_folder(folder)

    def verify(self, digest: str) -> None:
        """Read a stored folder again and compare it with what was stored.

        Raises:
            TreeDamaged: a file is missing, was added, or is another one.
            OSError: it can't be read.
        """
        folder, wanted, found = self._compared(digest)
        if added := sorted(found.keys() - wanted.keys()):
            raise TreeDamaged(f"The model {folder} has {listed(list(map(clean_line, added)))}, which was not stored.")
        for name, file in wanted.items():
            if digest_of(found[name].path) != file.digest or found[name].executable != file.executable:
                raise TreeDamaged(f"In the model {folder}, {clean_line(name)} is not what was stored.")

    def check(self, digest: str) -> None:
        """Look whether a stored folder has all of its files, by their sizes: cheap enough for each time it is read.

        Raises:
            TreeDamaged: one is missing, or of another size.
            OSError: it can't be read.
        """
        folder, wanted, found = self._compared(digest)
        if changed := [name for name, file in wanted.items() if found[name].size != file.size]:
            raise TreeDamaged(f"In the model {folder}, {clean_line(changed[0])} is not what was stored.")

    def _compared(self, digest: str) -> tuple[Path, dict[str, TreeFile], dict[str, Found]]:
        """A folder, the files that it should have and those that it has, which are those at least."""
        folder = self.path(digest)
        if folder is None:
            raise TreeDamaged(f"The folder {short_digest(digest)} is not stored.")
        wanted = {file.path: file for file in self.tree(digest).files}
        found = {file.name: file for file in look(folder)}
        if lost := sorted(wanted.keys() - found.keys()):
            raise TreeDamaged(f"The model {folder} has no {listed(list(map(clean_line, lost)))} any more.")
        return folder, wanted, found

    def remove(self, digest: str) -> None:
        """Remove a folder; its files stay.

        Raises:
            OSError: it can't be removed.
        """
        place = self._place(digest)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        try:
            place.rename(aside / "old")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()

    def _place(self, digest: str) -> Path:
        value = digest.rpartition(":")[2]
        return self._root / "tree" / value[:2] / value


def digest_of(path: Path) -> str:
    """`sha256:…` of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _link(source: Path, target: Path, *, executable: bool) -> None:
    """Have a stored file at another place: the same bytes on the disk where that can be."""
    if not executable:
        # a store on a disk that has no links keeps copies
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    target.chmod(stat.S_IMODE(source.stat().st_mode) | (0o111 if executable else 0))


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
