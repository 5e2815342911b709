"""The project's tests: run with pytest in the project's own Python, each outcome known as it happens."""

from mlconsole.services.testing.runner import PytestMissing, run_tests

__all__ = ["PytestMissing", "run_tests"]
