"""The evidence of each stage: one fact for the rail, and blocks of lines and tables for the panel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mlconsole.evidence.cluster import DeployEvidence, DeployPlan, PodRow, PodsEvidence
from mlconsole.evidence.data import ColumnProfile, DataChange, DataEvidence, DriftReport
from mlconsole.evidence.release import Evidence, StageRun
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.evidence.testing import Comparison, TestEvidence, TestRun
from mlconsole.evidence.training import MetricPoint, SweepRun, TrainEvidence
from mlconsole.text import count, duration, listed, number, short_digest, shorten, size


class Table(NamedTuple):
    """A small table. Columns in `numeric` are set flush right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()


class Lines(NamedTuple):
    """A few lines under a title."""

    title: str
    lines: tuple[str, ...]


Block = Table | Lines


def fact(run: StageRun) -> str:
    """The one thing to know about a stage, short enough for the rail."""
    if run.problem is not None:
        return run.problem.sentence
    match run.evidence:
        case RepoEvidence() as repo:
            return _repo_fact(repo)
        case DataEvidence() as data:
            return _data_fact(data)
        case TrainEvidence() as train:
            made = train.version.tag if train.version else "no model"
            return f"{made} {_metric_words(final_metrics(train.metrics)[:1])}".strip()
        case TestEvidence() as test:
            return test_fact(test.run)
        case DeployEvidence() as deploy:
            return deploy_fact(deploy)
        case PodsEvidence() as pods:
            return f"{pods.serving}/{pods.wanted} serve {pods.version.partition('@')[2]}"
        case None:
            return ""


def _repo_fact(repo: RepoEvidence) -> str:
    if repo.commit is None:
        return "no commit"
    dirty = f", {len(repo.dirty)} dirty" if repo.dirty else ""
    return f"{repo.branch or 'detached'}@{repo.commit.sha[:7]}{dirty}"


def _data_fact(data: DataEvidence) -> str:
    drifting = {column for report in data.drift for column in report.columns_at("warn", "fail")}
    drift = f", {len(drifting)} drift" if drifting else ""
    return f"{count(data.profile.rows, 'row')}, {count(len(data.profile.columns), 'column')}{drift}"


def test_fact(run: TestRun) -> str:
    """How many tests passed, or failed; how many files of them could not be collected."""
    failed = [test.is_file for test in run.outcomes if test.outcome in ("failed", "error")]
    if files := sum(failed):
        return f"{count(files, 'file')} not collected"
    if failed:
        return f"{len(failed)}/{len(run.outcomes)} failed"
    flaky = run.count("flaky")
    return f"{run.count('passed', 'xpassed', 'flaky')} passed" + (f", {flaky} of them flaky" if flaky else "")


def deploy_fact(deploy: DeployEvidence) -> str:
    """What was applied, or would be."""
    changed = [change for change in deploy.plan.changes if change.action != "none"]
    if not deploy.applied:
        return f"{count(len(changed), 'change')} planned"
    broken = [rollout for rollout in deploy.rollouts if not rollout.succeeded]
    return (
        "rollout failed" if broken else f"{count(len(changed), 'object')} applied" if changed else "nothing to change"
    )


def final_metrics(metrics: tuple[MetricPoint, ...]) -> tuple[MetricPoint, ...]:
    """The metrics that were printed once, at the end; all of them where each was printed a step."""
    return tuple(metric for metric in metrics if metric.step is None) or metrics


def _metric_words(metrics: tuple[MetricPoint, ...]) -> str:
    return ", ".join(f"{metric.name} {number(metric.value)}" for metric in metrics)


def blocks(evidence: Evidence) -> tuple[Block, ...]:
    """A stage's evidence as tables and lines."""
    match evidence:
        case RepoEvidence():
            return tuple(_repo_blocks(evidence))
        case DataEvidence():
            return tuple(_data_blocks(evidence))
        case TrainEvidence():
            return tuple(_train_blocks(evidence))
        case TestEvidence():
            return tuple(_test_blocks(evidence))
        case DeployEvidence():
            return tuple(_deploy_blocks(evidence))
        case PodsEvidence():
            return tuple(_pods_blocks(evidence))


def _repo_blocks(repo: RepoEvidence) -> Iterator[Block]:
    commit = repo.commit
    head = [f"branch    {repo.branch or '(detached)'}", f"remote    {repo.url or '(none)'}"]
    if repo.upstream:
        head.append(f"upstream  {repo.upstream}: {repo.ahead} ahead, {repo.behind} behind")
    if commit:
        head.append(f"commit    {commit.sha[:12]} {commit.subject}")
        head.append(f"author    {commit.author}, {commit.at:%Y-%m-%d %H:%M}")
    yield Lines("Commit", tuple(head))
    if repo.dirty:
        yield Table("Not committed", ("state", "file"), tuple((change.state, change.path) for change in repo.dirty))
    if repo.tracked_models:
        models = tuple((model.path, size(model.size)) for model in repo.tracked_models)
        yield Table("Model files tracked by git", ("file", "size"), models, frozenset({1}))
    if repo.recent:
        rows = tuple((c.sha[:7], f"{c.at:%Y-%m-%d}", shorten(c.author, 20), c.subject) for c in repo.recent)
        yield Table("Last commits", ("sha", "date", "author", "subject"), rows)


def _data_blocks(data: DataEvidence) -> Iterator[Block]:
    identity = data.profile.identity
    files = listed([file.path for file in identity.files])
    shape = f"{count(data.profile.rows, 'row')}, {count(len(data.profile.columns), 'column')}"
    head = [
        f"{shape}, {size(identity.size)} in {files}",
        f"digest {short_digest(identity.digest)}, profiled in {duration(data.seconds)}",
    ]
    head += [pointer.sentence for pointer in data.pointers]
    yield Lines("Data", (*head, *_change_lines(data.change), *data.notes))
    if data.violations:
        broken = tuple((v.level, v.column, v.sentence, ", ".join(v.examples)) for v in data.violations)
        yield Table("Broken rules", ("level", "column", "what", "examples"), broken)
    for report in data.drift:
        yield from _drift_blocks(report)
    rows = tuple(_column_row(column, data.profile.target) for column in data.profile.columns)
    columns = ("column", "kind", "missing", "distinct", "min", "mean", "max", "top values")
    yield Table("Columns", columns, rows, frozenset({2, 3, 4, 5, 6}))


def _drift_blocks(report: DriftReport) -> Iterator[Block]:
    """What drifts, and what else was looked at."""
    rows = f"{count(report.rows, 'row')} against the {report.rows_before:,} of {report.reference}"
    part = "of all data" if report.part == "all rows" else "of the new rows alone"
    if not report.enough:
        sentence = f"{rows}: not enough to tell; 200 on either side are needed."
        yield Lines(f"Drift {part}", (sentence,))
        return
    tested = len({test.column for test in report.tests})
    lines = [f"{rows}: {count(len(report.columns_at('warn', 'fail')), 'column')} of {tested} drift"]
    if report.left_out:
        lines.append(f"left out (identifiers, free text, no values): {listed(report.left_out, 6)}")
    yield Lines(f"Drift {part}", tuple(lines))
    found = tuple(
        (test.level, test.column, number(test.effect), number(test.threshold), test.sentence)
        for test in report.drifting
    )
    if found:
        yield Table(f"Drifting {part}", ("drifts", "column", "effect", "from", "what"), found, frozenset({2, 3}))


def _change_lines(change: DataChange | None) -> Iterator[str]:
    if change is None:
        return
    grown = change.rows_after - change.rows_before
    added = (
        f"{count(change.rows_added, 'row')} appended"
        if change.rows_added is not None
        else f"{grown:+,} rows, not only appended"
    )
    yield f"since {change.reference}: {change.rows_before:,} → {change.rows_after:,} rows, {added}"
    if change.keys is not None:
        keys = change.keys
        same = f"{keys.same:,} as they were"
        yield f"by {listed(keys.key)}: {keys.added:,} added, {keys.removed:,} removed, {keys.changed:,} changed, {same}"
    for words, names in (
        ("new files", change.files_added),
        ("removed files", change.files_removed),
        ("new columns", change.columns_added),
        ("removed columns", change.columns_removed),
    ):
        if names:
            yield f"{words}: {listed(list(names), 6)}"


def _column_row(column: ColumnProfile, target: str) -> tuple[str, ...]:
    def shown(value: float | None) -> str:
        return "" if value is None else number(value)

    part = f"{column.missing / column.rows:.1%}" if column.missing and column.rows else ""
    distinct = f"{column.distinct:,}" if column.distinct_exact else f"≥{column.distinct:,}"
    top = ", ".join(shorten(found.value, 16) for found in column.top[:4]) or " … ".join(
        filter(None, (column.earliest, column.latest))
    )
    name = f"{column.name} (target)" if column.name == target else column.name
    return (name, column.kind, part, distinct, shown(column.minimum), shown(column.mean), shown(column.maximum), top)


def _train_blocks(train: TrainEvidence) -> Iterator[Block]:
    environment, use = train.environment, train.use
    head = [f"command   {train.command}"]
    if environment.found != "elsewhere":
        took = f"{duration(use.seconds)}, processor {duration(use.cpu_seconds)}, at most {size(use.peak_memory)}"
        head += [
            f"python    {environment.version} ({environment.found}: {environment.executable})",
            f"took      {took}",
        ]
    if train.version:
        version = train.version
        head.insert(
            0, f"version   {version.label}, {version.model.amount}, digest {short_digest(version.model.digest)}"
        )
        if version.origin:
            head.insert(1, f"imported  from {version.origin}")
    head += _more_of_training(train)
    yield Lines("Training", tuple(head))
    if train.sweep:
        yield sweep_table(train.sweep, train.best_by)
    if train.metrics:
        yield Table(
            "Metrics", ("metric", "value"), tuple((m.name, number(m.value)) for m in train.metrics), frozenset({1})
        )
    if train.parameters:
        yield Table("Parameters", ("parameter", "value"), tuple((p.name, p.value) for p in train.parameters))
    if train.tail:
        yield Lines("Last lines", train.tail)


def _more_of_training(train: TrainEvidence) -> Iterator[str]:
    if train.found:
        yield f"model     {train.found}"
    if train.seed:
        yield f"seed      {train.seed}"
    if train.memory_limit:
        yield f"limit     {size(train.memory_limit)} of memory"
    if train.outputs:
        yield f"outputs   {listed([f'{output.filename} ({size(output.size)})' for output in train.outputs], 10)}"
    shown = [f"{variable.name}={variable.value}" for variable in train.variables if variable.value]
    if shown:
        yield f"variables {listed(shown, 20)}"


def sweep_table(runs: Sequence[SweepRun], best_by: str) -> Table:
    """The runs of a sweep: what they were given, what came out by the metric that the best is chosen by."""
    names = list(dict.fromkeys(parameter.name for run in runs for parameter in run.parameters))
    rows = []
    for run in runs:
        given = {parameter.name: parameter.value for parameter in run.parameters}
        state: str = "best" if run.is_best else run.state
        if run.state == "running" and run.progress is not None:
            state = f"{run.progress:.0%}"
        score = number(run.score) if run.score is not None else ""
        took = duration(run.seconds) if run.seconds else ""
        rows.append((str(run.number), *(given.get(name, "") for name in names), score, took, state))
    columns = ("run", *names, best_by or "score", "took", "state")
    return Table("Sweep", columns, tuple(rows), frozenset({0, len(names) + 1, len(names) + 2}))


def _test_blocks(test: TestEvidence) -> Iterator[Block]:
    run = test.run
    again = f", {count(run.run_again, 'test')} run again" if run.run_again else ""
    head = [f"{test_fact(run)} of {run.collected} in {duration(run.seconds)} on {test.version}{again}", run.ended]
    if test.junit:
        head.append(f"JUnit XML: {test.junit}")
    yield Lines("Tests", tuple(filter(None, head)))
    for outcome in run.outcomes:
        if outcome.outcome in {"failed", "error", "flaky"}:
            sign = "!" if outcome.outcome == "flaky" else "✗"
            yield Lines(f"{sign} {outcome.nodeid}", tuple((outcome.traceback or outcome.message).splitlines()[-12:]))
    compared = comparison_lines(test.comparison) if test.comparison else (test.not_compared,)
    rows_of = (f"rows of {file.path}, digest {short_digest(file.digest)}" for file in test.holdout)
    yield Lines("Candidate and champion", (*compared, *rows_of))
    if test.further:
        yield further_table(test.further)
    rows = tuple((outcome.outcome, outcome.nodeid, f"{outcome.seconds:.2f} s") for outcome in run.outcomes)
    yield Table("Outcomes", ("outcome", "test", "took"), rows, frozenset({2}))
    if run.metrics:
        yield Table("Recorded", ("metric", "value", "test"), tuple(_recorded_rows(run)), frozenset({1}))
    if run.warnings:
        seen = tuple((f"{w.count:,}", w.category, w.message, w.where, w.nodeid) for w in run.warnings)
        yield Table("Warnings", ("times", "warning", "message", "where", "first in"), seen, frozenset({0}))


def _recorded_rows(run: TestRun) -> Iterator[tuple[str, ...]]:
    told = [(point, test.nodeid) for test in run.outcomes for point in test.metrics]
    # a run that was kept by an earlier mlconsole does not say which test recorded what
    for point, nodeid in told or [(point, "") for point in run.metrics]:
        yield point.name, number(point.value), nodeid


def further_table(further: tuple[Comparison, ...]) -> Table:
    """The other metrics and the segments that the models were compared by."""
    columns = ("where", "metric", "rows", "candidate", "champion", "worse by", "the candidate is")
    rows = tuple(
        (
            found.segment or "all rows",
            found.metric,
            f"{found.rows:,}",
            number(found.candidate_value),
            number(found.champion_value),
            f"{found.relative:+.1%}",
            found.verdict,
        )
        for found in further
    )
    return Table("Also compared", columns, rows, frozenset({2, 3, 4, 5}))


def comparison_lines(found: Comparison) -> tuple[str, ...]:
    """Candidate against champion in two lines."""
    better = "lower" if found.lower_is_better else "higher"
    return (
        f"{found.metric} ({better} is better) on {count(found.rows, 'row')}: {found.candidate}"
        f" {number(found.candidate_value)}, {found.champion} {number(found.champion_value)}",
        f"difference {found.difference:+.4g} (95%: {found.low:+.4g} … {found.high:+.4g}):"
        f" the candidate is {found.verdict}",
    )


def _deploy_blocks(deploy: DeployEvidence) -> Iterator[Block]:
    yield Lines("Target", plan_lines(deploy.plan))
    for rollout in deploy.rollouts:
        lines = [
            rollout.sentence,
            *filter(None, [rollout.reason, rollout.next_step]),
            *rollout.log_tail,
            *rollout.events,
        ]
        mark = "✓" if rollout.succeeded else "✗"
        yield Lines(
            f"{mark} {rollout.workload.kind} {rollout.workload.name}, {duration(rollout.seconds)}", tuple(lines)
        )
    for change in deploy.plan.changes:
        if change.diff:
            yield Lines(f"{change.action} {change.kind} {change.name}", tuple(change.diff.splitlines()))


def plan_lines(plan: DeployPlan) -> tuple[str, ...]:
    """Where a plan goes and what it changes there."""
    target = plan.target
    actions = [f"{change.action:7} {change.kind} {change.name}" for change in plan.changes]
    where = f"{plan.version} to context {target.context}, namespace {target.namespace} ({target.selector})"
    return (where, *actions, *_conflict_lines(plan), *_orphan_lines(plan))


def _conflict_lines(plan: DeployPlan) -> Iterator[str]:
    """Fields that others own, and what becomes of them."""
    word = {"ask": "conflict", "force": "taken over", "leave": "left as it is"}[plan.conflict_choice]
    for found in plan.conflicts:
        yield f"{word}: {found.field} of {found.kind} {found.name}, which {found.owner} owns"


def _orphan_lines(plan: DeployPlan) -> Iterator[str]:
    """Objects of the release before that this one no longer has, and that stay."""
    for orphan in plan.orphans:
        if orphan.kept:
            yield f"stays   {orphan.kind} {orphan.name}, no longer in the manifests: {orphan.kept}"
        elif not plan.prune:
            yield f"stays   {orphan.kind} {orphan.name}, no longer in the manifests: --prune deletes it"


def _pods_blocks(pods: PodsEvidence) -> Iterator[Block]:
    settled = f", settled {duration(pods.settled)}" if pods.settled else ""
    serving = f"{pods.serving} of {count(pods.wanted, 'pod')} serve {pods.version}{settled}"
    lines = [f"{serving}, {count(pods.restarts, 'restart')}"]
    yield Lines("Serving", (*lines, *(f"{service.name}: {service.url}" for service in pods.services)))
    yield pod_table(pods.rows)
    if pods.smoke:
        answers = tuple(
            ("✓" if answer.passed else "✗", answer.pod, str(answer.status or ""), answer.sentence)
            for answer in pods.smoke
        )
        yield Table("Smoke test", ("", "pod", "status", "answer"), answers)
    if pods.events:
        rows = tuple((event.type, event.reason, event.object, event.message) for event in pods.events)
        yield Table("Events", ("type", "reason", "object", "message"), rows)


def pod_table(rows: tuple[PodRow, ...]) -> Table:
    """Pods with the model version that each runs."""
    columns = ("name", "ready", "status", "restarts", "version", "why not ready")
    cells = tuple((row.name, row.ready, row.status, row.restarts, row.version, row.reason) for row in rows)
    return Table("Pods", columns, cells)
