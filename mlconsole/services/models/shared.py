"""The store that a team shares: any URL that fsspec knows, with the same layout as the folder.

<url>/sha256/ab/<hex>/<filename>
<url>/tree/ab/<hex>/<name>/…        a model that is a folder, as pods read it: its files are here for it alone
<url>/tree/ab/<hex>/<hex>.tree      which files it has; written last, so that a folder without it is not whole

What is uploaded is read back and its digest compared, before it gets the name by which others find it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.services.models.tree import Tree, manifest_name
from mlconsole.text import clean_line, short_digest, shorten

_CHUNK = 1 << 20
_OBJECT_STORES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
"""Addresses of object stores, and the package that fsspec speaks with them by."""


class SharedStoreFailed(OutsideFailed):
    """The shared store can't be reached, read or written."""


class SharedStoreUnusable(WrongUse):
    """The URL of the shared store in the settings can't be used."""


class SharedStore:
    """The models of a team, by digest.

    Args:
        url: such as `s3://bucket/models`, `gs://…`, `file:///mnt/models` or a folder.

    Raises:
        SharedStoreUnusable: nothing is installed that speaks with it, or it holds a password.
    """

    def __init__(self, url: str) -> None:
        if urlsplit(url).password:
            raise SharedStoreUnusable(
                "store.url holds a password, and settings are shared.",
                "Leave it out: each tool reads its credentials from its own environment.",
            )
        self.url = url.rstrip("/")
        from fsspec.core import url_to_fs

        _use_obstore(urlsplit(url).scheme)

        try:
            self._fs, self._root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise SharedStoreUnusable(
                f"store.url = {url} can't be used: {clean_line(str(error))}", "Install what it names, or change it."
            ) from error

    def upload(self, path: Path, digest: str) -> None:
        """Copy a model file there, unless it is there already; read back before it is named.

        Raises:
            SharedStoreFailed: it could not be written, or came back as something else.
        """
        if self.find(digest) is not None:
            return
        with self._failures("written to"):
            self._put(path, f"{self._folder(digest)}/{path.name}", digest)

    def upload_folder(self, folder: Path, tree: Tree) -> None:
        """Copy a model that is a folder there, unless it is there already.

        Raises:
            SharedStoreFailed: a file could not be written, or came back as something else.
        """
        if self.find_folder(tree.digest) is not None:
            return
        place = self._folder(tree.digest, "tree")
        with self._failures("written to"):
            for file in tree.files:
                self._put(folder / file.path, f"{place}/{folder.name}/{file.path}", file.digest)
            self._put(
                folder.with_name(manifest_name(tree.digest)), f"{place}/{manifest_name(tree.digest)}", tree.digest
            )

    def _put(self, path: Path, target: str, digest: str) -> None:
        """Write a file, read it back, and give it its name."""
        folder = target.rpartition("/")[0]
        unfinished = f"{folder}/.new-{uuid.uuid4().hex}"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            self._fs.put_file(str(path), unfinished)
            if (found := self._digest(unfinished)) != digest:
                raise SharedStoreFailed(
                    f"{self.url} keeps {short_digest(found)} where {short_digest(digest)} was written.",
                    "Look at the store; nothing was added to it.",
                )
            self._fs.mv(unfinished, target)
        except BaseException:
            with contextlib.suppress(OSError):
                self._fs.rm_file(unfinished)
            raise

    def find(self, digest: str) -> str | None:
        """The stored file of a digest, as the file system names it; None where there is none.

        Raises:
            SharedStoreFailed: it can't be asked.
        """
        return min(self._inside(self._folder(digest)), default=None)

    def find_folder(self, digest: str) -> tuple[bytes, str] | None:
        """What lists the files of a stored folder, and the folder; None where there is none, or not all of it.

        Raises:
            SharedStoreFailed: it can't be asked.
        """
        place = self._folder(digest, "tree")
        names = self._inside(place)
        listing = f"{place}/{manifest_name(digest)}"
        folders = [name for name in names if name.rpartition("/")[2] != manifest_name(digest)]
        if not folders or len(folders) == len(names):
            return None
        with self._failures("read"):
            return bytes(self._fs.cat_file(listing)), min(folders)

    def _inside(self, folder: str) -> list[str]:
        """What is in a folder, and whole."""
        with self._failures("read"):
            # others write there: a listing that was remembered would hide it
            self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(folder, detail=False)
            except FileNotFoundError:
                return []
        names = (str(entry).rstrip("/") for entry in entries)
        return [name for name in names if not name.rpartition("/")[2].startswith(".new-")]

    @contextlib.contextmanager
    def open(self, found: str) -> Iterator[BinaryIO]:
        """The bytes of a file that `find` named.

        Raises:
            SharedStoreFailed: it can't be read.
        """
        with self._failures("read"), self._fs.open(found, "rb") as file:
            yield cast(BinaryIO, file)

    def uri(self, digest: str) -> str:
        """Where a model is, for those who may read the store: `s3://bucket/models/sha256/ab/…/model.pkl`.

        Raises:
            SharedStoreFailed: it is not there, or the store can't be asked.
        """
        folder = None if (found := self.find(digest)) else self.find_folder(digest)
        found = folder[1] if folder else found
        if found is None:
            raise SharedStoreFailed(f"The model {short_digest(digest)} is not in {self.url}.")
        return str(self._fs.unstrip_protocol(found))

    def _folder(self, digest: str, kind: str = "") -> str:
        algorithm, _, value = digest.partition(":")
        return f"{self._root}/{kind or algorithm}/{value[:2]}/{value}"

    def _digest(self, name: str) -> str:
        hasher = hashlib.sha256()
        with self._fs.open(name, "rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
        return f"sha256:{hasher.hexdigest()}"

    @contextlib.contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except OutsideFailed:
            raise
        except Exception as error:
            # each backend raises exceptions of its own
            full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
            raise SharedStoreFailed(
                f"The store {self.url} can't be {what}: {_why(error)}.",
                "Free some space there, then go on." if full else "Check the address, your credentials, the network.",
            ) from error


def files_of(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path there. ImportError or ValueError: nothing here speaks with it."""
    from fsspec.core import url_to_fs

    _use_obstore(urlsplit(url).scheme)
    files, path = url_to_fs(url)
    # others write there: a listing that was remembered would hide it
    files.invalidate_cache()
    return files, str(path)


def _use_obstore(scheme: str) -> None:
    """Let obstore, a small package of its own, speak with a kind of object store, unless fsspec's own one is there."""
    own = _OBJECT_STORES.get(scheme)
    if own is None or find_spec(own) is not None or find_spec("obstore") is None:
        return
    from obstore.fsspec import register

    register(scheme)


def _why(error: Any) -> str:
    text = str(getattr(error, "strerror", None) or error or type(error).__name__).partition("\n\nDebug source")[0]
    # what an object store says itself is worth more than the request that it was said to
    said = re.search(r"<Code>(?P<code>.*?)</Code>\s*<Message>(?P<message>.*?)</Message>", text)
    text = f"{said['message'].rstrip('.')} ({said['code']})" if said else text
    return shorten(clean_line(text).rstrip("."), 200)
