"""What a training wrote, told from what was there before."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

State = tuple[int, int, int]
"""Inode, size and time of change of a file: another where it was written or replaced."""

# The kernel stamps files with a clock that ticks this coarsely.
_CLOCK_TICK_NS = 10_000_000
_MOST_FOLDERS = 2_000
_MOST_FILES = 10_000
_FOLDER_MARKS = ("saved_model.pb", "MLmodel", "model_index.json", "adapter_config.json")
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".h5", ".msgpack", ".onnx")


def state(path: Path) -> State | None:
    """The state of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def moment() -> int:
    """Now, as files that are written from now on are stamped at the earliest, in nanoseconds."""
    return time.time_ns() - _CLOCK_TICK_NS


def changed_since(path: Path, started: int) -> bool:
    """Whether a file was written, or put in place, since a `moment`: a copy may keep the time of its original.

    Of a folder, whether one of its files was.
    """
    return _written_at(path) >= started


def newest_first(paths: list[Path]) -> list[Path]:
    """Files and folders by the time that they were written or put in place, the latest first."""
    return sorted(paths, key=lambda path: (_written_at(path), path), reverse=True)


def _written_at(path: Path) -> int:
    """When a file, or the last one of a folder, was written or put in place, in nanoseconds; 0 where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0
    if stat.S_ISDIR(status.st_mode):
        return max(map(_written_at, files_below(path)), default=0)
    return max(status.st_mtime_ns, status.st_ctime_ns)


def files_below(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, some ten thousand at most."""
    return sorted(islice((path for path in folder.rglob("*") if path.is_file()), _MOST_FILES))


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in files_below(path)) if path.is_dir() else path.stat().st_size


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing is done where there is none."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder is what libraries write as a model: Keras, MLflow, Hugging Face."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return False
    return not names.isdisjoint(_FOLDER_MARKS) or (
        "config.json" in names and any(name.endswith(_WEIGHTS) for name in names)
    )


def matching_folders(root: Path, pattern: str) -> list[Path]:
    """The folders that a path or pattern means as models: by a slash at its end, or by what they hold."""
    found = (path for path in _meant(root, pattern) if path.is_dir())
    return [path for path in found if pattern.endswith("/") or is_model_folder(path)]


def _meant(root: Path, pattern: str) -> list[Path]:
    if any(sign in pattern for sign in "*?["):
        return _glob(root, pattern)
    return [Path(os.path.normpath(root / pattern))]


def matching(root: Path, pattern: str) -> list[Path]:
    """The files that a path or pattern of the settings means; those in a folder where it names one."""
    files: list[Path] = []
    for path in _meant(root, pattern):
        files += sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]
        if len(files) > _MOST_FILES:
            break
    return [path for path in files if path.is_file()][:_MOST_FILES]


def _glob(root: Path, pattern: str) -> list[Path]:
    plain = Path(os.path.normpath(pattern))
    if plain.is_absolute():
        return sorted(Path(plain.anchor).glob(str(plain.relative_to(plain.anchor))))
    while plain.parts[:1] == ("..",):
        root, plain = root.parent, Path(*plain.parts[1:])
    return sorted(root.glob(str(plain))) if plain.parts else []


def written(*tops: Path, since: int) -> Iterator[Path]:
    """The files below some folders that were written since a `moment`, but hidden ones and what Python leaves."""
    for folder, names in islice(_folders(*tops), _MOST_FOLDERS):
        yield from (folder / name for name in names if changed_since(folder / name, since))


def _folders(*tops: Path) -> Iterator[tuple[Path, list[str]]]:
    seen: set[str] = set()
    for top in tops:
        for folder, folders, files in os.walk(top):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and name not in ("__pycache__", "node_modules")
                and not (Path(folder) / name / "pyvenv.cfg").exists()
            ]
            if folder not in seen:
                seen.add(folder)
                yield Path(folder), [name for name in files if not name.startswith(".")]
