"""What a release was made of and came to, in the few values by which releases are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlconsole.evidence.record import ReleaseRecord
from mlconsole.present import final_metrics, test_fact
from mlconsole.text import count, listed, number, short_digest

MOST_NAMES = 2
"""So many parameters or metrics are named in a cell of the history."""


@dataclass(frozen=True)
class ReleaseFacts:
    """Commit, data, parameters, metrics and tests of a release; empty where it did not come to them."""

    commit: str = ""
    dirty: int = 0
    data: str = ""
    rows: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: str = ""
    decided: str = ""
    tree: str = ""
    """Tells what is not committed from what was not in another release of the same commit."""

    @property
    def is_trained(self) -> bool:
        """Whether it came to a model."""
        return bool(self.parameters or self.metrics)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing that it did not come to."""
        return bool(self.commit and self.data and self.is_trained)


def facts_of(record: ReleaseRecord) -> ReleaseFacts:
    """The facts of a release's record."""
    repo, data, train, test = record.repo, record.data, record.train, record.test
    return ReleaseFacts(
        commit=repo.commit.sha if repo and repo.commit else "",
        dirty=len(repo.dirty) if repo else 0,
        data=data.profile.identity.digest if data else "",
        rows=data.profile.rows if data else 0,
        parameters={entry.name: entry.value for entry in train.parameters} if train else {},
        metrics={entry.name: entry.value for entry in final_metrics(train.metrics)} if train else {},
        tests=test_fact(test.run) if test else "",
        decided=decided_words(record),
        tree=_tree(record),
    )


def _tree(record: ReleaseRecord) -> str:
    """What the repo stage depends on: the commit, and what of it is other than it was committed."""
    run = record.stage("repo")
    return " ".join(entry.digest for entry in run.fingerprint.inputs) if run and run.fingerprint else ""


def decided_words(record: ReleaseRecord) -> str:
    """What people decided about a release, else what its gates or its problem did."""
    if record.decisions:
        last = record.decisions[-1]
        words = f"{last.kind} by {last.who}" + (f": {last.reason}" if last.reason else "")
        return words + (f" (and {len(record.decisions) - 1} before)" if len(record.decisions) > 1 else "")
    for run in record.stages:
        if run.state == "refused" and run.verdict is not None:
            worst = next((reason.sentence for reason in run.verdict.reasons if reason.level == "fail"), "")
            return f"refused at {run.stage}: {worst}"
        if run.problem is not None:
            return f"{run.stage}: {run.problem.sentence}"
    return "approved as it was started" if record.release.approved else ""


def filled(facts: ReleaseFacts, earlier: ReleaseFacts) -> ReleaseFacts:
    """The facts of a release; what it did not come to is as in an earlier one."""
    trained = facts if facts.is_trained else earlier
    tried = facts if facts.data else earlier
    placed = facts if facts.commit else earlier
    return replace(
        facts,
        commit=placed.commit,
        dirty=placed.dirty,
        tree=placed.tree,
        data=tried.data,
        rows=tried.rows,
        parameters=trained.parameters,
        metrics=trained.metrics,
    )


def changed_words(now: ReleaseFacts, before: ReleaseFacts | None) -> str:
    """What is other than in the release before, in a few words; `before` is filled up from those before it."""
    if before is None:
        return "the first"
    parts = []
    files = count(now.dirty, "changed file") if now.dirty else ""
    if now.commit and now.commit != before.commit:
        parts.append(f"commit {now.commit[:7]}" + (f" with {files}" if files else ""))
    elif now.commit and now.tree != before.tree:
        parts.append(files or "no file changed any more")
    if now.data and now.data != before.data:
        grown = now.rows - before.rows
        parts.append(f"data {grown:+,} rows" if grown and before.rows else f"data {short_digest(now.data)}")
    parameters = [name for name in {**before.parameters, **now.parameters} if _other(name, now, before)]
    if now.parameters and parameters and before.is_trained:
        told = [f"{name} {before.parameters.get(name, '–')} → {now.parameters.get(name, '–')}" for name in parameters]
        parts.append(listed(told, MOST_NAMES))
    metrics = [name for name, value in now.metrics.items() if name in before.metrics and before.metrics[name] != value]
    if metrics:
        parts.append(
            listed([f"{name} {number(before.metrics[name])} → {number(now.metrics[name])}" for name in metrics], 1)
        )
    return ", ".join(parts) or ("nothing" if now.commit or now.data else "")


def _other(name: str, now: ReleaseFacts, before: ReleaseFacts) -> bool:
    return now.parameters.get(name) != before.parameters.get(name)
