"""The tables of the journal's file, as each version of it added them."""

from __future__ import annotations

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
