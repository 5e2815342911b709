"""Two releases side by side."""

from __future__ import annotations

from mlconsole.console.compare_lines import compare_lines
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.evidence.record import ReleaseRecord


def compare_screen(one: ReleaseRecord, other: ReleaseRecord) -> DetailScreen:
    """The comparison of two releases, the earlier one to the left."""
    left, right = sorted((one, other), key=lambda found: found.release.number)
    title = f"Release {left.release.number} and release {right.release.number}"
    return DetailScreen(title, lambda width: compare_lines(left, right, width))
