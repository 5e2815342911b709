"""The project's own Python, and what is installed in it, read without starting a process.

Packages are the names of `*.dist-info` and `*.egg-info` entries in its site-packages, and in those of the base
interpreter where `pyvenv.cfg` says `include-system-site-packages = true`. `.pth` files are not followed: an editable
install leaves a dist-info too.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.training import Package, PythonEnvironment
from mlconsole.services.processes import capture
from mlconsole.text import clean_line

Found = Literal["settings", ".venv", "active environment", "our own"]

_METADATA = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py\d[\d.]*)?(?:-[^-]+)?\.(?:dist|egg)-info")
_SHIM_PROBE = "import sys; print(sys.base_prefix if sys.prefix == sys.base_prefix else sys.prefix)"


class PythonMissing(WrongUse):
    """The Python that the project should run in is not there, or is broken."""


def find_python(root: Path, setting: str = "") -> PythonEnvironment:
    """Find the Python that the project's code runs in.

    Args:
        root: the project's folder.
        setting: an interpreter, or the folder of a virtual environment (relative to `root`), or a command on PATH.

    Returns:
        The setting's; else that of `.venv` or `venv` in `root`; else the environment that was active when we were
        started, where it is not ours; else ours.

    Raises:
        PythonMissing: the setting names none, or the project's virtual environment is broken.
    """
    executable, found = _locate(root, setting)
    prefix, version = _prefix(executable)
    packages = tuple(sorted(_packages(prefix, version), key=lambda package: package.name))
    return PythonEnvironment(
        executable=str(executable),
        version=version,
        digest=digest_of_environment(version, packages),
        found=found,
        packages=packages,
    )


def lock_text(version: str, packages: Iterable[Package]) -> str:
    """A Python's version and its packages, a line each: the text that an environment's digest is of."""
    return "\n".join([f"python {version}", *(f"{package.name}=={package.version}" for package in packages)])


def digest_of_environment(version: str, packages: Iterable[Package]) -> str:
    """The digest of a Python's version and its packages."""
    text = lock_text(version, packages).encode("utf-8", "surrogateescape")
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def _locate(root: Path, setting: str) -> tuple[Path, Found]:
    if setting:
        return _from_setting(root, setting), "settings"
    for name in (".venv", "venv"):
        folder = root / name
        if (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir():
            return _inside(folder), ".venv"
    if (root / ".venv").is_dir():
        return _inside(root / ".venv"), ".venv"
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        active = os.environ.get(variable, "")
        if active and Path(active).is_dir() and not Path(active).samefile(sys.prefix):
            return _inside(Path(active)), "active environment"
    return Path(sys.executable), "our own"


def _from_setting(root: Path, setting: str) -> Path:
    path = root / Path(setting).expanduser()
    if path.is_dir():
        return _inside(path)
    if _runnable(path):
        return path
    on_path = None if os.sep in setting else shutil.which(setting)
    if on_path:
        return Path(on_path)
    raise PythonMissing(
        f"The settings name {setting} as the project's Python, but there is no such program.",
        "Give the path of an interpreter or of a virtual environment.",
    )


def _inside(folder: Path) -> Path:
    """The interpreter of a virtual environment, or a `PythonMissing` that says what is wrong with it."""
    candidates = [folder / "bin" / "python", folder / "bin" / "python3", folder / "Scripts" / "python.exe"]
    for candidate in candidates:
        if _runnable(candidate):
            return candidate
    link = next((path for path in candidates if path.is_symlink()), None)
    why = f": {link.name} points to {link.readlink()}, which is not there" if link else ""
    raise PythonMissing(
        f"{folder} holds no Python that works{why}.",
        f"Make it again with `python3 -m venv --clear {folder.name}`, or name another Python in the settings.",
    )


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _prefix(executable: Path) -> tuple[Path, str]:
    """The folder that an interpreter's packages are below, and its version."""
    prefix = executable.parent.parent
    if executable.samefile(sys.executable) and prefix == Path(sys.executable).parent.parent:
        return Path(sys.prefix), ".".join(map(str, sys.version_info[:3]))
    if not (prefix / "pyvenv.cfg").is_file() and not (prefix / "conda-meta").is_dir():
        executable = executable.resolve()
        prefix = executable.parent.parent
    if not any(_site_packages(prefix, "")):
        # A shim of pyenv or asdf: only the interpreter behind it knows where it is.
        return _ask(executable)
    return prefix, _version(prefix, executable)


def _ask(executable: Path) -> tuple[Path, str]:
    try:
        answer = capture(
            [str(executable), "-c", f"{_SHIM_PROBE}; print('.'.join(map(str, sys.version_info[:3])))"],
            cwd=executable.parent,
            timeout=20,
        ).splitlines()
    except OutsideFailed as error:
        raise PythonMissing(
            f"{executable} is not a Python that works.", "Name another Python in the settings.", tail=error.tail
        ) from error
    if len(answer) < 2:
        raise PythonMissing(f"{executable} is not a Python.", "Name another Python in the settings.")
    return Path(answer[0]), clean_line(answer[1])


def _configuration(prefix: Path) -> dict[str, str]:
    """The keys of `pyvenv.cfg`, lower case; empty where there is no such file."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _version(prefix: Path, executable: Path) -> str:
    settings = _configuration(prefix)
    said = settings.get("version") or settings.get("version_info", "")
    if match := re.match(r"\d+(\.\d+){1,2}", said):
        return match[0]
    for record in (prefix / "conda-meta").glob("python-[0-9]*.json"):
        return record.name.split("-")[1]
    if match := re.fullmatch(r"python(\d+\.\d+)", executable.resolve().name):
        return match[1]
    folders = sorted((prefix / "lib").glob("python[0-9]*.[0-9]*"), key=lambda folder: folder.stat().st_mtime)
    return folders[-1].name.removeprefix("python") if folders else ""


def _site_packages(prefix: Path, version: str) -> Iterator[Path]:
    """The folders below a prefix that packages are installed in; of all versions where `version` is empty."""
    minor = ".".join(version.split(".")[:2])
    for library in ("lib", "lib64"):
        if library == "lib64" and (prefix / library).is_symlink():
            continue
        for name in ("site-packages", "dist-packages"):
            yield from (prefix / library).glob(f"python{minor or '3*'}/{name}")
    yield from (prefix / "lib" / "python3").glob("dist-packages")
    yield from (prefix / "Lib").glob("site-packages")


def _packages(prefix: Path, version: str) -> list[Package]:
    settings = _configuration(prefix)
    folders = list(_site_packages(prefix, version))
    if settings.get("include-system-site-packages", "").lower() == "true" and settings.get("home"):
        folders += _site_packages(Path(settings["home"]).parent, version)
    packages: dict[str, Package] = {}
    for folder in dict.fromkeys(folders):
        try:
            names = [entry.name for entry in folder.iterdir()]
        except OSError:
            continue
        for match in filter(None, map(_METADATA.fullmatch, names)):
            name = re.sub(r"[-_.]+", "-", match["name"]).lower()
            packages.setdefault(name, Package(name=name, version=match["version"]))
    return list(packages.values())
