"""A release's record, gathered from the journal."""

from __future__ import annotations

from mlconsole import __version__
from mlconsole.evidence.record import ReleaseRecord, in_order
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.training import ModelVersion, TrainEvidence
from mlconsole.journal import Journal


def gather(journal: Journal, number: int) -> ReleaseRecord:
    """Put together all that the journal knows of a release.

    Raises:
        NoSuchRelease: it knows none of that number.
    """
    release = journal.release(number)
    runs = in_order(journal.stage_runs(number))
    train = next((run for run in runs if isinstance(run.evidence, TrainEvidence)), None)
    version = train.evidence.version if train and isinstance(train.evidence, TrainEvidence) else None
    moves = journal.alias_moves(version.name) if version else ()
    return ReleaseRecord(
        project=version.name if version else "",
        release=release,
        stages=runs,
        decisions=journal.decisions(number),
        version=version,
        trained=_first_run(journal, train),
        aliases=tuple(move for move in moves if move.release == number),
        written_by=f"mlconsole {__version__}",
    )


def releases_of(journal: Journal, version: ModelVersion) -> tuple[int, ...]:
    """The numbers of the releases of a version, oldest first: the one that made it, and those that took it over.

    There is none where it was imported.
    """
    numbers = {release.number for release in journal.releases(1_000_000) if release.version == version.label}
    return tuple(sorted((numbers | {version.release}) - {0}))


def _first_run(journal: Journal, run: StageRun | None) -> StageRun | None:
    """The run that did the work: where a stage was taken over, that of the release that it was taken from."""
    if run is None or run.reused_from is None:
        return run
    return next((found for found in journal.stage_runs(run.reused_from) if found.stage == run.stage), run)
