"""Spans of time as kubectl prints them."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "<unknown>"

_DAY = 24
_YEAR = 365 * _DAY


def human_duration(seconds: int) -> str:
    """Whole seconds in one or two units; zero remainders are left out."""
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 2 * _DAY:
        return f"{hours}h"
    if hours < 8 * _DAY:
        return _pair(hours // _DAY, "d", hours % _DAY, "h")
    if hours < 2 * _YEAR:
        return f"{hours // _DAY}d"
    if hours < 8 * _YEAR:
        return _pair(hours // _YEAR, "y", hours // _DAY % 365, "d")
    return f"{hours // _YEAR}y"


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}" + (f"{small}{small_unit}" if small else "")


def since(timestamp: str | None, now: datetime) -> str:
    """How long ago an API timestamp is; ``<unknown>`` where there is none."""
    moment = parse_time(timestamp)
    return UNKNOWN if moment is None else human_duration(int((now - moment).total_seconds()))


def parse_time(timestamp: str | None) -> datetime | None:
    """An API timestamp (RFC 3339), or None where it is missing or none."""
    if not timestamp:
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
