"""When a query is executed: against a second reading of the standard, minute by minute, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.services.interop.epcis.named_queries import FIELDS, SubscriptionError, parse_schedule

NOW = datetime(2026, 2, 27, 23, 58, 30, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def next_of(schedule: object, now: datetime = NOW) -> str:
    found = parse_schedule(schedule, ms(now)).next_after(ms(now))  # type: ignore[arg-type]  # refusals are tested too
    assert found is not None
    return datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S %a")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"hour": "1", "minute": "5"}, "2026-02-28T01:05:00 Sat"),
        ({"minute": "58"}, "2026-02-28T00:58:00 Sat"),
        ({"second": "30"}, "2026-02-27T23:59:30 Fri"),
        ({"second": 31}, "2026-02-27T23:58:31 Fri"),
        ({"dayOfWeek": "1"}, "2026-03-02T00:00:00 Mon"),
        ({"dayOfWeek": "7", "dayOfMonth": "[1-7]", "hour": "6", "minute": "0"}, "2026-03-01T06:00:00 Sun"),
        ({"dayOfMonth": "29", "month": "2", "hour": "0", "minute": "0"}, "2028-02-29T00:00:00 Tue"),
        ({"minute": "[50-58],3,1"}, "2026-02-28T00:01:00 Sat"),
    ],
)
def test_the_next_time(schedule: dict[str, object], expected: str) -> None:
    assert next_of(schedule) == expected


def test_a_leap_day_is_found_beyond_a_year_without_one() -> None:
    assert next_of({"dayOfMonth": "29", "month": "2"}, datetime(2096, 3, 1, tzinfo=UTC)).startswith("2104-02-29")


VALUES = {name: st.sets(st.integers(*FIELDS[name]), min_size=1, max_size=6) for name in ("minute", "hour", "dayOfWeek")}


@given(
    st.fixed_dictionaries(
        {"minute": VALUES["minute"]}, optional={name: VALUES[name] for name in ("hour", "dayOfWeek")}
    ),
    st.integers(0, 10**6),
)
def test_times_are_those_that_match_every_field(fields: dict[str, set[int]], ahead_s: int) -> None:
    now = NOW + timedelta(seconds=ahead_s)
    found = parse_schedule({name: ",".join(map(str, one)) for name, one in fields.items()}, ms(now)).next_after(ms(now))
    minute = now.replace(second=0) + timedelta(minutes=1)
    while not all(
        value in fields.get(name, {value})
        for name, value in (("minute", minute.minute), ("hour", minute.hour), ("dayOfWeek", minute.isoweekday()))
    ):
        minute += timedelta(minutes=1)
    assert found == ms(minute)


@pytest.mark.parametrize(
    "schedule",
    [
        None, [], "5 1 * * *", {}, {"year": "2026"}, {"minute": "60"}, {"minute": "-1"}, {"minute": ""},
        {"minute": "5,"}, {"minute": "[5]"}, {"minute": "[9-5]"}, {"minute": "0/30"}, {"minute": "*"}, {"minute": True},
        {"minute": 5.0}, {"minute": [5]}, {"minute": "٥"}, {"minute": "1," * 200 + "1"}, {"hour": "24"},
        {"dayOfMonth": "0"}, {"month": "13"}, {"dayOfWeek": "0"}, {"dayOfWeek": "8"}, {"second": "0,30"},
        {"second": "[0-59]"}, {"second": "0/30"}, {"dayOfMonth": "31", "month": "2,4,6"},
    ],
)  # fmt: skip
def test_what_is_refused(schedule: object) -> None:
    with pytest.raises(SubscriptionError):
        next_of(schedule)
