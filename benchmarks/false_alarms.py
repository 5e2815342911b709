"""How often drift is found where there is none, and how often where there is, beside Evidently.

Each trial draws a reference and new data of one sort: a column of every kind. Sizes run from 50 to 100,000 rows on
either side. Evidently, which is slower, gets fewer trials of the smaller sizes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from measure import install_aside, load

from mlconsole.evidence.data import DriftReport
from mlconsole.services.datasets import drift
from mlconsole.services.datasets.distributions import of_table, reference_of

SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000, 20_000, 100_000)
PAIRS = tuple(itertools.product(SIZES, SIZES))
EVIDENTLY = """\
import json, sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
found = []
for name in sys.argv[2:]:
    before, now = (pd.read_csv(f"{sys.argv[1]}/{name}-{side}.csv") for side in ("before", "now"))
    report = Report([DataDriftPreset()]).run(now, before).dict()
    count = next(m["value"]["count"] for m in report["metrics"] if "DriftedColumnsCount" in str(m["metric_name"]))
    found.append(count)
print(json.dumps(found))
"""


def draw(random: np.random.Generator, rows: int, moved: float = 0.0) -> pa.Table:
    """Ten columns of the kinds that data has, without any drift but that of `normal`."""

    def words(kinds: int, weights: np.ndarray | None = None) -> pa.Array:
        names = pa.array([f"word {number}" for number in range(kinds)])
        return names.take(pa.array(random.choice(kinds, rows, p=weights)))

    rare = 1 / np.arange(1, 501)
    zeros = np.where(random.random(rows) < 0.6, 0, random.exponential(size=rows))
    return pa.table(
        {
            "normal": random.normal(moved, 1, rows),
            "amount": random.lognormal(3, 1.5, rows),
            "heavy tails": random.standard_cauchy(rows),
            "zeros": zeros,
            "count": random.poisson(30, rows),
            "weekday": random.integers(0, 7, rows),
            "flag": random.random(rows) < 0.03,
            "gaps": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.1),
            "100 words": words(100),
            "rare words": words(500, rare / rare.sum()),
        }
    )


def trial(seed: int, sizes: tuple[int, int], moved: float = 0.0) -> DriftReport:
    random = np.random.default_rng(seed)
    reference = reference_of(of_table(draw(random, sizes[0])))
    return drift.compare(reference, of_table(draw(random, sizes[1], moved)), label="m@v1")


def no_drift(seed: int) -> tuple[tuple[int, int], tuple[str, ...]]:
    sizes = PAIRS[seed % len(PAIRS)]
    return sizes, tuple(f"{found.column}: {found.test}" for found in trial(seed, sizes).drifting)


def shifted(seed: int) -> tuple[bool, bool]:
    """Was the column that moved by 0.25 deviations found, and was any other?"""
    columns = trial(seed, (5_000, 5_000), 0.25).columns_at("warn", "fail")
    return "normal" in columns, bool(set(columns) - {"normal"})


def ours(trials: int) -> None:
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(no_drift, range(trials), chunksize=9))
        moved = list(pool.map(shifted, range(10**6, 10**6 + trials // 4), chunksize=9))
    flagged = [entry for entry in found if entry[1]]
    print(f"mlconsole, no drift: {len(flagged)} of {trials:,} data sets flagged: {len(flagged) / trials:.2%}")
    for smaller in SIZES:
        of_size = [entry for entry in found if min(entry[0]) == smaller]
        hits = sum(bool(entry[1]) for entry in of_size)
        print(f"  smaller side of {smaller:>7,} rows: {hits:3} of {len(of_size):4} ({hits / max(len(of_size), 1):.2%})")
    print(f"  by what: {dict(Counter(name for _, names in flagged for name in names))}")
    hits = sum(hit for hit, _ in moved)
    print(f"mlconsole, a shift of 0.25 σ at 5,000 rows: found in {hits} of {len(moved)}: {hits / len(moved):.1%}")


def evidently(trials: int) -> None:
    sizes = [(5_000, 50), (5_000, 200), (2_000, 2_000), (5_000, 5_000)]
    with tempfile.TemporaryDirectory() as folder:
        print("Installing Evidently aside …")
        python = install_aside(Path(folder) / "peer", "evidently>=0.7,<0.8", "pandas>=2.2,<3")
        for pair, moved in [*((pair, 0.0) for pair in sizes), ((5_000, 5_000), 0.25)]:
            counts = _evidently_counts(python, folder, pair, moved, trials)
            hits = sum(count > 0 for count in counts)
            what = "a shift of 0.25 σ" if moved else "no drift"
            print(f"Evidently, {what}, {pair[0]:,} against {pair[1]:,}: {hits} of {trials} data sets flagged")


def _evidently_counts(python: str, folder: str, sizes: tuple[int, int], moved: float, trials: int) -> Sequence[float]:
    names = [str(number) for number in range(trials)]
    for name in names:
        random = np.random.default_rng(int(name))
        pa_csv.write_csv(draw(random, sizes[0]), f"{folder}/{name}-before.csv")
        pa_csv.write_csv(draw(random, sizes[1], moved), f"{folder}/{name}-now.csv")
    done = subprocess.run(
        [python, "-c", EVIDENTLY, folder, *names], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--evidently", type=int, default=20, help="trials of Evidently for each pair of sizes")
    asked = parser.parse_args()
    print(f"drift that is none (target: at most 1 % of data sets flagged, 95 % of shifts found) {load()}")
    ours(asked.trials)
    if asked.evidently:
        evidently(asked.evidently)


if __name__ == "__main__":
    main()
