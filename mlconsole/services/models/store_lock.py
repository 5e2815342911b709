"""Who adds to a store and who removes from it wait for each other: many may add at once, one removes alone.

The locks are the kernel's, on the store's folders: they end with the process that holds them, however that ends. Who
holds one of `placing` may have one of `adding` already, never the other way round.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def adding(root: Path) -> Iterator[None]:
    """While nobody removes from the store."""
    with _locked(root, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def removing(root: Path) -> Iterator[None]:
    """While nobody else removes from the store or adds to it."""
    with _locked(root, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def placing(folder: Path) -> Iterator[None]:
    """While nobody else who adds gives something its place below a folder of the store."""
    with _locked(folder, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _locked(root: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        # a disk without locks is no reason not to store a model
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
