"""Reusable widgets that know nothing of releases: lines, tables, logs, charts."""
