"""Git: what code is this, clone, pull, and the first commit of a new project.

`inspect`, `state_digest`, `source_files` and `diff` read; `clone`, `pull` and `initialise` change. Importing this is
cheap: GitPython is only loaded once a clone or pull has progress to tell.
"""

from mlconsole.services.git.changing import clone, initialise, pull
from mlconsole.services.git.common import (
    FolderTaken,
    GitFailed,
    GitMissing,
    NotARepository,
    NotPulled,
    NotTrusted,
    RemoteRefused,
    RepositoryBroken,
    masked,
)
from mlconsole.services.git.reading import commit_digest, diff, inspect, source_files, state_digest

__all__ = [
    "FolderTaken",
    "GitFailed",
    "GitMissing",
    "NotARepository",
    "NotPulled",
    "NotTrusted",
    "RemoteRefused",
    "RepositoryBroken",
    "clone",
    "commit_digest",
    "diff",
    "initialise",
    "inspect",
    "masked",
    "pull",
    "source_files",
    "state_digest",
]
