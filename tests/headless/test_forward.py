"""Ports are named as kubectl takes them."""

from __future__ import annotations

import pytest

from mlconsole.errors import WrongUse
from mlconsole.headless.forward import _ports


@pytest.mark.parametrize(
    ("text", "local", "remote"),
    [
        ("", 0, ""),
        ("8080", 8080, "8080"),
        ("9000:8080", 9000, "8080"),
        (":8080", 0, "8080"),
        ("http", 0, "http"),
        ("9000:http", 9000, "http"),
    ],
)
def test_ports(text: str, local: int, remote: str) -> None:
    assert _ports(text) == (local, remote)


def test_a_local_port_that_is_none() -> None:
    with pytest.raises(WrongUse, match="names no ports"):
        _ports("http:8080")
