"""The journal's file: how it is opened, and its tables, as each version of it added them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

PATIENCE = 10.0
"""Seconds that one process waits for another one that writes."""

_SCHEMA = """
CREATE TABLE releases (number INTEGER PRIMARY KEY, state TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE stage_runs (
    release INTEGER NOT NULL, stage TEXT NOT NULL, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, fingerprint TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (release, stage, attempt)
);
CREATE INDEX stage_runs_by_fingerprint ON stage_runs (stage, fingerprint);
CREATE TABLE events (id INTEGER PRIMARY KEY, release INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX events_by_release ON events (release, id);
CREATE TABLE decisions (id INTEGER PRIMARY KEY, release INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE versions (name TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (name, number));
CREATE TABLE aliases (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, alias TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL
);
"""
_TRIGGERS = """
CREATE TABLE triggers (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, release INTEGER,
    body BLOB NOT NULL, UNIQUE (kind, digest)
);
CREATE INDEX triggers_by_state ON triggers (state);
CREATE TABLE sightings (watch TEXT NOT NULL, place TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (watch, place));
CREATE TABLE watches (name TEXT PRIMARY KEY, since TEXT NOT NULL);
CREATE TABLE additions (trigger_id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE watcher (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
"""
_MONITOR = """
CREATE TABLE monitor_points (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE monitor_state (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
"""
_OUTBOX = """
CREATE TABLE outbox (id INTEGER PRIMARY KEY, begun INTEGER NOT NULL, body BLOB NOT NULL);
"""
MIGRATIONS = (_SCHEMA, _TRIGGERS, _MONITOR, _OUTBOX)
"""What each version of the file adds to the one before, from 1 on."""


def opened(path: Path) -> sqlite3.Connection:
    """Open the file, which is made where it is not there, in WAL mode; for several threads, without transactions.

    Raises:
        sqlite3.Error: it can't be opened, or is no such file.
    """
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(db)
        db.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch the file to WAL mode; of several who do so with a new file at once, SQLite lets none wait for another."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
