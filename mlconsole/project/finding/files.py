"""The files of a project, as far as they may tell how it trains, tests and deploys."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MOST_FILES, DEEPEST = 3_000, 5
_MOST_READ = 200_000
_SKIPPED = {
    "node_modules", "site-packages", "__pycache__", "build", "dist", "mlruns", "wandb", "env", "venv", "htmlcov",
}  # fmt: skip


class Found(NamedTuple):
    """A setting that was not given: its key, the value that was found, and where."""

    key: str
    value: str | tuple[str, ...]
    where: str


class Question(NamedTuple):
    """What can't be found or told for certain: the key to set, a sentence, the next step, values to choose from."""

    key: str
    sentence: str
    next_step: str = ""
    choices: tuple[str, ...] = ()


class Files:
    """The files below a folder, without hidden folders, environments and what is built; read when asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[str, str] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All paths relative to the root, with slashes, sorted; those near the root first."""
        found: list[str] = []
        for folder, folders, files in os.walk(self.root):
            here = Path(folder)
            depth = len(here.relative_to(self.root).parts)
            folders[:] = [] if depth >= DEEPEST else [name for name in sorted(folders) if self._goes_into(here / name)]
            found += [(here / name).relative_to(self.root).as_posix() for name in sorted(files)]
            if len(found) > MOST_FILES:
                break
        return tuple(sorted(found, key=lambda name: (name.count("/"), name)))

    def _goes_into(self, folder: Path) -> bool:
        name = folder.name
        return not name.startswith(".") and name not in _SKIPPED and not (folder / "pyvenv.cfg").exists()

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return bool(name) and (self.root / name).exists()

    def with_suffix(self, *suffixes: str) -> tuple[str, ...]:
        """The files that end so."""
        return tuple(name for name in self.names if name.lower().endswith(suffixes))

    def text(self, name: str) -> str:
        """The beginning of a file; empty where it can't be read."""
        if name not in self._texts:
            try:
                with (self.root / name).open(encoding="utf-8-sig", errors="replace") as file:
                    self._texts[name] = file.read(_MOST_READ)
            except OSError:
                self._texts[name] = ""
        return self._texts[name]


def is_of_tests(name: str) -> bool:
    """Whether a file belongs to the tests."""
    path = PurePosixPath(name)
    in_folder = any(part.lower() in {"test", "tests", "testing"} for part in path.parts[:-1])
    return in_folder or path.name.startswith(("test_", "conftest")) or path.stem.endswith("_test")
