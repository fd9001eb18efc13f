"""The earliest date of a configured product: by the shifts of a calendar, or by the clock."""

from __future__ import annotations

from datetime import UTC, datetime

from millmark.services.planning.calendar import Calendar, find_earliest, parse_calendar

CALENDAR = """
time_zone = "Europe/Berlin"
unit = "EUR/100"
[[closure]]
first = 2026-11-30
last = 2026-11-30
[[machine]]
machine = "LATHE"
rate_per_hour = 1
minutes = {{ turning = {minutes} }}
shifts = [ {{ days = ["mon", "tue", "wed", "thu", "fri"], starts = "06:00", ends = "14:00" }} ]
[[machine]]
machine = "SLOW"
rate_per_hour = 1
minutes = {{ turning = 400, milling = 60 }}
shifts = [ {{ days = ["mon", "tue", "wed", "thu", "fri"], starts = "06:00", ends = "14:00" }} ]
"""


def _calendar(minutes: int = 120) -> Calendar:
    return parse_calendar(CALENDAR.format(minutes=minutes).encode())


def _at(day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp())


def test_without_a_calendar_the_clock_decides() -> None:
    found = find_earliest(None, [("turning", 90), ("milling", 30)], _at(27, 10, 7))
    assert (found.at, found.unknown) == (_at(27, 12, 15), None), "from the next quarter of an hour on"


def test_work_waits_for_shifts_and_for_days_that_are_not_closed() -> None:
    """Friday at noon in Berlin: two hours of turning fit, an hour of milling waits for Tuesday, as Monday is closed."""
    operations = [("turning", 1), ("milling", 1)]
    found = find_earliest(_calendar(), operations, _at(27, 11))
    assert found.unknown == ()
    assert found.at == int(datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp())


def test_the_machine_that_is_done_first_counts() -> None:
    assert find_earliest(_calendar(), [("turning", 1)], _at(26, 5)).at == _at(26, 7)
    assert find_earliest(_calendar(450), [("turning", 1)], _at(26, 5)).at == _at(26, 11, 45)


def test_a_kind_that_no_machine_does_is_named_and_reckoned_by_the_clock() -> None:
    found = find_earliest(_calendar(), [("sewing", 45)], _at(28, 10))
    assert (found.at, found.unknown) == (_at(28, 10, 45), ("sewing",))


def test_work_that_no_shift_is_long_enough_for_has_no_date() -> None:
    only = CALENDAR.format(minutes=481).replace("turning = 400, ", "").encode()
    assert find_earliest(parse_calendar(only), [("turning", 1)], _at(26, 5)).at is None
