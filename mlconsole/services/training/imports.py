"""Which files of a project a script imports, read from its syntax tree."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path


def closure(root: Path, entries: Sequence[Path]) -> set[Path]:
    """The given files and every file below `root` that they import, directly or not.

    Modules are looked for beside the script, in `root` and in `root/src`. A file that can't be parsed counts, but
    imports nothing: the training that runs it says what is wrong with it.
    """
    # A script's own folder is the first place Python looks in; that of a module in a package is not.
    scripts = [entry.parent for entry in entries if not (entry.parent / "__init__.py").exists()]
    places = list(dict.fromkeys([*scripts, root, root / "src"]))
    found: set[Path] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for level, module in _imported(path):
            base = path.parents[level - 1] if 0 < level <= len(path.parents) else None
            for place in [base] if base else places:
                files = [file for file in _resolve(place, module) if _below(root, file)]
                waiting += files
                if files:
                    break
    return found


def module_files(root: Path, module: str, cwd: Path | None = None) -> Iterator[Path]:
    """The files that `python -m module` runs, in `cwd`, `root` or `root/src`: the module or its `__main__`."""
    for place in dict.fromkeys((cwd or root, root, root / "src")):
        files = list(_resolve(place, module)) + list(_resolve(place, f"{module}.__main__"))
        if files:
            yield from dict.fromkeys(files)
            return


def _resolve(place: Path, module: str) -> Iterator[Path]:
    """The files that importing a dotted name executes: each package's `__init__` on the way, and the module itself."""
    parts = [part for part in module.split(".") if part]
    if not parts:
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        return
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if (place / f"{part}.py").is_file():
            yield place / f"{part}.py"
            return
        place = place / part
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        elif not place.is_dir() or last:
            return


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """The dotted names in a file's imports, each with its number of leading dots."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.level, module
            yield from ((node.level, f"{module}.{alias.name}") for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and _is_import_module(node):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and not name.value.startswith("."):
                yield 0, name.value


def _is_import_module(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "import_module" and bool(call.args)


def _below(root: Path, path: Path) -> bool:
    relative = Path(os.path.relpath(path, root)).parts
    return relative[0] != ".." and "site-packages" not in relative and not relative[0].startswith(".venv")
