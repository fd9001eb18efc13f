"""Schedules of EPCIS query subscriptions (EPCIS 2.0, QuerySchedule): when a query is executed, in UTC.

A field lists numbers and ranges, such as `0,[15-20]`. A time matches if all fields match. A field that is left out
matches every value, but for `second`, which is then 0: no query is executed more than once a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from millmark.ledger.canonical import Json
from millmark.services.interop.epcis.named_queries import SubscriptionError

FIELDS: Final[Mapping[str, tuple[int, int]]] = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "dayOfMonth": (1, 31),
    "month": (1, 12),
    "dayOfWeek": (1, 7),
}
"""Least and greatest value of each field. Day 1 of the week is Monday."""
_PART: Final = re.compile(r"([0-9]{1,2})|\[([0-9]{1,2})-([0-9]{1,2})\]")
_MAX_CHARACTERS: Final = 200
_MAX_DAYS: Final = 366 * 9
"""Leap days are at most eight years apart. A schedule without a time in nine years is refused."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values with which each field of a time matches, ascending."""

    second: int
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, time_ms: int) -> int | None:
        """The first time of the schedule after a time, both in milliseconds since 1970. None if there is none within
        nine years."""
        start = datetime.fromtimestamp(time_ms // 1000, UTC)
        for ahead in range(_MAX_DAYS):
            day = (start + timedelta(days=ahead)).date()
            if self._has(day) and (found := self._first(day, start)) is not None:
                return int(found.timestamp()) * 1000
        return None

    def _has(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() in self.weekdays

    def _first(self, day: date, after: datetime) -> datetime | None:
        times = (
            datetime(day.year, day.month, day.day, hour, minute, self.second, tzinfo=UTC)
            for hour in self.hours
            for minute in self.minutes
        )
        return next((one for one in times if one > after), None)


def parse_schedule(value: Json, now_ms: int) -> Schedule:
    """Parses a schedule. Raises SubscriptionError if it is malformed, too frequent, or has no time after `now_ms`."""
    if not isinstance(value, dict) or not value or not value.keys() <= FIELDS.keys():
        raise SubscriptionError(
            f"a schedule is an object with one or more of {', '.join(FIELDS)}",
            hint='send {"hour": "1", "minute": "5"} for every day at 01:05 UTC',
        )
    fields = {name: _parse_field(name, value.get(name)) for name in FIELDS}
    if len(fields["second"]) != 1:
        raise SubscriptionError(
            "the schedule is more frequent than once a minute", hint="give one second, or stream: true"
        )
    schedule = Schedule(
        fields["second"][0],
        fields["minute"],
        fields["hour"],
        *(frozenset(fields[name]) for name in ("dayOfMonth", "month", "dayOfWeek")),
    )
    if schedule.next_after(now_ms) is None:
        raise SubscriptionError(
            "no time matches the schedule in the next nine years", hint="check dayOfMonth and month"
        )
    return schedule


def _parse_field(name: str, value: Json) -> tuple[int, ...]:
    least, most = FIELDS[name]
    if value is None:
        return (0,) if name == "second" else tuple(range(least, most + 1))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # the standard's own examples write both
    parts = value.split(",") if isinstance(value, str) and len(value) <= _MAX_CHARACTERS else [""]
    matches = [_PART.fullmatch(one) for one in parts]
    found: set[int] = set()
    for match in matches:
        first, last = (0, -1) if match is None else (int(match[1] or match[2]), int(match[1] or match[3]))
        if not least <= first <= last <= most:
            raise SubscriptionError(
                f"{name} {str(value)[:60]!a} is not a list of numbers and ranges from {least} to {most}",
                hint='write it like "5" or "0,[15-20]"; steps are not supported',
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))
