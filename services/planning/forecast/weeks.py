"""ISO weeks: 2026-W48 begins on a Monday, at midnight UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from millmark.ledger.errors import InputError

WEEK_S = 7 * 86_400


def week_of(seconds: int) -> date:
    """The Monday of the week of a time, in seconds since 1970."""
    day = datetime.fromtimestamp(seconds, UTC).date()
    return day - timedelta(days=day.weekday())


def week_text(monday: date) -> str:
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02d}"


def parse_week(text: object) -> date:
    """The Monday of a week such as 2026-W48. Raises InputError."""
    try:
        if not isinstance(text, str) or len(text) != 8:
            raise ValueError
        monday = date.fromisoformat(f"{text}-1")
    except ValueError:
        raise InputError(f"{text!r:.20} is not a week", hint="write it as 2026-W48") from None
    if week_text(monday) != text:
        raise InputError(f"{text!r:.20} is not a week", hint="write it as 2026-W48")
    return monday


def begin_s(monday: date) -> int:
    """When a week begins, in seconds since 1970."""
    return int(datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp())


def weeks_from(monday: date, count: int) -> tuple[date, ...]:
    return tuple(monday + timedelta(weeks=place) for place in range(count))
