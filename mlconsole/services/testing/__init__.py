"""The project's tests: run with pytest in the project's own Python, each outcome known as it happens."""

from mlconsole.services.testing.runner import PytestMissing, run_tests
from mlconsole.services.testing.running import RunningTest

__all__ = ["PytestMissing", "RunningTest", "run_tests"]
