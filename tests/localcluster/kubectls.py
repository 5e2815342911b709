"""The kubectl versions that are installed, oldest first."""

from __future__ import annotations

import os
import re
import shutil
from functools import cache
from pathlib import Path


@cache
def installed() -> tuple[Path, ...]:
    """Each minor version beside the kubectl on the PATH (`kubectl.1.33`); that one alone where there are none."""
    found = shutil.which("kubectl")
    if found is None:
        return ()
    folders = {Path(found).parent, Path(found).resolve().parent}
    minors = {
        int(match.group(1)): path
        for folder in sorted(folders)
        for path in folder.glob("kubectl.1.*")
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name)) and os.access(path, os.X_OK)
    }
    return tuple(minors[minor] for minor in sorted(minors)) or (Path(found),)


def newest() -> Path:
    """The newest of them; an empty path where none is installed."""
    return installed()[-1] if installed() else Path()
