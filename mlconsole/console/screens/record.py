"""The record of one release on a page: from the pods that serve back to the commit."""

from __future__ import annotations

from mlconsole.console.paint import block_lines
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.present import record as blocks_of


def record_screen(found: ReleaseRecord) -> DetailScreen:
    """The page of a release."""
    blocks = blocks_of(found)
    return DetailScreen(f"Record of release {found.release.number}", lambda width: block_lines(blocks, width))
