"""A year in minutes: the months of the bike-sharing data arrive one after another, under a constant load of requests.

Nobody decides anything: the watcher releases what is better, and refuses what is not. One month arrives with
temperatures in degrees, and one with shuffled labels: neither may reach a pod.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from mlconsole.errors import Exit, OutsideFailed, WrongUse
from mlconsole.evidence.base import Record
from mlconsole.evidence.cluster import PodsEvidence
from mlconsole.evidence.data import DriftReport
from mlconsole.evidence.watching import Trigger
from mlconsole.headless.demo import sample_project
from mlconsole.headless.output import narrate, say, table_lines
from mlconsole.headless.release import carry_out
from mlconsole.headless.reports import journal_of
from mlconsole.headless.year_traffic import Traffic
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.present import Table
from mlconsole.project import Project, open_project
from mlconsole.project.settings import SETTINGS_FILE
from mlconsole.release.decisions import who_am_i
from mlconsole.release.engine import Order
from mlconsole.services import git
from mlconsole.stages.base import model_store
from mlconsole.text import listed
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher import control

SETTINGS = """\
# The demonstration of a year: what arrives in inbox/ is released by itself, where every gate passes.
[data]
key = ["day", "hr"]
checks = "data/checks.yaml"

[deploy]
context = "local"
settle = "1s"

[[watch]]
kind = "data"
path = "inbox/*.csv"
add = true
settle = "1s"
then = "release"

[[watch]]
kind = "monitor"
then = "release"

[monitor]
every = "0.5s"
window = "10s"
drift_rows = 4000
predictions = "predictions/*.csv"
labels = "inbox/*.csv"

[[monitor.rules]]
metric = "drift"
hold = "0s"
cool_down = "1m"
then = "warn"

[[monitor.rules]]
metric = "errors"
above = 0.02
hold = "5s"
then = "roll back"
"""
CHECKS = """\
columns:
  season: {kind: integer, values: ["1", "2", "3", "4"]}
  mnth: {kind: category}
  day: {kind: integer, minimum: 1, maximum: 366}
  hr: {kind: integer, minimum: 0, maximum: 23}
  holiday: {kind: integer}
  weekday: {kind: integer, minimum: 0, maximum: 6}
  workingday: {kind: integer}
  weathersit: {kind: category}
  temp: {kind: number, minimum: 0, maximum: 1, severity: fail}
  atemp: {kind: number, minimum: 0, maximum: 1, severity: fail}
  hum: {kind: number, minimum: 0, maximum: 1, severity: fail}
  windspeed: {kind: number, minimum: 0, maximum: 1, severity: fail}
  bikers: {kind: integer, minimum: 0, severity: fail}
"""
WRONG_UNIT, SHUFFLED = "2011-08", "2011-10"
HOTTEST = 41.0
"""What the scaled temperatures were divided by: multiplied with it they are degrees Celsius."""
MONTH_SECONDS, PATIENCE = 8.0, 240.0
LEAST_ROWS = 450
ERRORS_OF = """\
import json, sys, joblib, pandas
model = joblib.load(sys.argv[1])
frames = [pandas.read_csv(path) for path in sys.argv[2:]]
print(json.dumps([float((model.predict(frame) - frame["bikers"]).abs().mean()) for frame in frames]))
"""


class Month(Record, frozen=True, kw_only=True):
    """How a month went: the error of what callers were told, and what became of its data."""

    name: str
    error: float
    drifting: tuple[str, ...] | None
    """None where too little was asked to tell."""
    outcome: str
    sentence: str
    served_after: str


def prepare_year(project: Project) -> Project:
    """Turn a fresh demonstration into that of a year."""
    (project.root / SETTINGS_FILE).write_text(SETTINGS, encoding="utf-8")
    (project.root / "data" / "checks.yaml").write_text(CHECKS, encoding="utf-8")
    with (project.root / ".gitignore").open("a", encoding="utf-8") as ignore:
        ignore.write("inbox/\npredictions/\n")
    (project.root / "inbox").mkdir(exist_ok=True)
    git.initialise(project.root, "Months that arrive are released by themselves")
    return open_project(project.root)


def months_of(only: Collection[str] = ()) -> tuple[Path, ...]:
    """The files of the months that arrive, in order: all, or some by their names.

    Raises:
        WrongUse: one of these months is none of the data's.
    """
    months = sorted((sample_project() / "data" / "batches").glob("*.csv"))
    if unknown := sorted(set(only) - {path.stem for path in months}):
        raise WrongUse(
            f"The data has no month {listed(unknown)}.", f"There are {listed([path.stem for path in months])}."
        )
    return tuple(path for path in months if not only or path.stem in only)


def live_through(project: Project, months: Sequence[Path]) -> int:
    """Release the first model, and let the months arrive; returns whether all went as it has to."""
    order = Order(approved=True, who=who_am_i(), reason="the first model")
    if carry_out(project, order, lambda engine, journal: engine.run(order)) != Exit.DONE:
        return Exit.REFUSED
    with journal_of(project) as journal:
        traffic = Traffic(_address(journal), project.root / "predictions")
        control.start(project)
        try:
            lived = [_live(project, journal, traffic, path) for path in months]
        finally:
            traffic.stop()
            control.stop(project)
        return _tell(project, journal, traffic, months, lived)


def _address(journal: Journal) -> str:
    latest = journal.done_stage("pods")
    evidence = latest.evidence if latest else None
    if not isinstance(evidence, PodsEvidence) or not evidence.services:
        raise OutsideFailed("The service of the demonstration has no address on this machine.")
    return evidence.services[0].url


def _live(project: Project, journal: Journal, traffic: Traffic, path: Path) -> Month:
    """A month: callers ask, then its data arrives, and what follows is waited for."""
    name, rows = path.stem, _rows(path)
    narrate(f"{name}: {len(rows)} hours")
    traffic.month(name, rows)
    served = _champion(project, journal)
    deadline = time.monotonic() + MONTH_SECONDS * 6
    began = time.monotonic()
    before = report = _drift(journal, served)
    while time.monotonic() < deadline and not (
        traffic.predicted >= len(rows)
        and time.monotonic() - began > MONTH_SECONDS
        and report is not None
        and report != before
        and report.rows >= LEAST_ROWS
    ):
        time.sleep(0.2)
        report = _drift(journal, served)
    error = traffic.error()
    drifting = report.columns_at("warn", "fail") if report is not None and report != before else None
    if drifting:
        narrate(f"  what {served} is asked drifts in {listed(drifting, 6)}")
    _arrive(project.root / "inbox" / path.name, name, rows)
    ended = _ended(journal, path.name)
    after = _champion(project, journal)
    narrate(f"  {ended.outcome}: {ended.sentence} {after} serves.")
    return Month(
        name=name,
        error=error,
        drifting=drifting,
        outcome=ended.outcome,
        sentence=ended.sentence,
        served_after=after,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _arrive(path: Path, name: str, rows: list[dict[str, str]]) -> None:
    """Have a month's file arrive whole; two of them are not as they should be."""
    made = [dict(row) for row in rows]
    if name == WRONG_UNIT:
        for row in made:
            row["temp"] = f"{float(row['temp']) * HOTTEST:.2f}"
    if name == SHUFFLED:
        labels = [row["bikers"] for row in made]
        random.Random(7).shuffle(labels)
        for row, label in zip(made, labels, strict=True):
            row["bikers"] = label
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    temporary.replace(path)


def _ended(journal: Journal, place: str) -> Trigger:
    queue, deadline = TriggerQueue(journal), time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for trigger in queue.triggers({"ended"}):
            if trigger.kind == "data" and trigger.place.endswith(place):
                return trigger
        time.sleep(0.2)
    raise OutsideFailed(f"{place} came to no end.", "See: mlconsole triggers, .mlconsole/runner.log")


def _champion(project: Project, journal: Journal) -> str:
    champion = journal.alias(project.settings.name, "champion")
    return champion.label if champion else ""


def _drift(journal: Journal, version: str) -> DriftReport | None:
    state = MonitorLog(journal).state()
    window = state.window(version) if state else None
    return window.report if window else None


def _tell(project: Project, journal: Journal, traffic: Traffic, months: Sequence[Path], lived: list[Month]) -> int:
    """The table at the end, and whether all went as it has to."""
    first = journal.version(project.settings.name, 1)
    store = model_store(project)
    command = [sys.executable, "-c", ERRORS_OF, str(store.path(first.model.digest)), *map(str, months)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise OutsideFailed("The first model can't be asked.", done.stderr.strip().rpartition("\n")[2])
    kept: list[float] = json.loads(done.stdout)
    rows = tuple(
        (
            month.name,
            f"{month.error:.1f}",
            f"{alone:.1f}",
            month.outcome,
            month.served_after,
            _drift_words(month.drifting),
        )
        for month, alone in zip(lived, kept, strict=True)
    )
    mean, mean_alone = sum(month.error for month in lived) / len(lived), sum(kept) / len(kept)
    rows = (*rows, ("mean", f"{mean:.1f}", f"{mean_alone:.1f}", "", "", ""))
    columns = ("month", "error", "first model kept", "its data", "serves then", "drift of what was asked")
    say()
    for line in table_lines(Table("", columns, rows, frozenset({1, 2}))):
        say(line)
    for month in lived:
        if month.outcome != "released":
            say(f"{month.name}: {month.sentence}")
    say(f"{traffic.requests:,} requests, {len(traffic.failures)} failed{_first_failure(traffic)}.")
    kept_out = all(month.outcome == "refused" for month in lived if month.name in (WRONG_UNIT, SHUFFLED))
    drifted = any("temp" in (month.drifting or ()) for month in lived)
    return Exit.DONE if kept_out and drifted and not traffic.failures and mean < mean_alone else Exit.REFUSED


def _drift_words(drifting: tuple[str, ...] | None) -> str:
    if drifting is None:
        return "too little to tell"
    return listed(drifting, 4) if drifting else "none"


def _first_failure(traffic: Traffic) -> str:
    return f", the first: {traffic.failures[0]}" if traffic.failures else ""
