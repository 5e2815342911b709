"""`mlconsole watch`, with real processes and a real cluster: nothing is lost, nothing is doubled."""

from __future__ import annotations

import pytest

from .batches import Trial
from .conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]


def test_each_content_is_released_or_refused_once_however_often_the_watcher_is_killed(bench: Workbench) -> None:
    trial = Trial(bench, batches=8, kills=10)
    trial.run(most_seconds=300)
    outcomes = trial.check()
    assert outcomes["released"] >= 1
    assert outcomes["refused"] >= 1
