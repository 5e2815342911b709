"""How often live traffic that does not drift is said to, and how soon a shift of half a deviation is told.

A trial is a stream of rows through `monitor_client`, read every 50 rows, as a monitor reads a server: ten features of
every kind, and the model's reference of 5,000 rows. One alarm at any of these looks makes it an alarm. Real traffic
comes in runs: of some streams, each row is sent 100 times by a client that repeats itself, or 10 times, or up to 100.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from false_alarms import draw
from measure import load

from mlconsole.evidence.base import now
from mlconsole.evidence.monitoring import Counters, DriftWindow, FeatureCounts
from mlconsole.monitor_client import Histogram, Monitor
from mlconsole.services.datasets.distributions import of_table, reference_of
from mlconsole.services.monitoring.adding import since
from mlconsole.services.monitoring.bins import bins_of
from mlconsole.services.monitoring.live_drift import with_rows
from mlconsole.services.monitoring.reading import parse_scrape

EVERY = 50
REFERENCE_ROWS = 5_000
SIZES = (0, 50, 10_000)


RUNS: Mapping[str, int] = {"each row 100 times": 100, "each row 10 times": 10, "each row 1 to 100 times": -100}


def rows_of(random: np.random.Generator, rows: int, moved: float, times: int) -> list[dict[str, Any]]:
    """Rows that each come so many times one after the other; where that is negative, up to so many times."""
    if times == 1:
        return draw(random, rows, moved).to_pylist() if rows else []
    lengths = np.full(rows, times) if times > 0 else random.integers(1, 1 - times, rows)
    which = np.repeat(np.arange(rows), lengths)[random.integers(0, abs(times)) :][:rows]
    found: list[dict[str, Any]] = draw(random, int(which[-1]) + 1, moved).take(pa.array(which)).to_pylist()
    return found


def counted(monitor: Monitor) -> Counters:
    """What `parse_scrape` finds in the monitor's lines, without writing and reading them."""
    features = {
        name: FeatureCounts(
            bounds=tuple(found.bounds[:-1]), counts=tuple(map(float, found.counts)), missing=found.missing
        )
        if isinstance(found, Histogram)
        else FeatureCounts(
            values=dict(zip(found.values, map(float, found.counts), strict=True)),
            unseen=found.unseen,
            missing=found.missing,
        )
        for name, found in monitor.features.items()
    }
    return Counters(rows=monitor.rows, features=features)


def stream(seed: int, rows: int, moved: float = 0.0, times: int = 1) -> tuple[int | None, tuple[str, ...]]:
    """After how many rows the first alarm came, and for what; None without any."""
    random = np.random.default_rng(seed)
    reference = reference_of(of_table(draw(random, REFERENCE_ROWS)))
    monitor = Monitor(bins_of(reference, ""))
    window, before = DriftWindow(version="m@v1", since=now()), None
    table = rows_of(random, rows, moved, times)
    for begin in range(0, max(rows, 1), EVERY):
        for row in table[begin : begin + EVERY]:
            monitor.count(row)
        found = counted(monitor)
        window = with_rows(window, since(found, before), reference, now(), most=10_000)
        before = found
        if window.report is not None and window.report.drifting:
            return begin + EVERY, tuple(f"{test.column}: {test.test}" for test in window.report.drifting)
    told = parse_scrape("\n".join([*monitor.lines(), "# EOF", ""])).counters
    assert (told.rows, told.features) == (before.rows, before.features) if before else True
    return None, ()


def quiet(seed: int) -> tuple[int, tuple[str, ...]]:
    rows = SIZES[seed % len(SIZES)]
    return rows, stream(seed, rows)[1]


def in_runs(task: tuple[int, int]) -> tuple[str, ...]:
    seed, times = task
    return stream(seed, 10_000, times=times)[1]


def moving(seed: int) -> bool:
    after, names = stream(seed, 2_000, 0.5)
    return after is not None and any(name.startswith("normal:") for name in names)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1_000, help="of each length")
    asked = parser.parse_args()
    print(f"drift of live traffic (target: at most 1 % of 1,000 trials; 95 % of shifts within 2,000 rows) {load()}")
    worst = 0.0

    def tell(what: str, alarms: list[tuple[str, ...]]) -> None:
        nonlocal worst
        flagged = [names for names in alarms if names]
        worst = max(worst, len(flagged) / asked.trials)
        print(f"  {what}, no drift: {len(flagged)} of {len(alarms)} streams flagged", end=" ")
        print(dict(Counter(name for names in flagged for name in names)) or "", flush=True)

    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(quiet, range(asked.trials * len(SIZES)), chunksize=15))
        for size in SIZES:
            tell(f"{size:>6,} rows", [names for rows, names in found if rows == size])
        for words, times in RUNS.items():
            tasks = [(2 * 10**6 + seed, times) for seed in range(asked.trials)]
            tell(f"10,000 rows, {words}", list(pool.map(in_runs, tasks, chunksize=15)))
        hits = list(pool.map(moving, range(10**6, 10**6 + asked.trials), chunksize=15))
    print(f"  a shift of 0.5 σ in one feature, told within 2,000 rows: {sum(hits)} of {len(hits)}")
    return int(worst > 0.01 or sum(hits) < 0.95 * len(hits))


if __name__ == "__main__":
    sys.exit(main())
