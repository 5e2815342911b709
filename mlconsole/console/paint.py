"""Text as lines with style names of the theme. Foreign text is only ever text here: nothing parses it.

Style names are Textual's own variables, so that dark, light and user themes work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from mlconsole.evidence.base import GateLevel, Verdict
from mlconsole.evidence.release import ProblemRecord, ReleaseState, StageState
from mlconsole.present import Block, Table
from mlconsole.present.causes import likely_cause
from mlconsole.text import clean

MOST_TAIL = 20
"""So many of a command's last lines are shown with its problem."""
MOST_LABEL = 16
_LABEL = re.compile(r" {2,}|\S+(?: \S+)? {2,}")

GOOD = "$text-success"
BAD = "$text-error"
WARN = "$text-warning"
BUSY = "$text-primary"
DIM = "$dim"
FAINT = "$faint"
STRONG = "bold"
KEY = "bold $text-accent"

STATE_STYLES: dict[StageState | ReleaseState | None, str] = {
    "running": BUSY,
    "done": GOOD,
    "reused": GOOD,
    "skipped": WARN,
    "waiting": WARN,
    "paused": WARN,
    "interrupted": WARN,
    "refused": BAD,
    "failed": BAD,
    "cancelled": DIM,
    None: FAINT,
}
LEVEL_STYLES: dict[GateLevel, str] = {"pass": GOOD, "warn": WARN, "fail": BAD}
LEVEL_GLYPHS: dict[GateLevel, str] = {"pass": "✓", "warn": "!", "fail": "✗"}

Part = str | Content | tuple[str, str]


def line(*parts: Part) -> Content:
    """One line of text and (text, style) pairs; whatever the text is, it stays on the line and drives no terminal."""
    return Content.assemble(*(_safe(part) for part in parts))


def _safe(part: Part) -> Part:
    if isinstance(part, Content):
        return part
    return one_line(part) if isinstance(part, str) else (one_line(part[0]), part[1])


def one_line(text: str) -> str:
    """Text without escapes, tabs and line ends."""
    if text.isascii() and text.isprintable():
        return text
    return clean(text).expandtabs(4).replace("\n", " ")


def blank() -> Content:
    """An empty line."""
    return Content("")


def fit(text: str, width: int) -> str:
    """Cut or pad a text to just `width` cells, its cut end marked with an ellipsis."""
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1) + "…" if cell_len(text) > width else set_cell_size(text, width)


def fit_end(text: str, width: int) -> str:
    """Cut a text's beginning or pad its end to just `width` cells: of a pod's name the end tells it from others."""
    if cell_len(text) <= width:
        return fit(text, width)
    while cell_len(text) > width - 1:
        text = text[1:]
    return fit("…" + text, width)


def cut(text: str, width: int) -> str:
    """Cut a text to at most `width` cells, its cut end marked with an ellipsis."""
    return fit(text, width) if cell_len(text) > width else text


def whole_words(text: str, width: int) -> str:
    """As many of a text's first words as fit into `width` cells, marked with an ellipsis where that is not all."""
    if cell_len(text) <= width:
        return text
    words = text.split(" ")
    while words and cell_len(" ".join(words)) + 2 > width:
        words.pop()
    return f"{' '.join(words).rstrip(',')} …" if words else ""


def fit_line(content: Content, width: int) -> Content:
    """Cut or pad a line to just `width` cells."""
    return content.truncate(max(width, 0), ellipsis=True, pad=True)


def split(left: Content, right: Content, width: int) -> Content:
    """A line with a left and a right part; the left one is cut where both don't fit."""
    room = max(width - right.cell_length - (1 if right.cell_length else 0), 0)
    return Content.assemble(fit_line(left, room), " " if right.cell_length else "", right)


class Below(Content):
    """A further line of a paragraph that was wrapped.

    `indent` cells are before its own text, and `gap` is what the paragraph has between the line above and that text.
    """

    __slots__ = ("gap", "indent")

    def __init__(self, part: Content, indent: int, gap: str) -> None:
        hanging = Content(" " * indent) + part
        super().__init__(hanging.plain, list(hanging.spans), hanging.cell_length)
        self.indent = indent
        self.gap = gap


def wrapped(content: Content, width: int, *, indent: int = 0) -> list[Content]:
    """A paragraph in lines of at most `width` cells; what follows its first `indent` cells hangs below itself."""
    if content.cell_length <= width:
        return [content]
    first, *rest = (part.rstrip() for part in content[indent:].wrap(max(width - indent, 8)))
    lines, left = [Content.assemble(content[:indent], first)], content.plain[indent + len(first.plain) :]
    for part in rest:
        text = left.lstrip()
        lines.append(Below(part, indent, left[: len(left) - len(text)]))
        left = text[len(part.plain) :]
    return lines


def heading(title: str, note: str = "") -> Content:
    """The heading of a section, with a note in small voice."""
    return line((title, "bold $text-accent"), (f"  {note}" if note else "", DIM))


def keys(pairs: Iterable[tuple[str, str]]) -> Content:
    """Keys and what they do: `a approve  c cancel`."""
    return Content("  ").join([line((key, KEY), f" {words}") for key, words in pairs])


def keys_in(pairs: Iterable[tuple[str, str]], width: int, last: int = 1) -> Content:
    """The same in at most `width` cells: the last ones always, of the others as many of the first as fit."""
    every = [pair for pair in pairs if pair[0]]
    some, kept = every[:-last], every[-last:]
    while some and keys([*some, *kept]).cell_length > width:
        some.pop()
    return keys([*some, *kept])


def bar(fraction: float, width: int) -> Content:
    """A progress bar of `width` cells, in eighths of a cell."""
    eighths = round(min(max(fraction, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    filled = "█" * full + ("▏▎▍▌▋▊▉"[part - 1] if part else "")
    return line((filled, BUSY), ("░" * (width - len(filled)), FAINT))


def problem_lines(problem: ProblemRecord, width: int) -> list[Content]:
    """A problem as a panel shows it: what failed, why that may be, the next step, the command and its last lines."""
    lines = wrapped(line(("✗ ", BAD), (problem.sentence, f"bold {BAD}")), width, indent=2)
    if cause := likely_cause(problem.tail):
        lines += wrapped(line(("  Likely: ", WARN), cause), width, indent=2)
    if problem.next_step:
        lines += wrapped(line(("→ ", KEY), problem.next_step), width, indent=2)
    if problem.command:
        lines += [blank(), *wrapped(line(("$ ", DIM), problem.command), width, indent=2)]
    if problem.tail:
        shown = problem.tail[-MOST_TAIL:]
        lines += [blank(), heading("Last lines"), *(line(("│ ", FAINT), text) for text in shown)]
    return lines


def verdict_lines(verdict: Verdict, width: int) -> list[Content]:
    """What a gate found, the worst first."""
    if not verdict.reasons:
        return [line((f"{LEVEL_GLYPHS[verdict.level]} ", LEVEL_STYLES[verdict.level]), "The gate passed.")]
    order: tuple[GateLevel, ...] = ("fail", "warn", "pass")
    lines: list[Content] = []
    for reason in sorted(verdict.reasons, key=lambda reason: order.index(reason.level)):
        sign = (f"{LEVEL_GLYPHS[reason.level]} ", LEVEL_STYLES[reason.level])
        lines += wrapped(line(sign, reason.sentence), width, indent=2)
        if reason.next_step:
            lines += wrapped(line(("  → ", KEY), (reason.next_step, DIM)), width, indent=4)
    return lines


def block_lines(blocks: Sequence[Block], width: int) -> list[Content]:
    """Evidence as sections, with an empty line between them."""
    lines: list[Content] = []
    for block in blocks:
        if lines:
            lines.append(blank())
        if isinstance(block, Table):
            lines += table_lines(block, width)
            continue
        if block.title:
            lines.append(heading(block.title))
        for text in block.lines:
            lines += wrapped(line(text), width, indent=hanging(text))
    return lines


def hanging(text: str) -> int:
    """The cells below which the rest of a wrapped line hangs: those of its label, or its own indent."""
    found = _LABEL.match(text)
    return found.end() if found and found.end() <= MOST_LABEL else 2


def table_lines(table: Table, width: int) -> list[Content]:
    """A small table in full; where it does not fit, empty columns and then its widest one of words give way."""
    table = _without_empty(table, width)
    widths = column_widths(table.columns, table.rows, table.numeric, width)
    lines = [heading(table.title)] if table.title else []
    lines.append(line((_row(table.columns, widths, table.numeric), DIM)))
    return lines + [line(_row(row, widths, table.numeric)) for row in table.rows]


def _without_empty(table: Table, width: int, gap: int = 2) -> Table:
    """A table that is too wide without the columns in which nothing is."""
    filled = natural_widths(table.rows, len(table.columns))
    natural = natural_widths([table.columns, *table.rows], len(table.columns))
    if not any(filled) or all(filled) or sum(natural) + gap * (len(natural) - 1) <= width:
        return table
    kept = [column for column, wide in enumerate(filled) if wide]
    return Table(
        table.title,
        tuple(table.columns[column] for column in kept),
        tuple(tuple(row[column] if column < len(row) else "" for column in kept) for row in table.rows),
        frozenset(place for place, column in enumerate(kept) if column in table.numeric),
    )


def column_widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], whole: frozenset[int], width: int, gap: int = 2
) -> list[int]:
    """The width of each column in cells, such that a row fits into `width` where that can be.

    Columns in `whole` are never cut; of the others the widest give way, the first one last.
    """
    return fit_widths(natural_widths([columns, *rows], len(columns)), whole, width, gap)


def natural_widths(rows: Iterable[Sequence[str]], columns: int) -> list[int]:
    """How wide the widest cell of each column is."""
    widths = [0] * columns
    for row in rows:
        for index, text in enumerate(row[:columns]):
            length = len(text) if text.isascii() else cell_len(text)
            if length > widths[index]:
                widths[index] = length
    return widths


def fit_widths(natural: Sequence[int], whole: frozenset[int], width: int, gap: int = 2) -> list[int]:
    """Columns' widths, made smaller where they don't fit into `width`, as `column_widths` says."""
    widths = list(natural)
    for floors in ((24, 8), (10, 6)):
        least = [
            wide if index in whole else min(wide, floors[0] if index == 0 else floors[1])
            for index, wide in enumerate(widths)
        ]
        while (over := sum(widths) + gap * (len(widths) - 1) - width) > 0:
            most = max(range(len(widths)), key=lambda index: widths[index] - least[index])
            if widths[most] <= least[most]:
                break
            widths[most] -= min(widths[most] - least[most], over)
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], numeric: frozenset[int]) -> str:
    parts = []
    for index, wide in enumerate(widths):
        text = cells[index] if index < len(cells) else ""
        parts.append(" " * max(wide - cell_len(text), 0) + cut(text, wide) if index in numeric else fit(text, wide))
    return "  ".join(parts).rstrip()


def diff_line(text: str) -> Content:
    """One line of a unified diff: its sign says what colour repeats."""
    if text.startswith("@@"):
        return line((text, "$text-accent"))
    if text.startswith(("+++", "---")):
        return line((text, f"bold {DIM}"))
    if text.startswith("+"):
        return line((text, GOOD))
    if text.startswith("-"):
        return line((text, BAD))
    return line((text, DIM))
