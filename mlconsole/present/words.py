"""States, gates and moments in words."""

from __future__ import annotations

from datetime import datetime

from mlconsole.evidence.base import Verdict
from mlconsole.evidence.release import Release, ReleaseState, StageRun, StageState
from mlconsole.evidence.repo import CloneProgress
from mlconsole.text import duration, listed

_GLYPHS: dict[str, str] = {
    "running": "●",
    "done": "✓",
    "reused": "↺",
    "skipped": "–",
    "waiting": "?",
    "paused": "‖",
    "refused": "✗",
    "failed": "✗",
    "cancelled": "⊘",
    "interrupted": "!",
}
_WORDS: dict[str, str] = {
    "reused": "unchanged",
    "skipped": "left out",
    "waiting": "waits for approval",
    "refused": "refused by its gate",
}


def glyph(state: StageState | ReleaseState | None) -> str:
    """One character for a state; a middle dot where there is none yet."""
    return _GLYPHS.get(state or "", "·")


def word(state: StageState | ReleaseState | None) -> str:
    """A state in words."""
    return _WORDS.get(state or "", state or "not run")


def standing(release: Release, latest: int, *, whole: bool = False) -> str:
    """The glyph and the words for a release's state; one that waited waits no more once another came after it.

    Args:
        release: any one.
        latest: the number of the project's latest.
        whole: as a sentence has it, `waits for approval`, and not as a table has it, `waiting`.
    """
    if release.state == "waiting" and release.number < latest:
        return f"{glyph('cancelled')} never approved"
    return f"{glyph(release.state)} {word(release.state) if whole else release.state}"


def needless(release: Release) -> str:
    """Why a release ended before it changed anything; empty where none had done the same."""
    return f"not needed: {release.already} is the same" if release.already else ""


def why_it_ran(run: StageRun) -> str:
    """Which inputs had changed, so that a stage ran; empty where it had not been completed before, or did not run."""
    return f"It ran because of: {listed(run.because, 5)}." if run.because and run.reused_from is None else ""


def age(moment: datetime, now: datetime) -> str:
    """How long ago something was: `just now`, `3 min 05 s ago`."""
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < 2 else f"{duration(seconds)} ago"


def reasons(verdict: Verdict) -> tuple[str, ...]:
    """What a gate found, a line each, with what to do about it."""
    return tuple(
        f"{reason.level}: {reason.sentence}" + (f" {reason.next_step}" if reason.next_step else "")
        for reason in verdict.reasons
    )


def progress_words(progress: CloneProgress) -> str:
    """How far git is: `receiving 45%, 12 MiB | 3 MiB/s`; where it is no phase, in its own words."""
    said = progress.message.strip(" ,.")
    if progress.phase == "working" and said:
        return said
    part = f" {progress.fraction:.0%}" if progress.fraction is not None else ""
    return f"{progress.phase}{part}" + (f", {said}" if said else "")
