"""Selectors match as kubectl's `-l` does."""

from __future__ import annotations

import pytest

from mlconsole.errors import WrongUse
from mlconsole.services.kubernetes.objects import Expression, Selector
from mlconsole.services.kubernetes.selectors import matches, text_of

LABELS = {"app": "ml-model", "tier": "a"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("app=ml-model", True),
        ("app==ml-model,tier=a", True),
        ("app=other", False),
        ("app!=other", True),
        ("absent!=x", True),
        ("tier in (a, b),app", True),
        ("tier notin (a,b)", False),
        ("absent notin (a)", True),
        ("!absent", True),
        ("!app", False),
        ("absent", False),
    ],
)
def test_requirements(selector: str, expected: bool) -> None:
    assert matches(selector, LABELS) is expected


@pytest.mark.parametrize("selector", ["a=b=c", "app in ml", "=", "a b"])
def test_what_is_no_selector_is_told(selector: str) -> None:
    with pytest.raises(WrongUse, match="not a label selector"):
        matches(selector, LABELS)


def test_selectors_are_written_as_they_are_read() -> None:
    assert matches(text_of(LABELS), LABELS)
    selector = Selector(
        match_labels={"app": "ml-model"},
        match_expressions=[
            Expression(key="tier", operator="In", values=["b", "a"]),
            Expression(key="old", operator="DoesNotExist"),
        ],
    )
    assert selector.text() == "app=ml-model,tier in (a,b),!old"
    assert matches(selector.text(), LABELS)
