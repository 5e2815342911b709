"""The events of a release, a line each."""

from __future__ import annotations

from mlconsole.evidence.release import (
    CommandNoted,
    DecisionTaken,
    Event,
    EventBody,
    MetricSeen,
    Note,
    PlanMade,
    PodSeen,
    ProgressSeen,
    ReleaseFinished,
    ReleaseStarted,
    RolloutSeen,
    StageFinished,
    StageReused,
    StageStarted,
    SweepSeen,
    TestReported,
    TestsCollected,
    VersionMade,
    release_words,
)
from mlconsole.evidence.testing import TestOutcome
from mlconsole.present.stages import plan_lines
from mlconsole.present.words import glyph, reasons, word
from mlconsole.text import count, listed, number, short_digest, size


def event_line(event: Event) -> str:
    """One event in words: mostly a line, some have more."""
    return _release_words(event) or _progress_words(event.body)


def _release_words(event: Event) -> str:
    """What the engine says of the release and its stages; empty for what a stage says."""
    match event.body:
        case ReleaseStarted(resumed=resumed):
            return f"release {event.release} {'goes on' if resumed else 'starts'}"
        case StageStarted(because=because):
            return f"● started{f', because of: {listed(because, 5)}' if because else ''}"
        case StageReused(release=release):
            return f"↺ unchanged since {release_words(release)}"
        case StageFinished():
            return _finished_words(event.body)
        case DecisionTaken(decision=decision):
            return f"{decision.kind} by {decision.who}{f': {decision.reason}' if decision.reason else ''}"
        case ReleaseFinished(state=state, sentence=sentence):
            return f"{glyph(state)} release {event.release} {word(state)}. {sentence}".rstrip()
        case _:
            return ""


def _progress_words(body: EventBody) -> str:
    """What a stage says while it runs."""
    match body:
        case Note(text=text):
            return text
        case CommandNoted(command=command):
            return f"$ {command.line}"
        case MetricSeen(point=point):
            return f"{point.name} {number(point.value)}" + (f" (step {point.step})" if point.step is not None else "")
        case ProgressSeen(progress=progress):
            return f"{progress.fraction:.0%} {progress.message}".rstrip()
        case SweepSeen(run=run, total=total):
            # that it began or ended; how it goes on between is for the screen
            return run.in_words(total) if run.state != "running" or not run.seconds else ""
        case VersionMade(version=version):
            digest = short_digest(version.model.digest)
            return f"{version.label} stored, {size(version.model.size)}, digest {digest}"
        case TestsCollected(count=tests):
            return f"{count(tests, 'test')} collected"
        case TestReported(outcome=outcome):
            return _outcome_words(outcome)
        case PlanMade(plan=plan):
            return "\n".join(plan_lines(plan))
        case RolloutSeen(progress=progress):
            return progress.sentence + (f" ({progress.problem})" if progress.problem else "")
        case PodSeen(pod=pod):
            return f"{pod.name} {pod.ready} {pod.status} {pod.version}".rstrip()
        case _:
            return ""


def _outcome_words(test: TestOutcome) -> str:
    if test.outcome == "flaky":
        return f"flaky {test.nodeid}: passed when it was run again, after: {test.message}"
    again = f" {test.attempts} times" if test.attempts > 1 else ""
    return f"{test.outcome}{again} {test.nodeid}" + (f": {test.message}" if test.message else "")


def _finished_words(body: StageFinished) -> str:
    lines = [f"{glyph(body.state)} {word(body.state)}"]
    if body.problem is not None:
        lines[0] += f": {body.problem.sentence} {body.problem.next_step}".rstrip()
        lines += [f"  | {line}" for line in body.problem.tail]
    elif body.verdict is not None:
        lines += [f"  {line}" for line in reasons(body.verdict)]
    return "\n".join(lines)
