"""An owner's calendar: hours of work, prices, and days on which the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from millmark.services.planning.calendar import Calendar, Grid, MachineDay, parse_calendar
from millmark.services.planning.errors import CalendarError
from tests.support.planning_samples import BASE, build_calendar

HOUR_S = 3600
NIGHT = '[ { days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], starts = "22:00", ends = "06:00" } ]'
ROUND = '[ { days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], starts = "00:00", ends = "00:00" } ]'


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def day_of(calendar: Calendar, grid: Grid) -> MachineDay:
    return calendar.on(calendar.machines[0], grid)


def works(calendar: Calendar, grid: Grid) -> list[str]:
    """The spans at work, by local time."""
    day, zone = day_of(calendar, grid), calendar.zone
    spans, begun = [], None
    for slot, is_open in enumerate([*day.works, False]):
        if is_open and begun is None:
            begun = slot
        if not is_open and begun is not None:
            ends = [grid.moment(one).astimezone(zone).strftime("%d %H:%M") for one in (begun, slot)]
            spans.append(f"{ends[0]}-{ends[1]}")
            begun = None
    return spans


def test_a_shift_is_at_the_same_local_time_on_both_sides_of_a_change() -> None:
    grid = Grid(utc("2026-03-28"), HOUR_S, 72)
    assert works(build_calendar(), grid) == ["28 06:00-28 22:00", "29 06:00-29 22:00", "30 06:00-30 22:00"]
    day = day_of(build_calendar(), grid)
    assert next(slot for slot in range(72) if day.works[slot]) == 5, "06:00 in winter is 05:00 UTC"
    assert day.works[27:29] == [False, True], "06:00 in summer is 04:00 UTC"


@pytest.mark.parametrize(
    ("date", "hours", "says"),
    [
        ("2026-03-28", 7, "2026-03-29 has 23 hours in Europe/Berlin: the clock is put forward"),
        ("2026-10-24", 9, "2026-10-25 has 25 hours in Europe/Berlin: the clock is put back"),
    ],
)
def test_a_night_shift_over_a_change_is_an_hour_shorter_or_longer(date: str, hours: int, says: str) -> None:
    calendar, grid = build_calendar(shifts=NIGHT), Grid(utc(date) + 12 * HOUR_S, HOUR_S, 24)
    assert sum(day_of(calendar, grid).works) == hours
    assert calendar.clock_changes(grid) == [says]
    week = Grid(utc("2026-05-04"), HOUR_S, 7 * 24)
    assert calendar.clock_changes(week) == []


@pytest.mark.parametrize("date", ["2026-03-29", "2026-10-25"])
def test_shifts_that_follow_each_other_leave_no_gap_and_do_not_overlap(date: str) -> None:
    """They meet at 02:30, a time that is missing on one of the days, and there twice on the other."""
    days = '["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'
    spans = [("00:00", "02:30"), ("02:30", "00:00")]
    meeting = ", ".join(f'{{ days = {days}, starts = "{one}", ends = "{two}" }}' for one, two in spans)
    grid = Grid(utc(date) - 6 * HOUR_S, 1800, 72)
    assert all(day_of(build_calendar(shifts=f"[ {meeting} ]"), grid).works)
    first = f'[ {{ days = {days}, starts = "00:00", ends = "02:30" }} ]'
    second = f'[ {{ days = {days}, starts = "02:30", ends = "00:00" }} ]'
    one, two = (day_of(build_calendar(shifts=shifts), grid).works for shifts in (first, second))
    assert not any(both for both in map(min, zip(one, two, strict=True)))


def test_a_year_of_any_zone_has_all_its_hours() -> None:
    """A machine that never rests works every slot, whatever the zone does to its clock."""
    for zone in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"):
        text = (
            f'time_zone = "{zone}"\nunit = "EUR/100"\n[[machine]]\nmachine = 1\nrate_per_hour = 1\n'
            f"minutes = {{ turning = 30 }}\nshifts = {ROUND}\n"
        )
        calendar = parse_calendar(text.encode())
        assert all(day_of(calendar, Grid(BASE, 1800, 366 * 48)).works), zone


def test_a_slot_counts_only_if_the_machine_works_for_the_whole_of_it() -> None:
    grid = Grid(utc("2026-05-04T00:30:00"), HOUR_S, 48)
    assert works(build_calendar(), grid) == ["04 06:30-04 21:30", "05 06:30-05 21:30"]


def test_closed_days_are_closed_from_midnight_to_midnight() -> None:
    grid = Grid(utc("2026-05-03T22:00:00"), HOUR_S, 72)
    closed = build_calendar("closure = [ { first = 2026-05-05, last = 2026-05-05 } ]", shifts=NIGHT)
    assert works(closed, grid) == ["04 00:00-04 06:00", "04 22:00-05 00:00", "06 00:00-06 06:00", "06 22:00-07 00:00"]


def test_starts_leave_room_for_the_whole_work_and_avoid_what_is_taken() -> None:
    grid = Grid(utc("2026-05-04T04:00:00"), HOUR_S, 18)
    day = day_of(build_calendar(), grid)
    assert day.starts(14) == [0, 1, 2]
    assert day.starts(17) == []
    assert day.starts(4, busy=[(5, 8)]) == [0, 1, 8, 9, 10, 11, 12]


def test_prices_are_of_time_depreciation_and_the_energy_of_the_hour() -> None:
    energy = (
        "[energy]\nprice_per_kwh = 30\nco2e_mg_per_wh = 400\n"
        '[[energy.tariff]]\nstarts = "22:00"\nends = "06:00"\nprice_per_kwh = 10\n'
    )
    calendar = build_calendar(energy, depreciation_per_hour=400, power_w=5000, shifts=ROUND)
    day = day_of(calendar, Grid(utc("2026-05-03T22:00:00"), HOUR_S, 48))
    assert day.price(0, 2) == 2 * 4000 + 2 * 50, "at night"
    assert day.price(8, 2) == 2 * 4000 + 2 * 150, "by day"
    assert day.price(5, 2) == 2 * 4000 + 50 + 150, "from one into the other"
    assert day.wh(3) == 15_000


def test_no_price_is_rounded_down() -> None:
    random = Random(5)  # noqa: S311  # a test is to be repeatable
    for _ in range(200):
        rate, slot, power = random.randrange(1, 9999), random.choice([60, 900, 1000, 3600]), random.randrange(9999)
        calendar = build_calendar("[energy]\nprice_per_kwh = 7\n", rate_per_hour=rate, power_w=power, shifts=ROUND)
        day, duration = day_of(calendar, Grid(BASE, slot, 100)), random.randrange(1, 50)
        exact = rate * duration * slot / 3600 + power * duration * slot * 7 / 3_600_000
        assert exact <= day.price(3, duration) < exact + 2
        assert day.wh(duration) >= power * duration * slot / 3600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time_zone = 5", "calendar.toml, time_zone: it is not a text; see CALLS.md"),
        ('time_zone = "Europe/Berlin', "calendar.toml cannot be read at its end: "),
        ("time_zone =\nunit = 3", "calendar.toml cannot be read: line 1, column 12: "),
        ('time_zone = "Europe/Nowhere"\nunit = "EUR"', "there is no time zone 'Europe/Nowhere'"),
        ('time_zone = "../../etc/passwd"\nunit = "EUR"', "there is no time zone '../../etc/passwd'"),
        ('time_zone = "UTC"\nunit = "EUR"\nspindles = 3', "calendar.toml, machine: it is missing"),
    ],
)
def test_an_unusable_calendar_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(CalendarError) as error:
        parse_calendar(text.encode())
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ({"spindles": 3}, "machine.0.spindles: there is no such entry"),
        ({"rate_per_hour": -1}, "machine.0.rate_per_hour: it is less than 0"),
        ({"rate_per_hour": "12.5"}, "machine.0.rate_per_hour: it is not a whole number"),
        ({"machine": 1.5}, "machine.0.machine: it is neither a whole number nor a text"),
        ({"minutes": "{ turning = 0 }"}, "machine.0.minutes.turning: it is less than 1"),
        (
            {"shifts": '[ { days = ["mo"], starts = "06:00", ends = "22:00" } ]'},
            "machine.0.shifts.0.days.0: it is not one of 'mon', 'tue'",
        ),
        (
            {"shifts": '[ { days = ["mon"], starts = "6:00", ends = "24:00" } ]'},
            "machine.0.shifts.0.starts: it is not a time of day",
        ),
        (
            {"closure": "[ { first = 2026-05-05, last = 2026-05-04 } ]"},
            "a closure ends on 2026-05-04, before it begins",
        ),
    ],
)
def test_an_unusable_machine_is_refused_in_one_line(lines: dict[str, object], says: str) -> None:
    with pytest.raises(CalendarError) as error:
        build_calendar("", **lines)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_machine_has_one_entry() -> None:
    text = (
        'time_zone = "UTC"\nunit = "EUR"\n'
        + f"[[machine]]\nmachine = 1\nrate_per_hour = 1\nminutes = {{ turning = 1 }}\nshifts = {ROUND}\n" * 2
    )
    with pytest.raises(CalendarError, match="has a machine twice; give all its shifts in one entry"):
        parse_calendar(text.encode())
