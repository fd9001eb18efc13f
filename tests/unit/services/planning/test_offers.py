"""The offers that follow from a calendar, and what they let others know."""

from __future__ import annotations

import pytest

from millmark.ledger.plans.call import Capability, Choices, Range, parse_capability
from millmark.ledger.plans.offer import Offer
from millmark.services.planning.calendar import Calendar, Grid
from millmark.services.planning.offers import OwnMachine, build_offers, count_disclosed, why_not_lawful
from tests.support.planning_samples import BASE, ORDERS, build_calendar, build_call

CAPABILITY = (Capability("turning", (("diameter_mm", Range(10, 400)), ("material", Choices(("brass", "steel"))))),)
NIGHT_TARIFF = '[energy]\nprice_per_kwh = 30\n[[energy.tariff]]\nstarts = "18:00"\nends = "08:00"\nprice_per_kwh = 10\n'
UNTIL = BASE + 86_400


def offers_of(calendar: Calendar, *, busy: tuple[tuple[int, int], ...] = ()) -> list[Offer]:
    machine = OwnMachine(17, calendar.machines[0], CAPABILITY, busy)
    return build_offers(build_call(), calendar, [machine], 3, UNTIL).offers


def test_an_offer_says_what_the_calendar_says() -> None:
    found = offers_of(build_calendar(power_w=5000, setup_minutes=30, family='["material", "colour"]'))
    assert [(one.order, one.operation) for one in found] == [(ORDERS[0], 0), (ORDERS[1], 0)], "milling it does not do"
    one = found[0]
    assert (one.owner, one.machine, one.duration, one.setup) == (3, 17, 2, 1), "90 and 30 minutes, in whole hours"
    assert (one.family, one.wh, one.co2e_mg, one.until) == ("turning, steel", 10_000, 0, UNTIL)
    assert one.windows[0] == (5, 19, 7200), "the first day, from 06:00 on, done by 22:00"


def test_at_most_so_many_windows_are_offered_and_the_cheapest_is_among_them() -> None:
    for most in (1, 2, 3, 5):
        calendar = build_calendar(f"windows = {most}\n{NIGHT_TARIFF}", power_w=50_000)
        for one in offers_of(calendar):
            assert len(one.windows) <= most
            firsts = [first for first, _, _ in one.windows]
            assert firsts == sorted(firsts)
            cheapest = 2 * 3600 + 2 * 50 * 10
            assert most == 1 or cheapest in [price for _, _, price in one.windows]


def test_no_start_in_a_window_is_below_its_price_or_outside_the_hours() -> None:
    calendar = build_calendar(NIGHT_TARIFF, power_w=50_000)
    day = calendar.on(calendar.machines[0], Grid(BASE, 3600, 14 * 24))
    possible = set(day.starts(2))
    for one in offers_of(calendar):
        for first, last, price in one.windows:
            exact = [day.price(start, one.duration) for start in range(first, last + 1)]
            assert possible.issuperset(range(first, last + 1))
            assert price == max(exact)


def test_what_is_taken_is_not_offered_again() -> None:
    calendar = build_calendar(setup_minutes=60)
    taken = (7, 9)
    for one in offers_of(calendar, busy=(taken,)):
        for first, last, _ in one.windows:
            assert not any(
                start < taken[1] + 1 and start + one.duration > taken[0] - 1 for start in range(first, last + 1)
            )


def test_disclosed_slots_are_counted_once_a_machine() -> None:
    offers = offers_of(build_calendar("windows = 1"))
    assert len(offers) == 2
    assert count_disclosed(offers) == 32, "each is of a day of its own, 06:00 to 22:00"
    assert count_disclosed(offers[:1] * 2) == count_disclosed(offers[:1]) == 16
    narrow = offers_of(build_calendar("windows = 1\nmost_starts = 3"))
    assert count_disclosed(narrow) == 8, "three starts of two hours each, on two days"


@pytest.mark.parametrize(
    ("lines", "capability", "says"),
    [
        ({}, [], "machine 17 does no turning"),
        ({}, [{"kind": "turning", "limits": {"diameter_mm": [10, 50]}}], "does not do turning with this diameter_mm"),
        ({"minutes": "{ milling = 10 }"}, None, "has no minutes for turning in the calendar"),
        ({"closure": "[ { first = 2026-01-01, last = 2027-01-01 } ]"}, None, "has no time for it"),
        ({"minutes": "{ turning = 100000 }"}, None, "has no time for it"),
    ],
)
def test_why_there_is_no_offer_is_said_in_one_line(lines: dict[str, object], capability: object, says: str) -> None:
    calendar = build_calendar("", **lines)
    declared = CAPABILITY if capability is None else parse_capability(capability)  # type: ignore[arg-type]
    made = build_offers(build_call(), calendar, [OwnMachine(17, calendar.machines[0], declared)], 3, UNTIL)
    assert made.offers == []
    assert says in made.passed[0]
    assert made.passed[0].startswith("no offer for operation 1 of order 0x1111111111111111...: machine 17 ")
    assert len(made.passed) == 4, "each operation of both orders"


def test_an_offer_that_can_never_count_is_told_apart() -> None:
    call, owners = build_call(), {17: 3}
    good = offers_of(build_calendar())[0]
    assert why_not_lawful(call, good, owners) == ""
    other = build_call(readers=())
    assert why_not_lawful(other, good, owners) == "it is for another call"
    assert why_not_lawful(call, good, {17: 4}) == "machine 17 is not one of participant 3"
    assert why_not_lawful(call, good, {}) == "machine 17 is not one of participant 3"
    from dataclasses import replace  # noqa: PLC0415

    assert "does not ask for operation 5" in why_not_lawful(call, replace(good, operation=4), owners)
    assert "does not ask for" in why_not_lawful(call, replace(good, order=b"\3" * 32), owners)
    late = replace(good, windows=((0, 14 * 24 - 1, 5),))
    assert why_not_lawful(call, late, owners) == "a window ends after the call's last slot"
