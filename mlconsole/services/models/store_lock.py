"""Who adds to a store and who removes from it wait for each other: many may add at once, one removes alone.

The lock is one of the kernel's on the store's folder: it ends with the process that holds it, however that ends.
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
def _locked(root: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        # a disk without locks is no reason not to store a model
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
