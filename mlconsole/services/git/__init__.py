"""Git: what code is this, clone, pull, and the first commit of a new project.

`inspect`, `state_digest`, `source_files`, `diff` and `differs` read; `clone`, `pull`, `fetch` and `initialise` change.
Importing this is cheap: GitPython is only loaded once a clone or pull has progress to tell.
"""

from mlconsole.services.git.addresses import folder_name, is_address
from mlconsole.services.git.changing import clone, fetch, initialise, pull
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
from mlconsole.services.git.reading import (
    commit_digest,
    commits_ahead,
    diff,
    differs,
    inspect,
    source_files,
    state_digest,
)

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
    "commits_ahead",
    "diff",
    "differs",
    "fetch",
    "folder_name",
    "initialise",
    "inspect",
    "is_address",
    "masked",
    "pull",
    "source_files",
    "state_digest",
]
