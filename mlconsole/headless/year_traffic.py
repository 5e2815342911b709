"""Callers of the demonstration: they ask for the hours of a month in no order, and keep what they were told."""

from __future__ import annotations

import csv
import http.client
import itertools
import json
import random
import threading
from pathlib import Path
from urllib.parse import urlsplit

from mlconsole.services.monitoring.quality import PREDICTION, VERSION

CALLERS = 2
ROWS = 8
PAUSE = 0.05
NOT_SENT = ("mnth", "day", "bikers")
KEY = ("day", "hr")


class Traffic:
    """A constant load of requests.

    Args:
        url: of the service.
        folder: where to keep predictions, a file for each month.

    Attributes:
        requests: how many were sent.
        failures: what failed, in words.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._host, self._folder = urlsplit(url).netloc, folder
        self._rows: list[dict[str, str]] = []
        self._month, self._turn = "", itertools.count()
        self._ended, self._lock = threading.Event(), threading.Lock()
        self.requests = self.predicted = 0
        self.failures: list[str] = []
        self._first: dict[tuple[str, str], tuple[float, float]] = {}
        folder.mkdir(exist_ok=True)
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]

    def month(self, name: str, rows: list[dict[str, str]]) -> None:
        """From now on ask for these rows."""
        with self._lock:
            if not self._threads[0].is_alive():
                for thread in self._threads:
                    thread.start()
            self._rows, self._month = random.Random(name).sample(rows, len(rows)), name
            self._turn = itertools.count()
            self.predicted, self._first = 0, {}

    def error(self) -> float:
        """The mean absolute error of what callers were told first of each row of this month."""
        with self._lock:
            told = list(self._first.values())
        return sum(abs(actual - found) for actual, found in told) / max(len(told), 1)

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10)

    def _call(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=10)
        while not self._ended.wait(PAUSE):
            with self._lock:
                rows, month, turn = self._rows, self._month, next(self._turn)
            chosen = [rows[(turn * ROWS + index) % len(rows)] for index in range(ROWS)]
            try:
                connection.request("POST", "/predict", json.dumps({"rows": [_asked(row) for row in chosen]}))
                response = connection.getresponse()
                said = json.loads(response.read())
                failure = "" if response.status == 200 else f"status {response.status}: {said}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                failure, said = f"{type(error).__name__}: {error}", {}
                connection.close()
            with self._lock:
                self.requests += 1
                if failure:
                    self.failures.append(failure)
                elif month == self._month:
                    self._keep(month, chosen, said)

    def _keep(self, month: str, rows: list[dict[str, str]], said: dict[str, object]) -> None:
        predictions = said["predictions"]
        assert isinstance(predictions, list)
        path = self._folder / f"{month}.csv"
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow([*KEY, PREDICTION, VERSION])
            for row, prediction in zip(rows, predictions, strict=True):
                key = (row["day"], row["hr"])
                if key not in self._first:
                    self._first[key] = (float(row["bikers"]), float(prediction))
                    writer.writerow([*key, prediction, said["model_version"]])
        self.predicted += len(rows)


def _asked(row: dict[str, str]) -> dict[str, object]:
    """A row as callers send it: without what only the operator knows."""
    found: dict[str, object] = {}
    for name, value in row.items():
        if name not in NOT_SENT:
            try:
                found[name] = float(value)
            except ValueError:
                found[name] = value
    return found
