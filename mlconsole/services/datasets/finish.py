"""From the summary of a column to its profile."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from mlconsole.evidence.data import ColumnKind, ColumnProfile
from mlconsole.services.datasets.notation import are_mostly_numbers, number_formats
from mlconsole.services.datasets.summaries import (
    DISTINCT_LIMIT,
    QUANTILES,
    DateSummary,
    GapSummary,
    NumberSummary,
    Summary,
    TextSummary,
)
from mlconsole.text import clean_line

ALWAYS_CATEGORY = 20
MOST_CATEGORIES = 1000
FEW_OTHERS = 0.1
"""The part of the texts that may be no dates, in a column of dates."""

_FORMATS = {
    "year_first": r"\d{4}-\d\d?-\d\d?",
    "year_slashes": r"\d{4}/\d\d?/\d\d?",
    "dots": r"\d\d?\.\d\d?\.\d{2,4}",
    "slashes": r"\d\d?/\d\d?/\d{2,4}",
    "dashes": r"\d\d?-\d\d?-\d{2,4}",
    "day_month": r"\d\d?[ -][A-Z][a-z]{2,8}\.?[ -]\d{2,4}",
    "month_day": r"[A-Z][a-z]{2,8}\.? \d\d?,? \d{4}",
}
_DATE = re.compile(
    rf"(?:{'|'.join(f'(?P<{name}>{form})' for name, form in _FORMATS.items())})"
    r"(?P<time>[T ]\d\d?:\d\d[\d:.,]*(?: [AP]M)?)?(?P<zone> ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
)


def column_profile(name: str, kind: Any, summary: Summary) -> ColumnProfile:
    """Put a column's summary in the form of the record; `kind` is its Arrow type."""
    shown, type_name = clean_line(name), str(kind)
    missing = summary.rows - summary.present
    if not summary.present:
        return ColumnProfile(name=shown, kind="empty", type=type_name, rows=summary.rows, missing=missing, distinct=0)
    if isinstance(summary, NumberSummary):
        return _numbers(shown, type_name, summary, missing)
    if isinstance(summary, TextSummary):
        return _texts(shown, type_name, summary, missing)
    if isinstance(summary, DateSummary):
        return ColumnProfile(
            name=shown,
            kind="date",
            type=type_name,
            rows=summary.rows,
            missing=missing,
            distinct=len(summary.tally.values) if summary.tally else min(DISTINCT_LIMIT, summary.present),
            distinct_exact=summary.tally is not None,
            earliest=_iso(summary.earliest),
            latest=_iso(summary.latest),
        )
    assert isinstance(summary, GapSummary)
    return ColumnProfile(
        name=shown,
        kind="text",
        type=type_name,
        rows=summary.rows,
        missing=missing,
        distinct=1,
        distinct_exact=False,
    )


def _numbers(name: str, type_name: str, summary: NumberSummary, missing: int) -> ColumnProfile:
    sample = np.concatenate(summary.sample)
    sample = sample[np.isfinite(sample)]
    quantiles: tuple[float, ...] = ()
    distinct, histogram = DISTINCT_LIMIT, None
    if summary.tally is not None:
        distinct = len(summary.tally.values)
        quantiles = summary.tally.quantiles() if summary.count else ()
    elif len(sample):
        distinct = max(DISTINCT_LIMIT, len(np.unique(sample)))
        with np.errstate(over="ignore", invalid="ignore"):
            quantiles = tuple(float(value) for value in np.quantile(sample, QUANTILES))
    if summary.grid is not None:
        histogram = summary.grid.histogram(summary.minimum, summary.maximum)
    deviation = math.sqrt(summary.squares / (summary.count - 1)) if summary.count > 1 else 0.0
    return ColumnProfile(
        name=name,
        kind="integer" if summary.whole else "number",
        type=type_name,
        rows=summary.rows,
        missing=missing,
        distinct=distinct,
        distinct_exact=summary.tally is not None,
        minimum=summary.minimum if summary.count else None,
        maximum=summary.maximum if summary.count else None,
        mean=summary.mean if summary.count and math.isfinite(summary.mean) else None,
        deviation=deviation if summary.count and math.isfinite(deviation) else None,
        quantiles=quantiles if all(map(math.isfinite, quantiles)) else (),
        histogram=histogram,
        top=summary.tally.top() if summary.tally is not None and distinct <= ALWAYS_CATEGORY else (),
        infinite=summary.present - summary.count,
    )


def _texts(name: str, type_name: str, summary: TextSummary, missing: int) -> ColumnProfile:
    distinct = len(summary.tally) if summary.tally is not None else min(DISTINCT_LIMIT, summary.present)
    kind: ColumnKind = "text"
    texts = (summary.tally or summary.examples) if type_name != "bool" else ()
    if type_name == "bool":
        kind = "boolean"
    elif summary.tally is not None and is_category(distinct, summary.present):
        kind = "category"
    return ColumnProfile(
        name=name,
        kind=kind,
        type=type_name,
        rows=summary.rows,
        missing=missing,
        distinct=distinct,
        distinct_exact=summary.tally is not None,
        top=summary.top() if kind != "text" else (),
        date_formats=date_formats(texts),
        number_formats=number_formats(texts),
        mostly_numbers=are_mostly_numbers(texts),
    )


def date_formats(texts: Iterable[str]) -> tuple[str, ...]:
    """An example of each format, where texts are dates in several: then no reader takes the column for dates."""
    found: dict[tuple[str, bool, bool], str] = {}
    looked_at = others = 0
    for text in itertools.islice(texts, MOST_CATEGORIES):
        looked_at += 1
        match = _DATE.fullmatch(text)
        if match is None:
            others += 1
            if others > FEW_OTHERS * MOST_CATEGORIES:
                return ()
            continue
        form = next(name for name in _FORMATS if match[name])
        found.setdefault((form, bool(match["time"]), bool(match["zone"])), clean_line(text))
    return tuple(found.values()) if len(found) > 1 and others <= FEW_OTHERS * looked_at else ()


def is_category(distinct: int, present: int) -> bool:
    """Few values that repeat are categories; texts that hardly ever repeat are not, such as names and identifiers."""
    if present >= 10 and distinct > present * 0.9:
        return False
    return distinct <= ALWAYS_CATEGORY or (distinct <= MOST_CATEGORIES and distinct * 10 <= present)


def _iso(moment: Any) -> str:
    """An Arrow date or moment as ISO text, to the second or as fine as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(moment.type):
        return str(moment.cast(pa.date32()).as_py().isoformat())
    text = str(pc.strftime(moment.cast(pa.timestamp("us", tz=moment.type.tz), safe=False), "%Y-%m-%dT%H:%M:%S").as_py())
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{'.' + fraction if fraction else ''}{'Z' if moment.type.tz else ''}"
