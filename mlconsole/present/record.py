"""The record of one release: from the pods that serve back to the commit, on one page."""

from __future__ import annotations

from collections.abc import Iterator

from mlconsole.evidence.cluster import DeployEvidence, PodsEvidence
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import Release
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.evidence.testing import TestEvidence
from mlconsole.evidence.training import TrainEvidence
from mlconsole.present.stages import Block, Lines, Table, comparison_lines, fact, final_metrics, test_fact
from mlconsole.present.words import glyph, reasons, why_it_ran, word
from mlconsole.text import count, duration, listed, number, short_digest, size

MOST_PARAMETERS = 12
"""More of them would push the rest off the page; all are in the exported record."""


def record(found: ReleaseRecord) -> tuple[Block, ...]:
    """A release on one page: what it was, each stage, what it is made of and judged by, who decided, what serves."""
    blocks: list[Block] = [_head(found.release), _stages(found), Lines("Made of", tuple(_made_of(found)))]
    if changed := tuple(f"{run.stage}: {why}" for run in found.stages if (why := why_it_ran(run))):
        blocks.append(Lines("Changed", changed))
    if judged := tuple(_judged(found)):
        blocks.append(Lines("Judged by", judged))
    gates = tuple(f"{run.stage}: {line}" for run in found.stages if run.verdict for line in reasons(run.verdict))
    if gates:
        blocks.append(Lines("Gates", gates))
    for run in found.stages:
        if run.problem is not None:
            lines = (run.problem.sentence, run.problem.next_step, *run.problem.tail)
            blocks.append(Lines(f"{run.stage} failed", tuple(line for line in lines if line)))
    if found.decisions:
        rows = tuple((f"{d.at.astimezone():%Y-%m-%d %H:%M}", d.who, d.kind, d.stage, d.reason) for d in found.decisions)
        blocks.append(Table("Decisions", ("when", "who", "what", "stage", "why"), rows))
    if serves := tuple(_serves(found)):
        blocks.append(Lines("Serves", serves))
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
    if release.trigger is not None:
        lines.append(f"set off by: {release.trigger.words}")
    if release.reason:
        lines.append(f"reason: {release.reason}")
    if release.already:
        lines.append(f"not needed: {release.already} was released from the same commit and data already")
    return Lines(f"Release {release.number}", tuple(lines))


def _stages(found: ReleaseRecord) -> Table:
    rows = []
    for run in found.stages:
        took = duration(run.seconds) if run.seconds is not None and run.reused_from is None else ""
        since = f" (since {run.taken_from})" if run.taken_from else ""
        evidence = short_digest(run.evidence_digest)
        rows.append((f"{glyph(run.state)} {run.stage}", took, fact(run) + since, evidence))
    return Table("Stages", ("stage", "took", "fact", "evidence"), tuple(rows), frozenset({1}))


def _made_of(found: ReleaseRecord) -> Iterator[str]:
    """What the model is made of, by digests."""
    if found.version is not None:
        model = found.version.model
        yield f"model       {found.version.label}  {model.digest}  {size(model.size)}"
    is_imported = found.version is not None and bool(found.version.origin)
    if found.repo is not None:
        # its own code is not known: what is, is that by which it was judged and deployed
        yield from _code_lines(found.repo, "tests of" if is_imported else "commit")
    if found.data is not None:
        yield from _data_lines(found.data)
    if found.train is not None:
        yield from _training_lines(found.train)
    if found.deploy is not None:
        yield from _deploy_lines(found.deploy)


def _code_lines(repo: RepoEvidence, title: str) -> Iterator[str]:
    if repo.commit is None:
        yield f"{title:<12}none"
        return
    dirty = f", and {count(len(repo.dirty), 'file')} not committed" if repo.dirty else ""
    yield f"{title:<12}{repo.commit.sha}  {repo.commit.author}: {repo.commit.subject}{dirty}"


def _data_lines(data: DataEvidence) -> Iterator[str]:
    profile, identity = data.profile, data.profile.identity
    yield f"data        {identity.digest}  {listed([file.path for file in identity.files])}, {size(identity.size)}"
    gaps = sum(1 for column in profile.columns if column.missing)
    shape = f"{count(profile.rows, 'row')}, {count(len(profile.columns), 'column')}"
    yield f"            {shape}, {gaps} with missing values; {count(len(data.violations), 'broken rule')}"


def _training_lines(train: TrainEvidence) -> Iterator[str]:
    environment = train.environment
    if train.version is not None and train.version.origin:
        yield f"imported    from {train.version.origin}"
    yield f"command     {train.command}"
    packages = count(len(environment.packages), "package")
    told = f"{environment.version}, {packages}" if environment.found != "elsewhere" else "not known here"
    yield f"python      {told}  {environment.digest}".rstrip()
    if train.parameters:
        shown = ", ".join(f"{entry.name}={entry.value}" for entry in train.parameters[:MOST_PARAMETERS])
        more = len(train.parameters) - MOST_PARAMETERS
        yield f"parameters  {shown}" + (f" and {more} more" if more > 0 else "")
    if train.seed:
        yield f"seed        {train.seed}"
    for output in train.outputs:
        yield f"output      {output.digest}  {output.filename}, {size(output.size)}"
    if train.sweep:
        yield f"sweep       the best of {count(len(train.sweep), 'run')} by {train.best_by}"


def _deploy_lines(deploy: DeployEvidence) -> Iterator[str]:
    plan = deploy.plan
    yield f"manifests   {plan.manifests_digest}"
    yield f"target      {plan.target.context}/{plan.target.namespace} {plan.target.selector}"


def _judged(found: ReleaseRecord) -> Iterator[str]:
    if found.train is not None and found.train.metrics:
        final = final_metrics(found.train.metrics)
        yield "metrics     " + ", ".join(f"{metric.name} {number(metric.value)}" for metric in final)
    if found.test is not None:
        yield from _test_lines(found.test)


def _test_lines(test: TestEvidence) -> Iterator[str]:
    yield f"tests       {test_fact(test.run)} of {test.run.collected}"
    lines = comparison_lines(test.comparison) if test.comparison else (test.not_compared,)
    for index, line in enumerate(filter(None, lines)):
        yield f"{'comparison' if index == 0 else '':<12}{line}"
    for found in test.further:
        where = f"{found.segment}: " if found.segment else ""
        values = f"{number(found.candidate_value)} against {number(found.champion_value)} on {count(found.rows, 'row')}"
        yield f"{'':<12}{where}{found.metric} {values}: {found.verdict}"


def _serves(found: ReleaseRecord) -> Iterator[str]:
    for move in found.aliases:
        yield f"alias       {move.alias} is v{move.number} since {move.at.astimezone():%Y-%m-%d %H:%M:%S}"
    pods = found.pods
    if pods is None:
        return
    yield f"pods        {pods.serving} of {pods.wanted} serve {pods.version}"
    for owner, names in _by_owner(pods).items():
        yield f"            {owner or 'no owner'}: {', '.join(names)}"


def _by_owner(pods: PodsEvidence) -> dict[str, list[str]]:
    """The pods of each ReplicaSet."""
    owners: dict[str, list[str]] = {}
    for row in pods.rows:
        owners.setdefault(row.owner, []).append(row.name)
    return owners
