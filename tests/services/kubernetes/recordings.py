"""The recordings of a real cluster, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).parents[3].parent / "shared" / "kubernetes-recordings"


def need() -> None:
    """Skip a test where the recordings are absent: they are no part of the checkout."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings of a real cluster are not beside this checkout")


def scenario(name: str) -> dict[str, Any]:
    """One recorded scenario: its commands, and the watch events in order."""
    need()
    return json.loads((RECORDINGS / "scenarios" / f"{name}.json").read_text())


def responses() -> dict[str, Any]:
    """Single requests and answers, by name."""
    need()
    return json.loads((RECORDINGS / "responses.json").read_text())


def pod_rows() -> list[dict[str, Any]]:
    """Pods with the columns that the server printed for them."""
    need()
    return [json.loads(line) for line in (RECORDINGS / "pod_rows.jsonl").read_text().splitlines()]
