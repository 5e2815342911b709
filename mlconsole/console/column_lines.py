"""One column of the data in full: its facts beside the champion's, its distribution, broken rules, drift in words."""

from __future__ import annotations

import math

from textual.content import Content

from mlconsole.console.bars import bar_of, side_by_side
from mlconsole.console.paint import (
    BUSY,
    DIM,
    LEVEL_GLYPHS,
    LEVEL_STYLES,
    STRONG,
    blank,
    cut,
    fit,
    heading,
    line,
    table_lines,
    wrapped,
)
from mlconsole.evidence.base import GateLevel
from mlconsole.evidence.data import ColumnDrift, ColumnProfile, DataEvidence
from mlconsole.present import Table
from mlconsole.text import count, number

MOST_BINS = 16
QUANTILES = ("least", "5%", "25%", "median", "75%", "95%", "most")


def worst_level(name: str, evidence: DataEvidence) -> GateLevel:
    """How bad the worst broken rule of a column is."""
    levels = {broken.level for broken in evidence.violations if broken.column == name}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"


def column_lines(
    column: ColumnProfile, evidence: DataEvidence, reference: DataEvidence | None, label: str, width: int
) -> list[Content]:
    """All lines of a column. `reference` is the data behind the version `label`."""
    before = None
    if reference is not None:
        before = next((found for found in reference.profile.columns if found.name == column.name), None)
    parts = [
        _facts(column, before, label, width),
        _distribution(column, before, label, width),
        _rules(column, evidence, width),
        _drift(column, evidence, width),
    ]
    lines: list[Content] = []
    for part in parts:
        if part:
            lines += [*([blank()] if lines else []), *part]
    return lines


def _facts(column: ColumnProfile, before: ColumnProfile | None, label: str, width: int) -> list[Content]:
    now, then = _fact_cells(column), _fact_cells(before) if before else {}
    rows = tuple((name, value, then.get(name, "")) for name, value in now.items())
    columns = ("", "now", label) if before else ("", "now")
    cells = tuple(row[: len(columns)] for row in rows)
    return table_lines(Table("", columns, cells, frozenset(range(1, len(columns)))), width)


def _fact_cells(column: ColumnProfile) -> dict[str, str]:
    cells = {"kind": f"{column.kind} ({column.type})", "rows": f"{column.rows:,}"}
    part = f" ({column.missing / column.rows:.1%})" if column.missing and column.rows else ""
    cells["missing"] = f"{column.missing:,}{part}"
    cells["distinct"] = f"{'' if column.distinct_exact else 'at least '}{column.distinct:,}"
    if column.mean is not None:
        cells["mean"] = number(column.mean)
    if column.deviation is not None:
        cells["deviation"] = number(column.deviation)
    if len(column.quantiles) == len(QUANTILES):
        quantiles = list(column.quantiles)
        cells |= {name: number(value) for name, value in zip(QUANTILES, quantiles, strict=True)}
    if column.minimum is not None and column.maximum is not None:
        cells |= {"least": number(column.minimum), "most": number(column.maximum)}
    if column.earliest:
        cells |= {"earliest": column.earliest, "latest": column.latest}
    return cells


def _distribution(column: ColumnProfile, before: ColumnProfile | None, label: str, width: int) -> list[Content]:
    labels, parts = side_by_side([column, before] if before else [column], MOST_BINS)
    if not labels:
        return []
    wide = min(max(len(text) for text in labels), max(width // 4, 10))
    room = max((width - wide - 2) // len(parts) - 10, 4)
    most = max(max(found, default=0.0) for found in parts)
    names = ["now", label][: len(parts)]
    title = " " * (wide + 2) + "  ".join(f"{name:<{room + 7}}" for name in names)
    lines = [heading("Distribution", "the part of the rows with a value"), line((title.rstrip(), DIM))]
    for place, text in enumerate(labels):
        cells: list[tuple[str, str]] = [(f"{fit(cut(text, wide), wide)}  ", "")]
        for number_of, found in enumerate(parts):
            style = BUSY if number_of == 0 else DIM
            cells += [
                (fit(bar_of(found[place], most, room), room), style),
                (f" {found[place]:>6.1%}  ", STRONG if number_of == 0 else DIM),
            ]
        lines.append(line(*cells).rstrip())
    return lines


def _rules(column: ColumnProfile, evidence: DataEvidence, width: int) -> list[Content]:
    found = [broken for broken in evidence.violations if broken.column == column.name]
    if not found:
        return []
    lines = [heading("Broken rules")]
    for broken in found:
        sign = (f"{LEVEL_GLYPHS[broken.level]} ", LEVEL_STYLES[broken.level])
        lines += wrapped(line(sign, broken.sentence), width, indent=2)
        lines += [line(("  │ ", DIM), example) for example in broken.examples]
    return lines


def _drift(column: ColumnProfile, evidence: DataEvidence, width: int) -> list[Content]:
    lines: list[Content] = []
    for report in evidence.drift:
        tests = [test for test in report.tests if test.column == column.name]
        if not tests:
            continue
        what = "all rows" if report.part == "all rows" else "the new rows alone"
        against = f"{count(report.rows, 'row')} against {report.rows_before:,} of {report.reference}"
        lines += [*([blank()] if lines else []), heading(f"Drift of {what}", against)]
        for test in tests:
            lines += drift_lines(test, width)
    if not lines and any(column.name in report.left_out for report in evidence.drift):
        return [
            heading("Drift"),
            line(("Not looked at: identifiers and free text have no distribution to compare.", DIM)),
        ]
    return lines


def drift_lines(test: ColumnDrift, width: int) -> list[Content]:
    """One test: what it found, its effect, and whether chance explains that."""
    level: GateLevel = "warn" if test.level != "pass" else "pass"
    far = "far beyond" if test.level == "fail" else "beyond" if test.effect >= test.threshold else "below"
    effect = f"effect {number(test.effect)}, {far} the {number(test.threshold)} that matters"
    sentence = test.sentence if test.level != "pass" else f"{test.test}: no drift"
    lines = wrapped(line((f"{LEVEL_GLYPHS[level]} ", LEVEL_STYLES[level]), sentence), width, indent=2)
    return [*lines, *wrapped(line(("  ", ""), (f"{effect}; {chance_words(test.p_value)}", DIM)), width, indent=2)]


def chance_words(p_value: float | None) -> str:
    """How often chance alone would show as much, in words."""
    if p_value is None:
        return "nothing is left to chance"
    if p_value >= 0.05:
        return f"chance alone shows as much in {p_value:.0%} of cases"
    if p_value <= 0:
        return "chance does not explain it"
    if p_value < 1e-6:
        return f"chance shows as much less than once in 10^{math.floor(-math.log10(p_value))} cases"
    return f"chance shows as much once in {round(1 / p_value):,} cases"
