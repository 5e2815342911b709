"""A release as a Markdown page, for a CI's summary or a merge request: how it went, and what it would change."""

from __future__ import annotations

from collections.abc import Iterator

from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import ProblemRecord, StageRun
from mlconsole.present.card import code, markdown, markdown_table, model_card
from mlconsole.present.words import reasons, word
from mlconsole.text import duration

MOST_DIFF = 20_000
"""Characters of a diff; a CI's summary takes no page of any length."""


def summary(record: ReleaseRecord) -> str:
    """A release's page. It begins with what decides, and folds away the model card."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: ReleaseRecord) -> Iterator[str]:
    release, version = record.release, record.version
    name = f": {markdown(version.label)}" if version else ""
    yield f"## Release {release.number}{name} — {word(release.state)}"
    rows = [(run.stage, word(run.state), _seconds(run), _said(run)) for run in record.stages]
    yield from markdown_table(("stage", "state", "took", "what its gate says"), rows)
    for run in record.stages:
        if run.problem is not None:
            yield from _problem(run.problem)
    if release.state == "waiting":
        yield from ("", f"It waits for an approval: `mlconsole approve {release.number}`")
    yield from _plan(record)
    card = model_card(record).partition("\n---\n")[2].strip()
    yield from ("", "<details><summary>Model card</summary>", "", card, "", "</details>")


def _seconds(run: StageRun) -> str:
    return "" if run.seconds is None else duration(run.seconds)


def _said(run: StageRun) -> str:
    if run.reused_from is not None:
        return f"as in {run.taken_from}: nothing changed"
    return "<br>".join(markdown(line) for line in reasons(run.verdict)) if run.verdict else ""


def _problem(problem: ProblemRecord) -> Iterator[str]:
    yield from ("", f"**{markdown(problem.sentence)}** {markdown(problem.next_step)}".rstrip())
    if problem.tail:
        yield from ("", *code("\n".join(problem.tail), "text"))


def _plan(record: ReleaseRecord) -> Iterator[str]:
    """What the deploy changes, or would."""
    if record.deploy is None:
        return
    changes = [change for change in record.deploy.plan.changes if change.action != "none"]
    if not changes:
        yield from ("", "Nothing changes in the cluster.")
        return
    rows = [(change.action, markdown(f"{change.kind} {change.name}")) for change in changes]
    yield from ("", "### In the cluster", *markdown_table(("what", "object"), rows))
    diff = "\n".join(change.diff for change in changes if change.action == "change" and change.diff)
    if diff:
        cut = diff[:MOST_DIFF] + ("\n…" if len(diff) > MOST_DIFF else "")
        yield from ("", *code(cut, "diff"))
