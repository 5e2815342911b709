"""A schedule as cron writes it, in a time zone, with its changes of the clock (by cronsim)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from mlconsole.errors import WrongUse

AMBIGUOUS = timedelta(hours=3)
"""Longer than any clock is set back by."""


class ScheduleInvalid(WrongUse):
    """A cron expression that can't be read or never comes true, or a time zone that does not exist."""


class Schedule:
    """Moments that come again and again.

    Args:
        expression: five fields, or six with seconds at the front.
        zone: such as `Europe/Berlin`; empty: the machine's own.

    Raises:
        ScheduleInvalid: see there.
    """

    def __init__(self, expression: str, zone: str = "") -> None:
        self._expression = expression
        self._zone = _zone(zone)
        self.next_after(datetime.now(UTC))

    def next_after(self, moment: datetime) -> datetime:
        """The first of them after a moment, in UTC."""
        return self._first(moment, reverse=False)

    def last_until(self, moment: datetime) -> datetime:
        """The last of them up to a moment, that one included, in UTC."""
        # where the clock is set back, only going forwards tells which of two equal local times is meant
        last = self._first(self._first(moment, reverse=True) - AMBIGUOUS, reverse=True)
        while (following := self.next_after(last)) <= moment:
            last = following
        return last

    def _first(self, moment: datetime, *, reverse: bool) -> datetime:
        from cronsim import CronSim, CronSimError

        try:
            found = next(CronSim(self._expression, moment.astimezone(self._zone), reverse=reverse))
        except CronSimError as error:
            hint = 'Write minute, hour, day, month and weekday, such as "0 6 * * 1".'
            raise ScheduleInvalid(f"{self._expression!r} is no schedule: {error}.", hint) from error
        except StopIteration as error:
            raise ScheduleInvalid(f"{self._expression!r} never comes true.", "Correct the date in it.") from error
        return found.astimezone(UTC)


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    if not name:
        return _own_zone()
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ScheduleInvalid(f"There is no time zone {name!r}.", 'Name it like "Europe/Berlin".') from error


def _own_zone() -> tzinfo:
    """The machine's zone by its name where that can be found, so that its changes of the clock are known ahead."""
    import os
    from pathlib import Path
    from zoneinfo import ZoneInfo

    named = os.environ.get("TZ", "").lstrip(":")
    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2] if Path("/etc/localtime").exists() else ""
    for name in (named, linked):
        if name:
            try:
                return ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                continue
    return datetime.now().astimezone().tzinfo or UTC
