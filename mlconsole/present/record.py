"""The record of one release: from the pods that serve back to the commit, on one page."""

from __future__ import annotations

from mlconsole.evidence.base import STAGES
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.release import Decision, Release, StageRun
from mlconsole.evidence.training import TrainEvidence
from mlconsole.present.stages import Block, Lines, Table, fact
from mlconsole.present.words import glyph, reasons, word
from mlconsole.text import duration, short_digest


def record(release: Release, runs: tuple[StageRun, ...], decisions: tuple[Decision, ...]) -> tuple[Block, ...]:
    """A release on one page: what it was, each stage, what it is made of, who decided what."""
    by_stage = {run.stage: run for run in runs}
    ordered = tuple(by_stage[stage] for stage in STAGES if stage in by_stage)
    blocks: list[Block] = [_head(release), _stages(ordered), _provenance(ordered)]
    found = tuple(f"{run.stage}: {line}" for run in ordered if run.verdict for line in reasons(run.verdict))
    if found:
        blocks.append(Lines("Gates", found))
    for run in ordered:
        if run.problem is not None:
            lines = (run.problem.sentence, run.problem.next_step, *run.problem.tail)
            blocks.append(Lines(f"{run.stage} failed", tuple(line for line in lines if line)))
    if decisions:
        rows = tuple((f"{d.at.astimezone():%Y-%m-%d %H:%M}", d.who, d.kind, d.stage, d.reason) for d in decisions)
        blocks.append(Table("Decisions", ("when", "who", "what", "stage", "why"), rows))
    return tuple(blocks)


def _head(release: Release) -> Lines:
    took = ""
    if release.finished_at is not None:
        took = f", {duration((release.finished_at - release.started_at).total_seconds())} from start to end"
    lines = [
        f"{glyph(release.state)} {word(release.state)}",
        f"{release.kind} of {release.version or 'no version yet'}",
        f"started {release.started_at.astimezone():%Y-%m-%d %H:%M:%S} by {release.started_by}{took}",
    ]
    if release.reason:
        lines.append(f"reason: {release.reason}")
    return Lines(f"Release {release.number}", tuple(lines))


def _stages(runs: tuple[StageRun, ...]) -> Table:
    rows = []
    for run in runs:
        took = duration(run.seconds) if run.seconds is not None and run.reused_from is None else ""
        since = f" (since release {run.reused_from})" if run.reused_from is not None else ""
        rows.append((f"{glyph(run.state)} {run.stage}", took, fact(run) + since))
    return Table("Stages", ("stage", "took", "fact"), tuple(rows), frozenset({1}))


def _provenance(runs: tuple[StageRun, ...]) -> Lines:
    """What the model is made of, by digests."""
    lines: list[str] = []
    for run in runs:
        match run.evidence:
            case TrainEvidence(version=version, environment=environment) if version is not None:
                lines += [
                    f"model      {version.label}  {version.model.digest}",
                    f"commit     {version.commit}",
                    f"data       {version.data_digest}",
                    f"python     {environment.version}, packages {short_digest(environment.digest)}",
                ]
            case DeployEvidence(plan=plan):
                lines.append(f"manifests  {plan.manifests_digest}")
                lines.append(f"target     {plan.target.context}/{plan.target.namespace} {plan.target.selector}")
            case _:
                pass
    return Lines("Made of", tuple(lines))
