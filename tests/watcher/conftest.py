"""A project with the stages of the engine's tests, that do what a test tells them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_NAME = "tests_of_release"


def _stages() -> ModuleType:
    """The told stages of tests/release: without a package of tests, they are read from their file."""
    if _NAME not in sys.modules:
        path = Path(__file__).parent.parent / "release" / "conftest.py"
        spec = importlib.util.spec_from_file_location(_NAME, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[_NAME]


project = _stages().project
journal = _stages().journal
world = _stages().world
