"""A model card: what a person who did not make a model should read before using it, in Markdown.

Sections after Mitchell et al., Model Cards for Model Reporting (2019); the head is the YAML that model hubs read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.testing import TestEvidence
from mlconsole.evidence.training import TrainEvidence
from mlconsole.present.stages import comparison_lines, final_metrics, further_table, test_fact
from mlconsole.present.words import reasons, word
from mlconsole.text import clean_line, count, number, size


def model_card(record: ReleaseRecord) -> str:
    """A release's model card. What it says was measured; nothing is promised that the record does not hold."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: ReleaseRecord) -> Iterator[str]:
    release, version = record.release, record.version
    name = version.label if version else f"release {release.number}"
    yield from ("---", f"model_name: {json.dumps(name)}", "tags: [mlconsole]", "---", "", f"# {markdown(name)}", "")
    moment = f"{release.started_at:%Y-%m-%d %H:%M} UTC"
    state = f"Release {release.number} ({release.kind}, {word(release.state)}), begun {moment} by {release.started_by}."
    yield markdown(state)
    if release.reason:
        yield markdown(f"Reason: {release.reason}")
    yield from _origin(record)
    if record.train is not None:
        yield from _training(record.train)
    if record.data is not None:
        yield from _data(record.data)
    if record.test is not None:
        yield from _evaluation(record.test)
    yield from _judgement(record)
    yield from _serving(record)


def _origin(record: ReleaseRecord) -> Iterator[str]:
    rows = []
    if record.version is not None:
        model = record.version.model
        rows.append(("model file", f"{model.filename}, {model.amount}, `{model.digest}`"))
        if record.version.origin:
            rows.append(("imported from", markdown(record.version.origin)))
    repo = record.repo
    if repo is not None and repo.commit is not None:
        dirty = f", with {count(len(repo.dirty), 'file')} not committed" if repo.dirty else ""
        is_imported = record.version is not None and bool(record.version.origin)
        title = "tests and manifests of commit" if is_imported else "commit"
        rows.append((title, f"`{repo.commit.sha}` {markdown(repo.commit.subject)}{dirty}"))
        rows.append(("repository", markdown(repo.url or "(no remote)")))
    if record.data is not None:
        rows.append(("data", f"`{record.data.profile.identity.digest}`"))
    if record.train is not None and record.train.environment.found != "elsewhere":
        environment = record.train.environment
        packages = count(len(environment.packages), "package")
        rows.append(("environment", f"Python {environment.version}, {packages}, `{environment.digest}`"))
    if record.deploy is not None:
        rows.append(("manifests", f"`{record.deploy.plan.manifests_digest}`"))
    yield from _section("Where it comes from", ("part", "what"), rows)


def _training(train: TrainEvidence) -> Iterator[str]:
    yield from ("", "## Training", "", *code(train.command))
    rows = [(markdown(entry.name), markdown(entry.value)) for entry in train.parameters]
    yield from markdown_table(("parameter", "value"), rows)
    metrics = [(markdown(metric.name), number(metric.value)) for metric in final_metrics(train.metrics)]
    yield from markdown_table(("metric, as training printed it", "value"), metrics)


def _data(data: DataEvidence) -> Iterator[str]:
    profile = data.profile
    files = [(markdown(file.path), size(file.size), f"`{file.digest}`") for file in profile.identity.files]
    yield from _section("Training data", ("file", "size", "digest"), files)
    target = f" The target is `{markdown(profile.target)}`." if profile.target else ""
    yield from ("", f"{count(profile.rows, 'row')}, {count(len(profile.columns), 'column')}.{target}")
    rows = []
    for column in profile.columns:
        least, most = column.earliest, column.latest
        if column.minimum is not None and column.maximum is not None:
            least, most = number(column.minimum), number(column.maximum)
        rows.append((markdown(column.name), column.kind, f"{column.missing:,}", f"{column.distinct:,}", least, most))
    yield from markdown_table(("column", "kind", "missing", "distinct", "least", "most"), rows)
    if data.violations:
        yield from ("", "Rules that it breaks:", "", *(f"- {markdown(broken.sentence)}" for broken in data.violations))


def _evaluation(test: TestEvidence) -> Iterator[str]:
    yield from ("", "## Evaluation", "", f"{test_fact(test.run)} of {count(test.run.collected, 'test')}.")
    lines = comparison_lines(test.comparison) if test.comparison else (test.not_compared,)
    if any(lines):
        yield from ("", *(markdown(line) for line in lines))
    if test.holdout:
        yield from ("", "They were compared on rows of:", "")
        yield from (f"- {markdown(file.path)}, `{file.digest}`" for file in test.holdout)
    if test.further:
        table = further_table(test.further)
        yield from markdown_table(table.columns, [tuple(markdown(cell) for cell in row) for row in table.rows])
    metrics = [(markdown(metric.name), number(metric.value)) for metric in test.run.metrics]
    yield from markdown_table(("measured by the tests", "value"), metrics)
    outcomes = [(markdown(test.nodeid), test.outcome) for test in test.run.outcomes]
    yield from markdown_table(("test", "outcome"), outcomes)


def _judgement(record: ReleaseRecord) -> Iterator[str]:
    found = [f"{run.stage}: {line}" for run in record.stages if run.verdict for line in reasons(run.verdict)]
    decided = [
        (f"{made.at:%Y-%m-%d %H:%M} UTC", markdown(made.who), f"{made.kind} {made.stage}", markdown(made.reason))
        for made in record.decisions
    ]
    if not found and not decided:
        return
    yield from ("", "## Limits and decisions", "", *(f"- {markdown(line)}" for line in found))
    yield from markdown_table(("when", "who", "what", "why"), decided)


def _serving(record: ReleaseRecord) -> Iterator[str]:
    pods = record.pods
    if pods is None:
        return
    rows = [(markdown(row.name), markdown(row.owner), row.ready, markdown(row.version)) for row in pods.rows]
    yield from _section("Serving", ("pod", "replica set", "ready", "version"), rows)
    target = pods.target
    yield from ("", markdown(f"Context {target.context}, namespace {target.namespace}, selector {target.selector}."))


def _section(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", f"## {title}", *markdown_table(columns, rows)]


def markdown_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A table with an empty line before it; nothing where it has no rows."""
    if not rows:
        return []
    lines = [columns, tuple("---" for _ in columns), *rows]
    return ["", *("| " + " | ".join(cells) + " |" for cells in lines)]


def code(text: str, language: str = "sh") -> list[str]:
    """A block of code that its own text can't end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + language, text, fence]


def markdown(text: str) -> str:
    """Foreign text as Markdown that says just that: no markup of its own."""
    return re.sub(r"([\\`*\[\]<>|#]|(?<!\w)_|_(?!\w))", r"\\\1", clean_line(text))
