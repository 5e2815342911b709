"""Is this data fit to train on, and is it new? Findings first, then a row for each column, beside the champion's."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from textual.content import Content
from textual.widget import Widget

from mlconsole.console.bars import side_by_side, word
from mlconsole.console.column_lines import column_lines, worst_level
from mlconsole.console.paint import (
    BUSY,
    DIM,
    LEVEL_GLYPHS,
    LEVEL_STYLES,
    STRONG,
    WARN,
    blank,
    heading,
    line,
    problem_lines,
    wrapped,
)
from mlconsole.console.panels.base import Panel, command_lines, quiet, run_lines, sections
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.trigger_lines import waiting_lines
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.table import Row, Table
from mlconsole.evidence.base import Reason
from mlconsole.evidence.data import ColumnProfile, DataEvidence, DriftReport
from mlconsole.evidence.release import StageRun
from mlconsole.present import blocks
from mlconsole.text import count, listed, number, shorten, size

MOST_FILES = 40
BINS = 10
MOST_VALUES = 26
"""Letters for what a column holds; the table has room for other columns then."""
LOW = 18
"""Below this height of the panel, the table needs the room: findings are said in short."""
COLUMNS = ("column", "kind", "missing", "distinct", "values", "now", "before", "drift")


class DataPanel(Panel):
    """What is wrong and what is new above, a row for each column below; Enter on a row shows the column in full."""

    stage = "data"
    DEFAULT_CSS = """
    DataPanel Document { height: auto; }
    DataPanel.-no-profile Document { height: 1fr; max-height: 100%; }
    DataPanel Table { margin-top: 1; }
    DataPanel.-no-profile Table { display: none; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = Document()
        self.table = Table(COLUMNS, numeric=frozenset({2, 3}), whole=frozenset({1, 5, 6, 7}), spare=(3, 1, 2, 6, 4, 7))
        self._drawn: tuple[object, ...] = ()

    def body(self) -> Iterator[Widget]:
        """The document over the table."""
        yield self.document
        yield self.table

    @property
    def target(self) -> Widget:
        """The table where there is a profile."""
        return self.document if self.has_class("-no-profile") else self.table

    def draw(self, view: View) -> None:
        """Bring both up to a view."""
        evidence = evidence_of(view)
        self.set_class(evidence is None, "-no-profile")
        low = self.size.height < LOW
        run, before = view.run("data"), view.related.reference_data
        drawn = (
            run,
            before,
            self.size.height,
            view.data if evidence is None else None,
            view.story if evidence is None else None,
            view.triggers if view.triggers.open else None,
        )
        if self._drawn and all(new is old for new, old in zip(drawn, self._drawn, strict=True)):
            return
        self._drawn = drawn
        # the document gets what the table leaves, and half of the panel at least
        rows = len(evidence.profile.columns) + 3 if evidence is not None else 0
        self.document.styles.max_height = max(self.size.height - rows, self.size.height // 2 - 1, 3)
        self.document.show(lambda width: data_lines(view, width, low=low))
        if evidence is not None:
            self.table.show(column_rows(evidence, before))

    def on_resize(self) -> None:
        """Say more or less, as there is room."""
        self.draw(self.view)

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a column."""
        message.stop()
        evidence, related = evidence_of(self.view), self.view.related
        if evidence is None:
            return
        column = next((found for found in evidence.profile.columns if found.name == message.key), None)
        if column is not None:
            before, label = related.reference_data, related.reference
            self.app.push_screen(
                DetailScreen(
                    f"Column {column.name}", lambda width: column_lines(column, evidence, before, label, width)
                )
            )


_FIT = line((f"{LEVEL_GLYPHS['pass']} ", LEVEL_STYLES["pass"]), "Nothing is wrong with it.")


def evidence_of(view: View) -> DataEvidence | None:
    """The data evidence of the shown release."""
    run = view.run("data")
    return run.evidence if run is not None and isinstance(run.evidence, DataEvidence) else None


def data_lines(view: View, width: int, *, low: bool = False) -> list[Content]:
    """All that is above the table."""
    run, evidence = view.run("data"), evidence_of(view)
    if run is not None and evidence is not None:
        head = _head(evidence, width)
        if low:
            return [*head[:2], *_findings_in_short(run, view.registry["zoom"].way, width)]
        waiting = [] if view.past else waiting_lines(view, width)
        return sections(
            head, waiting, _findings(run, evidence, width), _drift(evidence, width), command_lines(run, view, width)
        )
    if run is not None and run.state == "running":
        return sections(quiet("The data is being read …"), _notes(view))
    if view.past:
        return run_lines(run, width)
    return sections(run_lines(run, width), waiting_lines(view, width), _files(view, width, unread=run is None))


def _head(evidence: DataEvidence, width: int) -> list[Content]:
    """The evidence's own first block, without its title."""
    profile = evidence.profile
    shape = f"{count(profile.rows, 'row')}, {count(len(profile.columns), 'column')}"
    files = listed([file.path for file in profile.identity.files])
    lines = [line((shape, STRONG), f", {size(profile.identity.size)} in {files}")]
    first = next(iter(blocks(evidence)))
    told = [text for text in getattr(first, "lines", ())[1:] if not text.startswith("digest")]
    digest = [text for text in getattr(first, "lines", ())[1:] if text.startswith("digest")]
    return [
        *lines,
        *(part for text in told for part in wrapped(line(text), width, indent=2)),
        *(line((text, DIM)) for text in digest),
    ]


def _findings(run: StageRun, evidence: DataEvidence, width: int) -> list[Content]:
    """What the gate says, each broken rule with rows that break it."""
    if run.verdict is None or not run.verdict.reasons:
        return [*([_FIT] if run.verdict is not None else []), *run_lines(run, width)]
    examples = {broken.sentence: broken.examples for broken in evidence.violations}
    order = ("fail", "warn", "pass")
    lines = [heading("Gate", _counted(run))]
    for reason in sorted(run.verdict.reasons, key=lambda reason: order.index(reason.level)):
        lines += _reason(reason, width)
        if rows := examples.get(reason.sentence):
            lines += wrapped(line(("  such as ", DIM), (", ".join(rows), DIM)), width, indent=4)
    rest = run_lines(_without_verdict(run), width)
    return [*lines, *rest]


def _without_verdict(run: StageRun) -> StageRun:
    return msgspec.structs.replace(run, verdict=None)


def _reason(reason: Reason, width: int) -> list[Content]:
    sign = (f"{LEVEL_GLYPHS[reason.level]} ", LEVEL_STYLES[reason.level])
    return wrapped(line(sign, reason.sentence), width, indent=2)


def _counted(run: StageRun) -> str:
    reasons = run.verdict.reasons if run.verdict else ()
    failing = sum(reason.level == "fail" for reason in reasons)
    warning = sum(reason.level == "warn" for reason in reasons)
    return ", ".join(
        filter(None, [count(failing, "failure") if failing else "", count(warning, "warning") if warning else ""])
    )


def _findings_in_short(run: StageRun, zoom: str, width: int) -> list[Content]:
    """The worst finding, and how many more there are."""
    reasons = sorted(run.verdict.reasons, key=lambda reason: reason.level != "fail") if run.verdict else []
    if not reasons:
        return [_FIT]
    more = f"and {count(len(reasons) - 1, 'more finding')}: {zoom} gives them room" if len(reasons) > 1 else ""
    return [*_reason(reasons[0], width)[:2], *([line((more, DIM))] if more else [])]


def _drift(evidence: DataEvidence, width: int) -> list[Content]:
    """Which columns drift, and how far, in a line for each kind of rows that was compared."""
    lines: list[Content] = []
    for report in evidence.drift:
        lines += wrapped(_drift_line(report), width, indent=2)
    if not lines:
        return []
    note = "an effect that matters and that chance does not explain; Enter on a column tells more"
    return [heading("Drift", note if width >= 100 else ""), *lines]


def _drift_line(report: DriftReport) -> Content:
    what = "All rows" if report.part == "all rows" else "New rows alone"
    against = f"{report.rows:,} against {report.rows_before:,} of {report.reference}"
    if not report.enough:
        return line(("· ", DIM), f"{what}: {against}: ", ("not enough to tell", STRONG))
    tested = len({test.column for test in report.tests})
    drifting = report.columns_at("warn", "fail")
    level = "fail" if report.columns_at("fail") else "warn" if drifting else "pass"
    sign = LEVEL_GLYPHS["warn" if drifting else "pass"]
    words = (
        f"{len(drifting)} of {count(tested, 'column')} drift"
        if drifting
        else f"none of {count(tested, 'column')} drifts"
    )
    far = report.columns_at("fail")
    strongly = f", strongly {listed(far, 4)}" if level == "fail" else ""
    return line(
        (f"{sign} ", WARN if drifting else LEVEL_STYLES["pass"]),
        f"{what}: ",
        (words, STRONG),
        strongly,
        (f"  ({against})", DIM),
    )


def column_rows(evidence: DataEvidence, before: DataEvidence | None) -> list[Row]:
    """A row for each column: what it holds, how it is distributed now and in the champion's data, whether it drifts."""
    earlier = {column.name: column for column in before.profile.columns} if before else {}
    return [_column_row(column, earlier.get(column.name), evidence) for column in evidence.profile.columns]


def _column_row(column: ColumnProfile, before: ColumnProfile | None, evidence: DataEvidence) -> Row:
    target = column.name == evidence.profile.target
    level = worst_level(column.name, evidence)
    sign = LEVEL_GLYPHS[level] if level != "pass" else " "
    name = f"{sign} {column.name}" + (" (target)" if target else "")
    missing = f"{column.missing / column.rows:.1%}" if column.missing and column.rows else ""
    distinct = f"{column.distinct:,}" if column.distinct_exact else f"≥{column.distinct:,}"
    _, parts = side_by_side([column, before], BINS)
    effect, style = drift_words(column.name, evidence)
    cells = (name, column.kind, missing, distinct, values_of(column), word(parts[0]), word(parts[1]), effect)
    # a finding's colour repeats its sign
    name_style = LEVEL_STYLES[level] if level != "pass" else STRONG if target else ""
    return Row(column.name, cells, (name_style, DIM, WARN if missing else "", DIM, "", BUSY, DIM, style))


def values_of(column: ColumnProfile) -> str:
    """What a column holds in a few words: its range and mean, or its most frequent values."""
    if column.minimum is not None and column.maximum is not None:
        mean = f", mean {number(column.mean)}" if column.mean is not None else ""
        return f"{number(column.minimum)} … {number(column.maximum)}{mean}"
    if column.earliest or column.latest:
        return f"{column.earliest} … {column.latest}"
    present = max(column.rows - column.missing, 1)
    words = ""
    for found in column.top:
        more = f"{', ' if words else ''}{shorten(found.value, 12)} {found.count / present:.0%}"
        if words and len(words) + len(more) > MOST_VALUES:
            break
        words += more
    return words


def drift_words(name: str, evidence: DataEvidence) -> tuple[str, str]:
    """Whether a column drifts, by its worst test over all rows, or the new ones where only these drift."""
    for report in evidence.drift:
        tests = [test for test in report.tests if test.column == name and test.level != "pass"]
        if tests:
            worst = max(tests, key=lambda test: (test.level == "fail", test.effect / (test.threshold or 1.0)))
            if report.part == "new rows":
                return "new rows", WARN
            return "strongly" if worst.level == "fail" else "yes", WARN
    compared = any(test.column == name for report in evidence.drift for test in report.tests)
    return ("no" if compared else "", DIM)


def _files(view: View, width: int, *, unread: bool) -> list[Content]:
    if view.data is None:
        return quiet("Looking for data …")
    if view.data.problem is not None:
        return problem_lines(view.data.problem, width)
    files = view.data.files
    total = sum(length for _, length in files)
    lines = [heading(view.project.settings.data.path, f"{count(len(files), 'file')}, {size(total)}")]
    lines += [line(f"{size(length):>9}  {path}") for path, length in files[:MOST_FILES]]
    if len(files) > MOST_FILES:
        lines.append(line((f"and {len(files) - MOST_FILES:,} more", DIM)))
    if target := view.project.settings.data.target:
        lines += [line((f"{'Target':<9}  ", DIM), target)]
    if unread:
        lines += [blank(), *quiet(f"Not profiled yet: run the stage with {view.registry['next_stage'].way}.")]
    return lines


def _notes(view: View) -> list[Content]:
    return [line((happening.words, DIM)) for happening in view.story.happenings if happening.stage == "data"][-5:]
