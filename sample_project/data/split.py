"""Make training.csv, holdout.csv and batches/ from the original file.

    python data/split.py Bikeshare.csv

The original is ``ISLP/data/Bikeshare.csv`` of the Python package ISLP (see README.md beside this file).
Nothing is drawn at random: the same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from pathlib import Path

MONTHS = ("Jan", "Feb", "March", "April", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec")
COLUMNS = (
    "season",
    "mnth",
    "day",
    "hr",
    "holiday",
    "weekday",
    "workingday",
    "weathersit",
    "temp",
    "atemp",
    "hum",
    "windspeed",
    "bikers",
)
YEAR = 2011
FIRST_MONTHS = 4
# Whole days, because neighbouring hours resemble each other; six and seven share no factor, so that every weekday
# comes up as often.
HOLDOUT_EVERY = 6

Row = dict[str, str]


def destination(row: Row) -> str:
    """The file that a row belongs to, relative to the data folder."""
    if int(row["day"]) % HOLDOUT_EVERY == 0:
        return "holdout.csv"
    month = MONTHS.index(row["mnth"]) + 1
    return "training.csv" if month <= FIRST_MONTHS else f"batches/{YEAR}-{month:02d}.csv"


def split(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows in the order of time, by the file that they belong to."""
    parts: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (int(row["day"]), int(row["hr"]))):
        parts.setdefault(destination(row), []).append(row)
    return parts


def write(path: Path, rows: list[Row]) -> None:
    """Write rows as CSV, without the columns that would give the target away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Split the bike sharing data by month.")
    parser.add_argument("source", type=Path, help="the original Bikeshare.csv")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="the folder to write to")
    arguments = parser.parse_args()
    try:
        with arguments.source.open(encoding="utf-8", newline="") as file:
            parts = split(csv.DictReader(file))
    except (OSError, KeyError, ValueError) as error:
        print(f"{arguments.source} cannot be split: {error}", file=sys.stderr)
        return 1
    for name, rows in parts.items():
        write(arguments.output / name, rows)
        print(f"{name}: {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
