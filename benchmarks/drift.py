"""Drift of 500,000 against 500,000 rows × 11 columns beside Evidently: whole processes, and the work alone.

Ours reads both files and finds the types, the distributions and the drift. Evidently's work alone is its report: the
reading of the files by pandas and its import are left out, in its favour.
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
from measure import install_aside, load, measured_with_output

ROWS = 500_000
OURS = """\
import sys, time
from pathlib import Path
started = time.perf_counter()
from mlconsole.services.datasets import drift, identify, survey
from mlconsole.services.datasets.distributions import reference_of
root = Path(sys.argv[1])
before, now = (survey(root, identify(root, name, Path("/dev/null/none"))) for name in ("before.csv", "now.csv"))
report = drift.compare(reference_of(before.distributions), now.distributions, label="m@v1")
assert report.columns_at("warn", "fail") == ("moved",), report.drifting
print(time.perf_counter() - started)
"""
EVIDENTLY = """\
import sys, time, warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
before, now = (pd.read_csv(f"{sys.argv[1]}/{name}.csv") for name in ("before", "now"))
started = time.perf_counter()
Report([DataDriftPreset()]).run(now, before).dict()
print(time.perf_counter() - started)
"""


def table(random: np.random.Generator, moved: float) -> pa.Table:
    """Eleven columns, of which one moved."""
    words = pa.array([f"word {number}" for number in range(30)])
    return pa.table(
        {
            "moved": random.normal(moved, 1, ROWS).round(5),
            **{f"normal{number}": random.normal(size=ROWS).round(5) for number in range(4)},
            "amount": random.lognormal(3, 1, ROWS).round(2),
            "count": random.poisson(30, ROWS),
            "weekday": random.integers(0, 7, ROWS),
            "flag": random.random(ROWS) < 0.2,
            "grade": pa.array(["a", "b", "c"]).take(pa.array(random.integers(0, 3, ROWS))),
            "word": words.take(pa.array(random.integers(0, 30, ROWS))),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        for name, moved in (("before", 0.0), ("now", 0.5)):
            pa_csv.write_csv(table(random, moved), f"{folder}/{name}.csv")
        print("Installing Evidently aside …")
        python = install_aside(Path(folder) / "peer", "evidently>=0.7,<0.8", "pandas>=2.2,<3")
        scripts = {"mlconsole": [sys.executable, "-c", OURS, folder], "Evidently": [python, "-c", EVIDENTLY, folder]}
        whole: dict[str, list[float]] = {name: [] for name in scripts}
        alone: dict[str, list[float]] = {name: [] for name in scripts}
        peaks: dict[str, int] = {}
        for turn in range(asked.runs + 1):
            for name, arguments in scripts.items():
                found, output = measured_with_output(arguments)
                if turn:
                    whole[name].append(found.seconds)
                    alone[name].append(float(output.split()[-1]))
                    peaks[name] = max(peaks.get(name, 0), found.peak)
        print(f"drift of {ROWS:,} against {ROWS:,} rows × 11 columns (target: 10 times faster than the peer) {load()}")
        for name in scripts:
            times = f"whole {statistics.median(whole[name]):6.2f} s   work {statistics.median(alone[name]):6.2f} s"
            print(f"  {name:<12} {times}   peak {peaks[name] / 2**20:5.0f} MiB")
        for words, runs in (("whole processes", whole), ("work alone", alone)):
            ratio = statistics.median(runs["Evidently"]) / statistics.median(runs["mlconsole"])
            print(f"  {words}: {ratio:.1f} times faster (medians of {asked.runs})")


if __name__ == "__main__":
    main()
