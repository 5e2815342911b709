"""Metrics that a training logs to MLflow's SQLite store, read there without MLflow, while they are written.

Read are the tables `runs`, `metrics`, `params` and `tags` as MLflow has made them since version 1.0. The store is
opened read-only, never waits for the training and is never waited for.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mlconsole.evidence.training import MetricPoint, Parameter
from mlconsole.services.training.files import changed_since
from mlconsole.text import clean_line, shorten

USUAL = ("mlflow.db", "mlruns.db", "mlruns/mlflow.db")
MOST_ROWS = 10_000
_NEW = (
    "SELECT m.rowid, m.key, m.value, m.step, m.run_uuid, r.name FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid"
    " WHERE m.rowid > ? AND r.start_time >= ? AND NOT m.is_nan ORDER BY m.rowid LIMIT ?"
)
_FIRST = "SELECT run_uuid FROM runs WHERE start_time >= ? ORDER BY start_time LIMIT 1"
_PARAMETERS = "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY rowid LIMIT ?"


def stores(folders: Iterable[Path], environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a training in one of these folders may have its store; `MLFLOW_TRACKING_URI` says so for certain.

    Args:
        folders: the first is the one that the training runs in.
        environment: the training's.
    """
    folders = list(folders)
    address = environment.get("MLFLOW_TRACKING_URI", "")
    if address:
        parts = urlsplit(address)
        # sqlite:///here.db is below the folder, sqlite:////there.db is not
        return (folders[0] / unquote(parts.path.removeprefix("/")),) if parts.scheme.startswith("sqlite") else ()
    return tuple(dict.fromkeys(folder / name for folder in folders for name in USUAL))


class MlflowRuns:
    """The runs that a training begins in a store.

    Args:
        paths: where the store may be: the first that changes is taken.
        since: a `files.moment`; older runs are not of this training.
    """

    every = 0.1
    exact = True

    def __init__(self, paths: Sequence[Path], since: int) -> None:
        self._paths, self._since = paths, since
        self._store: sqlite3.Connection | None = None
        self._last_row = 0
        self._first = ""

    def look(self) -> Sequence[MetricPoint]:
        """Return the metrics since the last look; those of a second run have its name before theirs."""
        with contextlib.suppress(sqlite3.Error):
            store = self._opened()
            if store is None:
                return ()
            if not self._first:
                self._first = next((str(row[0]) for row in store.execute(_FIRST, [self._since // 1_000_000])), "")
            return [point for row in self._new_rows(store) if (point := self._point(*row)) is not None]
        return ()

    def _new_rows(self, store: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
        while rows := store.execute(_NEW, [self._last_row, self._since // 1_000_000, MOST_ROWS]).fetchall():
            self._last_row = rows[-1][0]
            yield from rows

    def _point(
        self, _row: int, key: object, value: object, step: object, run: object, name: object
    ) -> MetricPoint | None:
        if not isinstance(value, int | float) or not isinstance(step, int | None):
            return None
        return MetricPoint(name=self._named(key, run, name), value=float(value), step=step or 0)

    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters of the first run."""
        with contextlib.suppress(sqlite3.Error):
            if self._store is not None and self._first:
                rows = self._store.execute(_PARAMETERS, [self._first, 1000]).fetchall()
                return tuple(
                    Parameter(name=clean_line(str(key)), value=shorten(clean_line(str(value)), 1000))
                    for key, value in rows
                )
        return ()

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _opened(self) -> sqlite3.Connection | None:
        if self._store is None:
            path = next((path for path in self._paths if changed_since(path, self._since)), None)
            if path is None:
                return None
            self._store = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=0.02)
        return self._store

    def _named(self, key: object, run: object, name: object) -> str:
        metric = clean_line(str(key))
        return shorten(metric if run == self._first else f"{clean_line(str(name or run))}/{metric}", 128)
