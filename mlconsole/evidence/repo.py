"""What code is this?"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.evidence.base import Record


class FileChange(Record, frozen=True, kw_only=True):
    """A file whose content differs from the commit; `state` is git's two-letter code, such as ` M` or `??`."""

    path: str
    state: str


class CommitInfo(Record, frozen=True, kw_only=True):
    """One commit, as the log shows it."""

    sha: str
    author: str
    at: datetime
    subject: str


class TrackedModel(Record, frozen=True, kw_only=True):
    """A model file (or another large binary) that git tracks, size in bytes."""

    path: str
    size: int


class RepoEvidence(Record, frozen=True, kw_only=True, tag="repo"):
    """The state of the project's repository. `ahead` and `behind` count commits against `upstream`, if there is one."""

    root: str
    commit: CommitInfo | None = None
    branch: str = ""
    url: str = ""
    upstream: str = ""
    ahead: int = 0
    behind: int = 0
    dirty: tuple[FileChange, ...] = ()
    recent: tuple[CommitInfo, ...] = ()
    tracked_models: tuple[TrackedModel, ...] = ()


class CloneProgress(Record, frozen=True, kw_only=True):
    """How far a clone or pull is: git's own words, and the part done from 0 to 1 where git knows it."""

    phase: Literal["counting", "compressing", "receiving", "resolving", "writing", "checking out", "working"]
    message: str = ""
    fraction: float | None = None
