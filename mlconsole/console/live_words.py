"""What is live, in the few words that header, rail and panels share."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mlconsole.console.paint import BAD, DIM, GOOD, STATE_STYLES, WARN
from mlconsole.console.view import View
from mlconsole.evidence.base import CommandRun, StageName
from mlconsole.evidence.release import StageRun
from mlconsole.present import fact, glyph, word
from mlconsole.text import count, duration, number

if TYPE_CHECKING:
    from mlconsole.project import Project

TITLES: dict[StageName, str] = {
    "repo": "Repo",
    "data": "Data",
    "train": "Train",
    "test": "Test",
    "deploy": "Deploy",
    "pods": "Pods",
}
QUESTIONS: dict[StageName, str] = {
    "repo": "What code is this?",
    "data": "Is this data fit to train on, and is it new?",
    "train": "What came out, and how?",
    "test": "May it be released?",
    "deploy": "What changes in the cluster?",
    "pods": "Is it really serving?",
}


def freshness(view: View) -> tuple[str, str, str]:
    """How far the pods' rows can be trusted: a glyph, words, and a style."""
    if view.pods is None:
        if view.cluster.local_running is False:
            return "○", "no cluster", DIM
        return ("○", "no pods watched", DIM) if view.pods_problem else ("◌", "connecting", DIM)
    watch = view.pods.watch
    seconds = f" {duration(max((view.moment - watch.since).total_seconds(), 0))}" if watch.since else ""
    match watch.state:
        case "live":
            return "●", "live", GOOD
        case "stale":
            return "◐", f"stale{seconds}", WARN
        case "reconnecting":
            return "◌", f"reconnecting ({watch.attempt})", WARN
        case "connecting":
            return "◌", "connecting", DIM
        case "offline":
            if view.cluster.local_running is False:
                return "○", "no cluster", DIM
            return "○", "offline", BAD
        case "forbidden":
            return "○", "forbidden", BAD
        case _:
            return "○", watch.state, DIM


def state_words(run: StageRun | None) -> tuple[str, str, str]:
    """A stage's glyph, word and style; a finished one with warnings tells their number."""
    if run is None:
        return glyph(None), word(None), STATE_STYLES[None]
    words, style = word(run.state), STATE_STYLES[run.state]
    if run.verdict is not None and run.verdict.level == "warn" and run.state in ("done", "reused"):
        warnings = sum(reason.level == "warn" for reason in run.verdict.reasons)
        return glyph(run.state), count(warnings, "warning"), WARN
    return glyph(run.state), words, style


def elapsed(run: StageRun | None, view: View) -> str:
    """How long a stage took, or takes already."""
    if run is None or run.state == "reused":
        return ""
    seconds = run.seconds
    if seconds is None and run.state == "running":
        seconds = (view.moment - run.started_at).total_seconds()
    return duration(seconds) if seconds is not None else ""


def stage_fact(view: View, stage: StageName) -> str:
    """One short fact of a stage for the rail: of the run, of its story while it runs, or of what is live."""
    run = view.run(stage)
    if run is not None and run.state == "running" and (words := _running_fact(view, stage)):
        return words
    if run is not None and (words := fact(run)):
        return words
    if run is not None and run.reused_from is not None:
        return f"from {run.taken_from}"
    return "" if view.past else _live_fact(view, stage)


def _running_fact(view: View, stage: StageName) -> str:
    story = view.story
    if stage == "train":
        parts = []
        if story.progress is not None:
            parts.append(f"{story.progress.fraction:.0%}")
        if left := time_left(view):
            parts.append(f"{left} left")
        if story.metrics and not left:
            name, points = story.metrics[-1]
            parts.append(f"{name} {number(points[-1].value)}")
        return ", ".join(parts)
    if stage == "test" and story.collected is not None:
        failed = sum(test.outcome in ("failed", "error") for test in story.outcomes)
        return f"{len(story.outcomes)}/{story.collected}" + (f", {failed} failed" if failed else "")
    if stage == "deploy" and story.rollouts:
        rollout = story.rollouts[-1]
        return f"{rollout.available}/{rollout.wanted} available"
    return ""


def _live_fact(view: View, stage: StageName) -> str:
    if stage == "repo" and view.repo and (repo := view.repo.repo):
        sha = repo.commit.sha[:7] if repo.commit else "no commit"
        return f"{sha}, {count(len(repo.dirty), 'file')} dirty" if repo.dirty else f"{sha}, clean"
    if stage == "pods" and view.pods and view.pods.rows:
        ready = sum(row.is_ready for row in view.pods.rows)
        return f"{ready}/{len(view.pods.rows)} ready"
    return ""


def time_left(view: View) -> str:
    """How long training still takes, by what it printed last; empty where that is not known."""
    progress = view.story.progress
    if progress is None or progress.seconds_left is None or view.story.progress_at is None:
        return ""
    left = progress.seconds_left - (view.moment - view.story.progress_at).total_seconds()
    return duration(max(round(left), 0)) if left >= 1 else ""


def kubectl(view: View) -> str:
    """The beginning of a kubectl command that goes where the console goes: to be typed in the project's folder."""
    place = view.cluster
    words = ["kubectl", *kubeconfig_option(view.project)]
    words += ["--context", place.context] if place.context else []
    words += ["-n", place.namespace] if place.namespace else []
    return shlex.join(words)


def aimed(command: CommandRun, project: Project) -> CommandRun:
    """A kubectl command that finds the local cluster, which the user's own kubeconfig does not have."""
    if project.kubeconfig is None or not command.line.startswith("kubectl ") or "--kubeconfig" in command.line:
        return command
    config = shlex.join(kubeconfig_option(project))
    return CommandRun(line=command.line.replace("kubectl", f"kubectl {config}", 1), note=command.note)


def kubeconfig_option(project: Project) -> list[str]:
    """The option that names the local cluster's kubeconfig, as seen from the project's folder; none without one."""
    config, root = project.kubeconfig, project.root
    if config is None:
        return []
    return ["--kubeconfig", str(config.relative_to(root) if config.is_relative_to(root) else config)]
