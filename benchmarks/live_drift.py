"""How often live traffic that does not drift is said to, and how soon a shift of half a deviation is told.

A trial is a stream of rows through `monitor_client`, read every 50 rows, as a monitor reads a server: ten features of
every kind, and the model's reference of 5,000 rows. One alarm at any of these looks makes it an alarm.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from false_alarms import draw
from measure import load

from mlconsole.evidence.base import now
from mlconsole.evidence.monitoring import DriftWindow
from mlconsole.monitor_client import Monitor
from mlconsole.services.datasets.distributions import of_table, reference_of
from mlconsole.services.monitoring.adding import since
from mlconsole.services.monitoring.bins import bins_of
from mlconsole.services.monitoring.live_drift import with_rows
from mlconsole.services.monitoring.reading import parse_scrape

EVERY = 50
REFERENCE_ROWS = 5_000
SIZES = (0, 50, 10_000)


def stream(seed: int, rows: int, moved: float = 0.0, every: int = EVERY) -> tuple[int | None, tuple[str, ...]]:
    """After how many rows the first alarm came, and for what; None without any."""
    random = np.random.default_rng(seed)
    reference = reference_of(of_table(draw(random, REFERENCE_ROWS)))
    monitor = Monitor(bins_of(reference, ""))
    window, before = DriftWindow(version="m@v1", since=now()), None
    table: list[dict[str, Any]] = draw(random, rows, moved).to_pylist() if rows else []
    for begin in range(0, max(rows, 1), every):
        for row in table[begin : begin + every]:
            monitor.count(row)
        if window.counters.rows + every < window.next_rows and begin + every < rows:
            continue  # nothing would be compared: what is not read now is read with the next
        found = parse_scrape("\n".join([*monitor.lines(), "# EOF", ""])).counters
        window = with_rows(window, since(found, before), reference, now(), most=10_000)
        before = found
        if window.report is not None and window.report.drifting:
            return begin + every, tuple(f"{test.column}: {test.test}" for test in window.report.drifting)
    return None, ()


def quiet(seed: int) -> tuple[int, tuple[str, ...]]:
    rows = SIZES[seed % len(SIZES)]
    return rows, stream(seed, rows)[1]


def moving(seed: int) -> bool:
    after, names = stream(seed, 2_000, 0.5)
    return after is not None and any(name.startswith("normal:") for name in names)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1_000, help="of each length")
    asked = parser.parse_args()
    print(f"drift of live traffic (target: at most 1 % of 1,000 trials; 95 % of shifts within 2,000 rows) {load()}")
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(quiet, range(asked.trials * len(SIZES)), chunksize=15))
        hits = list(pool.map(moving, range(10**6, 10**6 + asked.trials), chunksize=15))
    worst = 0.0
    for size in SIZES:
        alarms = [names for rows, names in found if rows == size and names]
        worst = max(worst, len(alarms) / asked.trials)
        print(f"  {size:>6,} rows, no drift: {len(alarms)} of {asked.trials} streams flagged", end=" ")
        print(dict(Counter(name for names in alarms for name in names)) or "")
    print(f"  a shift of 0.5 σ in one feature, told within 2,000 rows: {sum(hits)} of {len(hits)}")
    return int(worst > 0.01 or sum(hits) < 0.95 * len(hits))


if __name__ == "__main__":
    sys.exit(main())
