"""What the keys of the Train panel do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.panels.train import TrainPanel

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


def next_measure(app: MlconsoleApp) -> None:
    """Show the curves of the next measure."""
    if isinstance(app.main.panel, TrainPanel):
        app.main.panel.chart.action_turn(1)


def past_curves(app: MlconsoleApp) -> None:
    """Draw earlier trainings, or leave them out."""
    if isinstance(app.main.panel, TrainPanel):
        app.main.panel.chart.toggle_past()
