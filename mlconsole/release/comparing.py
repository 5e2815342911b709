"""Two versions of a model on the hold-out, whenever a person asks: nothing is written down."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.testing import Comparison
from mlconsole.evidence.training import ModelVersion
from mlconsole.project import Project
from mlconsole.services.datasets.plain import unhashed
from mlconsole.services.models.compare import compare
from mlconsole.services.models.unseen import seen_rows
from mlconsole.stages.base import model_store
from mlconsole.stages.data import dialect_of
from mlconsole.stages.training_inputs import project_python


def compare_on_holdout(
    project: Project, ours: ModelVersion, theirs: ModelVersion, cancelled: threading.Event
) -> tuple[Comparison, ...]:
    """Compare two versions as the test stage compares candidate and champion; see `compare` for what comes.

    Raises:
        Problem: as `compare` says, or a model is not in the store.
    """
    quality, store = project.settings.quality, model_store(project)
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compare-", dir=project.state) as folder:
        return compare(
            python=Path(project_python(project).executable),
            root=project.root,
            candidate=store.path(ours.model.digest),
            champion=store.path(theirs.model.digest),
            candidate_label=ours.label,
            champion_label=theirs.label,
            rows=quality.holdout,
            target=project.settings.data.target,
            metric=quality.metric,
            tolerance=quality.tolerance,
            log_path=Path(folder) / "compare.log",
            cancelled=cancelled,
            metrics=quality.metrics,
            segments=quality.segments,
            command=quality.predict,
            order=quality.order,
            dialect=dialect_of(project),
        )


def seen_on_holdout(project: Project, cancelled: threading.Event) -> int:
    """How many rows of the hold-out the training data holds, as both are now; 0 where that can't be told.

    Raises:
        Cancelled: it was cancelled.
    """
    dialect = dialect_of(project)
    try:
        rows = unhashed(project.root, project.settings.quality.holdout, dialect)
        data = unhashed(project.root, project.settings.data.path, dialect)
        return seen_rows(project.root, rows, data, cancelled) or 0
    except Cancelled:
        raise
    except Problem:  # data that is elsewhere or gone has told nothing of its rows
        return 0
