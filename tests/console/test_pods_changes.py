"""How many pods a person asks for, by a number or a step."""

from __future__ import annotations

import pytest

from mlconsole.console.operations.pod_changes import wanted_pods
from mlconsole.errors import WrongUse


@pytest.mark.parametrize(("text", "wanted"), [("0", 0), ("7", 7), ("+1", 4), ("-3", 0), ("+ 2", 5)])
def test_a_number_or_a_step_is_read(text: str, wanted: int) -> None:
    assert wanted_pods(text, 3) == wanted


@pytest.mark.parametrize("text", ["-4", "3.5", "many", "", "9999", "+", "²"])
def test_what_can_not_be_is_said(text: str) -> None:
    with pytest.raises(WrongUse):
        wanted_pods(text, 3)
