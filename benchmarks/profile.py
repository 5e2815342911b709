"""The profile of a CSV of 5 million rows × 12 columns beside DuckDB SUMMARIZE, Polars and pandas.

With `--rows 50000000` only ours is measured: its memory must not grow with the rows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from measure import Measured, install_aside, load, measured

BLOCK = 500_000
PEERS_UP_TO = 5_000_000
OURS = """\
import sys
from pathlib import Path
from mlconsole.evidence.data import DataFile, DataIdentity
from mlconsole.services.datasets import profile
path = Path(sys.argv[1])
size = path.stat().st_size
file = DataFile(path=path.name, size=size, digest="")
found = profile(path.parent, DataIdentity(digest="", files=(file,), size=size))
assert len(found.columns) == 12
"""
WITH_DIGEST = """\
import sys
from pathlib import Path
from mlconsole.services.datasets import identify, survey
from mlconsole.services.datasets.distributions import reference_of
path = Path(sys.argv[1])
found = survey(path.parent, identify(path.parent, path.name, Path(sys.argv[2])))
assert len(reference_of(found.distributions).columns) == 12
"""
DUCKDB = """\
import sys, duckdb
print(duckdb.sql(f"SUMMARIZE SELECT * FROM read_csv('{sys.argv[1]}')").fetchall()[0])
"""
POLARS = """\
import sys, polars as pl, polars.selectors as cs
table = pl.scan_csv(sys.argv[1], try_parse_dates=True)
numbers = cs.numeric()
print(table.select(
    pl.len().alias("rows"),
    pl.all().null_count().name.suffix(" missing"),
    pl.all().approx_n_unique().name.suffix(" distinct"),
    (cs.numeric() | cs.temporal()).min().name.suffix(" min"),
    (cs.numeric() | cs.temporal()).max().name.suffix(" max"),
    numbers.mean().name.suffix(" mean"),
    numbers.std().name.suffix(" deviation"),
    *(numbers.quantile(q).name.suffix(f" {q}") for q in (0.25, 0.5, 0.75)),
).collect(engine="streaming").row(0)[:3])
"""
PANDAS = """\
import sys, pandas as pd
table = pd.read_csv(sys.argv[1], engine="pyarrow")
print(table.describe(include="all").shape, table.nunique().sum(), table.isna().sum().sum())
"""


def write_table(path: Path, rows: int) -> None:
    """Numbers of several shapes, whole numbers, flags, categories, a date, an identifier and missing values."""
    random = np.random.default_rng(0)
    cities = pa.array([f"city {number}" for number in range(40)])
    writer = None
    for start in range(0, rows, BLOCK):
        size = min(BLOCK, rows - start)
        gaps = random.random(size) < 0.05
        block = pa.table(
            {
                "id": np.arange(start, start + size),
                "day": pa.array(np.datetime64("2020-01-01") + random.integers(0, 1500, size)),
                "normal": random.normal(size=size).round(4),
                "amount": random.lognormal(3, 1, size).round(2),
                "ratio": random.random(size).round(6),
                "gaps": pa.array(random.normal(size=size).round(4), mask=gaps),
                "count": random.poisson(30, size),
                "large": random.integers(0, 10**9, size),
                "weekday": random.integers(0, 7, size),
                "flag": random.random(size) < 0.2,
                "city": cities.take(pa.array(random.integers(0, 40, size))),
                "grade": pa.array(["a", "b", "c"]).take(pa.array(random.integers(0, 3, size))),
            }
        )
        writer = writer or pa_csv.CSVWriter(path, block.schema)
        writer.write(block)
    if writer is not None:
        writer.close()


def show(name: str, runs: list[Measured]) -> float:
    seconds = statistics.median(run.seconds for run in runs)
    print(f"  {name:<40} median {seconds:6.2f} s   peak {max(run.peak for run in runs) / 2**20:6.0f} MiB")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_table(path, asked.rows)
        contenders = {
            "mlconsole": [sys.executable, "-c", OURS, str(path)],
            "mlconsole, with digest and reference": [sys.executable, "-c", WITH_DIGEST, str(path), "/dev/null/none"],
        }
        if asked.rows <= PEERS_UP_TO:
            print("Installing the peers aside …")
            python = install_aside(Path(folder) / "peers", "duckdb>=1.4", "polars>=1.30", "pandas>=3", "pyarrow>=20")
            for name, script in (("DuckDB SUMMARIZE", DUCKDB), ("Polars, streaming", POLARS), ("pandas", PANDAS)):
                contenders[name] = [python, "-c", script, str(path)]
        runs: dict[str, list[Measured]] = {name: [] for name in contenders}
        warm_up = 1 if asked.rows <= PEERS_UP_TO else 0
        for turn in range(asked.runs + warm_up):
            for name, arguments in contenders.items():
                found = measured(arguments)
                if turn >= warm_up:
                    runs[name].append(found)
        print(f"profile of {asked.rows:,} rows × 12 columns, {path.stat().st_size / 2**20:.0f} MiB of CSV {load()}")
        print("(target: no slower than the fastest peer, at most 400 MB)")
        times = {name: show(name, found) for name, found in runs.items()}
        peers = [seconds for name, seconds in times.items() if not name.startswith("mlconsole")]
        if peers:
            print(f"  ratio to the fastest peer {times['mlconsole'] / min(peers):.2f} (medians of {asked.runs})")


if __name__ == "__main__":
    main()
