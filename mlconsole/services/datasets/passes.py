"""Passes over all rows of a data set, with the chunks parsed and summarized side by side in a few threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from mlconsole.services.datasets import summaries
from mlconsole.services.datasets.distributions import Column, Distributions
from mlconsole.services.datasets.finish import column_profile
from mlconsole.services.datasets.tables import Parse, Tables, Types, joined

THREADS = max(1, min(4, os.cpu_count() or 1))
SAMPLE_ROWS = 100_000
SAMPLE_VALUES = 4_000_000
LAG = 8
"""How many chunks later than it is known a column stops being tallied: more than are under way at any time, so that
which chunks are tallied, and with it the last digit of a mean, does not depend on the threads."""
SEED = 20_240_229

T = TypeVar("T")


def in_order(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Run tasks in a few threads, a few at a time, and yield their results in the order of the tasks."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="profile") as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(task))
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def find_types(tables: Tables) -> Types:
    """The narrowest type of each column that holds its values in all rows."""

    def types_of(parse: Parse) -> Types:
        return {field.name: field.type for field in parse().schema}

    found: Types = {column: pa.null() for column in tables.columns}
    for types in in_order(_bound(types_of, parse) for parse in tables.chunks(None)):
        found = joined([found, types], tables.columns)
    return found


def profile_rows(tables: Tables, types: Types) -> Distributions:
    """Profile the columns over all rows: their profiles in their order, each with the summary that it came from."""
    work = _Profiling(tables.columns, types)
    for chunk in in_order(work.task(index, parse) for index, parse in enumerate(tables.chunks(types))):
        work.add(*chunk)
    return work.finish()


def _bound(function: Callable[[Parse], T], parse: Parse) -> Callable[[], T]:
    return lambda: function(parse)


class _Profiling:
    """The summaries of all columns, and the sample of rows that their quantiles are taken from.

    Every row gets a random key; the rows with the smallest keys are the sample (Vitter's reservoir, in the form that
    merges). A chunk only has to hand over the rows that are below the largest key that is still in.
    """

    def __init__(self, columns: tuple[str, ...], types: Types) -> None:
        self._columns, self._types = columns, types
        self._summaries: list[summaries.Summary] = []
        self._keys: list[Any] = []
        self._kept = 0
        self._bound = 1.0
        self._open = [[True] * len(columns)]
        self._most = max(1000, min(SAMPLE_ROWS, SAMPLE_VALUES // max(len(columns), 1)))

    def task(self, index: int, parse: Parse) -> Callable[[], tuple[Any, list[summaries.Summary]]]:
        """What a thread does with one chunk: parse it and summarize its columns."""
        tallied = self._open[max(index - LAG, 0)]

        def run() -> tuple[Any, list[summaries.Summary]]:
            table = parse()
            keys = np.random.default_rng((SEED, index)).random(table.num_rows)
            chosen = np.flatnonzero(keys < self._bound)
            made = [
                summaries.summarize(one_array(table.column(name)), chosen, tallied=still)
                for name, still in zip(self._columns, tallied, strict=True)
            ]
            return keys[chosen], made

        return run

    def add(self, keys: Any, made: list[summaries.Summary]) -> None:
        """Merge the next chunk."""
        self._keys.append(keys)
        self._kept += len(keys)
        if not self._summaries:
            self._summaries = made
        else:
            for mine, theirs in zip(self._summaries, made, strict=True):
                mine.add(theirs)  # type: ignore[arg-type]
        still = [summary.open for summary in self._summaries]
        self._open.append(self._open[-1] if still == self._open[-1] else still)
        if self._kept > 2 * self._most:
            self._thin()

    def _thin(self) -> None:
        """Drop the rows of the sample with the largest keys."""
        keys = np.concatenate(self._keys)
        if len(keys) > self._most:
            keep = np.sort(np.argpartition(keys, self._most)[: self._most])
            self._bound = float(keys[keep].max())
        else:
            keep = np.arange(len(keys))
        self._keys, self._kept = [keys[keep]], len(keep)
        for summary in self._summaries:
            if isinstance(summary, summaries.NumberSummary):
                summary.sample = [np.concatenate(summary.sample)[keep]]

    def finish(self) -> Distributions:
        """The number of rows and the columns' profiles."""
        if not self._summaries:
            return Distributions(0, {})
        self._thin()
        made = zip(self._columns, self._summaries, strict=True)
        columns = [Column(column_profile(name, self._types[name], summary), summary) for name, summary in made]
        return Distributions(self._summaries[0].rows, {column.profile.name: column for column in columns})


def one_array(column: Any) -> Any:
    """A column of a table as one Arrow array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])
