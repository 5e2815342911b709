"""Files beside the models of a store, by any address that fsspec knows: small, and gone once they were read."""

from __future__ import annotations

import contextlib
from typing import Any


class SideFiles:
    """The files of a store that are no models.

    What can't be read or removed is left: nothing that matters depends on it.

    Args:
        url: the store's address.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, name: str) -> bytes | None:
        """A file, None where there is none or it can't be had."""
        # each backend raises exceptions of its own
        with contextlib.suppress(Exception):
            files, root = self._open()
            data: bytes = files.cat_file(f"{root}/{name}")
            return data
        return None

    def remove(self, folder: str) -> None:
        """Remove a folder, as far as that can be done."""
        with contextlib.suppress(Exception):
            files, root = self._open()
            files.rm(f"{root}/{folder}", recursive=True)

    def _open(self) -> tuple[Any, str]:
        from mlconsole.services.models.shared import files_of

        files, root = files_of(self._url)
        return files, root.rstrip("/")
