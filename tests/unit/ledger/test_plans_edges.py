"""Where a plan's rules turn: the first slot that counts, the last that does, and offers that nearly tie."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.errors import PlanError, PlanRefusedError
from millmark.ledger.plans.call import Job, Need, Objective, Operation, Transport
from millmark.ledger.plans.check import _length_of_union, check_lines, check_plan, check_to_json, count_offers
from millmark.ledger.plans.feasible import find_tied, tie_rank, verify_before, verify_legs
from millmark.ledger.plans.file import build_part
from millmark.ledger.plans.offer import Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Leg, Plan, Row
from millmark.ledger.plans.problem import NO_PATH, Problem, SlotPrices, build_problem, derive_bound, path_cost
from tests.support.plan_world import draw_file, made_file, replanned_file

CALL, ORDER = bytes(32), b"\1" * 32
HOME, AWAY = 11, 12
WINDOWS = ((0, 9, 5),)
WAYS = (Transport(HOME, AWAY, 2, 0, 0), Transport(AWAY, HOME, 3, 0, 0))


def _offer(owner: int, operation: int, machine: int, windows: tuple[tuple[int, int, int], ...] = WINDOWS) -> Offer:
    return Offer(CALL, owner, machine, ORDER, operation, 1, 0, "a", windows, 0, 0, 0)


def _named(*offers: Offer) -> list[tuple[bytes, Offer]]:
    return [(sha256(bytes([number])), offer) for number, offer in enumerate(offers)]


def _build(
    named: list[tuple[bytes, Offer]], *, destination: int | None = None, operations: int = 2, **more: object
) -> Problem:
    job = Job(ORDER, bytes(32), 0, 9, tuple(Operation(number, Need("turning")) for number in range(operations)))
    goal = () if destination is None else ((ORDER, destination),)
    objective: Objective = replace(made_file(0).objective, transport=WAYS, destination=goal, tardiness=((ORDER, 1),))
    return build_problem(replace(made_file(0).call, jobs=(job,), slots=12), objective, named, **more)  # type: ignore[arg-type]


def _row(named: list[tuple[bytes, Offer]], number: int, start: int) -> Row:
    name, offer = named[number]
    return Row(ORDER, offer.operation, name, offer.machine, offer.owner, start, start + offer.duration, 5, 0, 0)


def _tied(named: list[tuple[bytes, Offer]], rows: list[Row], destination: int | None = None) -> list[int]:
    """Machines of the offers that tie, by whichever hash prefers them."""
    problem = _build(named, destination=destination)
    ties = (sha256(bytes([number])) for number in range(40))
    return sorted({choice.machine for tie in ties for _, choice in find_tied(problem, rows, tie, frozenset())})


@pytest.mark.parametrize(("second", "tied"), [(3, []), (4, []), (5, [2]), (6, [2])])
def test_an_offer_ties_only_if_its_part_is_at_the_next_machine_in_time(second: int, tied: list[int]) -> None:
    """From AWAY, three slots after the first operation has ended in slot 2."""
    named = _named(_offer(HOME, 0, 1), _offer(AWAY, 0, 2), _offer(HOME, 1, 3))
    assert _tied(named, [_row(named, 0, 1), _row(named, 2, second)]) == tied


@pytest.mark.parametrize(("second", "tied"), [(2, []), (3, []), (4, [4]), (5, [4])])
def test_an_offer_ties_only_if_the_part_can_be_there_in_time(second: int, tied: list[int]) -> None:
    """At AWAY, two slots after the first operation has ended in slot 2."""
    named = _named(_offer(HOME, 0, 1), _offer(HOME, 1, 3), _offer(AWAY, 1, 4))
    assert _tied(named, [_row(named, 0, 1), _row(named, 1, second)]) == tied


@pytest.mark.parametrize(("start", "tied"), [(5, [4]), (6, []), (7, [])])
def test_an_offer_that_makes_the_order_late_is_no_tie(start: int, tied: list[int]) -> None:
    """Due in slot 9 at HOME: from AWAY, which is three slots away, what ends after slot 6 is late."""
    named = _named(_offer(HOME, 0, 1), _offer(HOME, 1, 3), _offer(AWAY, 1, 4))
    assert _tied(named, [_row(named, 0, 1), _row(named, 1, start)], destination=HOME) == tied


def test_equal_offers_tie_only_where_the_machine_is_free() -> None:
    named = _named(_offer(HOME, 0, 1), _offer(HOME, 0, 2), _offer(HOME, 1, 2))
    assert _tied(named, [_row(named, 0, 1), _row(named, 2, 2)]) == [2]
    longer = [(name, replace(offer, duration=1 + (offer.machine == 2))) for name, offer in named]
    assert _tied(longer, [_row(longer, 0, 1), _row(longer, 2, 2)]) == []


def test_the_hash_decides_between_equal_offers() -> None:
    named = _named(_offer(HOME, 0, 1), _offer(HOME, 0, 2), _offer(HOME, 1, 3))
    rows, problem = [_row(named, 0, 1), _row(named, 2, 5)], _build(named)
    for number in range(20):
        tie = sha256(bytes([number]))
        preferred = tie_rank(tie, named[1][0]) < tie_rank(tie, named[0][0])
        assert bool(list(find_tied(problem, rows, tie, frozenset()))) == preferred
        assert not list(find_tied(problem, rows, tie, frozenset([rows[0].key])))


def test_an_offer_may_start_in_the_last_slot_of_its_window() -> None:
    named = _named(_offer(HOME, 0, 1, ((0, 3, 5), (4, 4, 6), (6, 11, 7))), _offer(HOME, 1, 3))
    windows = {now: _build(named, now=now).routes[0].choices[0][0].windows for now in (3, 4, 5)}
    assert windows == {
        3: ((3, 3, 5), (4, 4, 6), (6, 11, 7)),
        4: ((4, 4, 6), (6, 11, 7)),
        5: ((6, 11, 7),),
    }
    [choice] = _build(named, now=4).routes[0].choices[0]
    assert [choice.cost_at(start) for start in (3, 4, 5, 6, 11, 12)] == [None, 6, None, 7, 7, None]


def test_what_follows_a_fixed_row_waits_for_its_leg() -> None:
    """The first operation is done, at HOME. What is at HOME starts at once, and what is elsewhere, when a leg can be
    there: that which was under way, or a new one."""
    named = _named(_offer(HOME, 0, 1), _offer(HOME, 1, 3), _offer(AWAY, 1, 4))
    done = _row(named, 0, 1)
    leg = Leg(ORDER, 0, HOME, AWAY, 0, 3, 7, 0)

    def first(*legs: Leg, now: int = 4) -> dict[int, int]:
        problem = _build(named, now=now, fixed={done.key: done}, legs=legs)
        return {choice.machine: choice.windows[0][0] for choice in problem.routes[0].choices[1]}

    assert first() == {3: 4, 4: 6}
    assert first(leg) == {3: 4, 4: 7}
    assert first(leg, now=8) == {3: 8, 4: 8}
    assert first(replace(leg, start=4)) == {3: 4, 4: 6}, "it had not left"
    assert first(replace(leg, destination=HOME)) == {3: 4, 4: 6}, "it goes elsewhere"


def test_an_order_without_a_path_has_no_bound() -> None:
    prices = SlotPrices(12, {})
    both = _named(_offer(HOME, 0, 1), _offer(HOME, 1, 3))
    assert derive_bound(_build(both), prices) is not None
    assert derive_bound(_build(both[:1]), prices) is None, "nobody offers the second operation"
    late = _named(_offer(HOME, 0, 1, ((0, 3, 5),)), _offer(HOME, 0, 2), _offer(HOME, 1, 3))
    after = _build(late, now=4)
    assert sorted(choice.windows for choice in after.routes[0].choices[0]) == [(), ((4, 9, 5),)]
    assert derive_bound(after, prices) == derive_bound(_build(late[1:], now=4), prices)
    assert derive_bound(_build([late[0], late[2]], now=4), prices) is None


def test_the_last_leg_begins_where_the_last_operation_was() -> None:
    """Of one operation, and of three."""
    for owners in ((AWAY,), (HOME, HOME, AWAY)):
        named = _named(*(_offer(owner, number, number + 1) for number, owner in enumerate(owners)))
        rows = [_row(named, number, 3 * number) for number in range(len(named))]
        legs = [Leg(ORDER, 1, HOME, AWAY, 0, 4, 6, 0)] if len(owners) > 1 else []
        last = Leg(ORDER, len(owners) - 1, AWAY, HOME, 0, rows[-1].end, rows[-1].end + 3, 0)
        problem = _build(named, destination=HOME, operations=len(owners))
        verify_legs(problem, cast("Plan", SimpleNamespace(rows=rows, legs=[*legs, last])))
        with pytest.raises(PlanRefusedError, match=f"lacks a leg from {AWAY} to {HOME}"):
            verify_legs(problem, cast("Plan", SimpleNamespace(rows=rows, legs=legs)))


def test_what_is_offered_twice_counts_once() -> None:
    assert _length_of_union([]) == 0
    assert _length_of_union([(6, 10), (5, 8), (12, 13), (6, 7)]) == 6
    assert _length_of_union([(0, 2), (2, 3)]) == 3
    draw = random.Random(1)  # noqa: S311 - reproducible
    for _ in range(200):
        spans = [(low, low + draw.randint(1, 5)) for low in draw.choices(range(20), k=draw.randint(1, 6))]
        assert _length_of_union(spans) == len({slot for low, high in spans for slot in range(low, high)})


@pytest.mark.parametrize(("early", "counts"), [(1, False), (0, True), (-1, True)])
def test_an_offer_counts_that_is_valid_until_the_call_closes(early: int, counts: bool) -> None:
    file = draw_file(1)
    [first, *_] = [item.entry for item in file.offers if isinstance(item.entry, Offer)]
    opened = OpenedOffer(replace(first, until=file.call.closes - early), bytes(32))
    found = count_offers(file.call, file.machines, [opened])
    assert found.offers == ({opened.id: opened.entry} if counts else {})
    assert found.refused == ({} if counts else {opened.id: "expired before the call closed"})


def test_a_withdrawal_says_its_cause() -> None:
    plain = OfferWithdrawal(CALL, ORDER)
    caused = replace(plain, cause=Cause(CauseKind.MACHINE_DOWN, "spindle", record=7))
    for withdrawal in (plain, caused):
        assert OfferWithdrawal.parse(withdrawal.to_json()) == withdrawal
    assert "cause" not in plain.to_json()


def test_a_total_is_at_most_what_every_reader_of_json_keeps() -> None:
    file = made_file(3)
    assert file.plan is not None
    part = build_part(file.plan, 12)
    assert replace(part, total=2**53 - 1).total == 2**53 - 1
    for total in (-1, 2**53):
        with pytest.raises(PlanError, match="the total of a plan's part"):
            replace(part, total=total)


def test_who_declines_one_operation_declines_no_other() -> None:
    file = made_file(3)
    before = file.plan
    assert before is not None
    used = {row.offer for row in before.rows}
    offers = {item.id: item.entry for item in file.offers if isinstance(item.entry, Offer)}
    by_machine = [name for name in before.offers if name not in used and offers[name].machine == 2]
    dropped = tuple(sorted(by_machine)[:2])
    assert len(dropped) == 2
    kept = tuple(name for name in before.offers if name not in dropped)
    for kind, cause in (
        (CauseKind.DECLINED, "is not the operation that was declined"),
        (CauseKind.MACHINE_DOWN, "^(?!.*dropped)"),
    ):
        plan = replace(before, before=before.digest, cause=Cause(kind, "", record=1), dropped=dropped, offers=kept)
        with pytest.raises(PlanRefusedError, match=cause):
            check_plan(replace(file, plan=replace(plan, bound=Bound(0, ())), before=before))


def test_what_stays_fixed_hides_no_tie_of_what_follows() -> None:
    named = _named(_offer(HOME, 0, 1), _offer(HOME, 1, 3), _offer(HOME, 1, 4))
    rows, problem = [_row(named, 0, 1), _row(named, 1, 5)], _build(named)
    tie = next(tie for number in range(40) if _prefers(tie := sha256(bytes([number])), named[2][0], named[1][0]))
    assert [choice.machine for _, choice in find_tied(problem, rows, tie, frozenset([rows[0].key]))] == [4]


def _prefers(tie: bytes, one: bytes, other: bytes) -> bool:
    return tie_rank(tie, one) < tie_rank(tie, other)


@pytest.mark.parametrize(
    ("second", "start", "cost"),
    [
        (1, 2, 5 + 5),  # two slots before it is due
        (1, 8, 5 + 5),
        (1, 9, 5 + 5 + 1),  # a slot late
        (2, 4, 5 + 5 + 7),  # by the way to AWAY
        (2, 10, 5 + 5 + 7 + 2),
        (3, 4, NO_PATH),  # there is no way to it
        (1, 11, NO_PATH),  # it is not offered then
    ],
)
def test_a_path_costs_prices_ways_and_lateness(second: int, start: int, cost: int) -> None:
    elsewhere = 13
    windows = ((0, 10, 5),)
    offers = (_offer(HOME, 0, 1), *(_offer(owner, 1, owner, windows) for owner in (HOME, AWAY, elsewhere)))
    named = _named(*offers)
    problem = _build(named)
    problem = replace(problem, transport={(HOME, AWAY): Transport(HOME, AWAY, 2, 7, 0)})
    [route] = problem.routes
    first = route.choices[0][0]
    owners = {choice.owner: choice for choice in route.choices[1]}
    chosen = owners[(HOME, AWAY, elsewhere)[second - 1]]
    assert path_cost(problem, route, [(first, 0), (chosen, start)], SlotPrices(12, {})) == cost
    priced = SlotPrices(12, {1: [3] + [0] * 11})
    assert path_cost(problem, route, [(first, 0), (chosen, start)], priced) == min(cost + 3, NO_PATH)


def test_what_moved_leaves_out_what_is_made_again() -> None:
    reworked = 0
    for seed in range(16):
        file = replanned_file(seed)
        assert file.plan is not None
        assert file.before is not None
        now = {row.key: row for row in file.plan.rows}
        made_again = {row.key for row in file.plan.reworked}
        moved = 0
        for row in file.before.rows:
            same = row.key in now and (now[row.key].offer, now[row.key].start) == (row.offer, row.start)
            moved += row.key not in made_again and not same
        assert check_plan(file).moved == moved
        reworked += bool(made_again)
    assert reworked > 1


def test_a_cause_may_be_said_to_take_all_offers_that_there_were() -> None:
    """More than one cause can: that is another rule."""
    before = made_file(3).plan
    assert before is not None
    offers = {item.id: item.entry for item in made_file(3).offers if isinstance(item.entry, Offer)}
    cause = Cause(CauseKind.DECLINED, "", record=1)
    plan = replace(before, before=before.digest, cause=cause, dropped=before.offers, offers=(), fixed=())
    with pytest.raises(PlanRefusedError, match="are dropped by one cause declined"):
        verify_before(plan, before, offers)
    with pytest.raises(PlanRefusedError, match="that the plan before"):
        verify_before(replace(plan, dropped=tuple(sorted((*before.offers, bytes(32))))), before, offers)


def test_causes_are_written_as_they_ever_were() -> None:
    """They are part of what a plan's digest is about."""
    assert [kind.value for kind in CauseKind] == [
        "machine-down",
        "drift",
        "certificate",
        "late",
        "energy",
        "declined",
        "call",
    ]


def test_a_check_says_the_same_to_people_and_to_programs() -> None:
    file = made_file(3)
    found = check_plan(file)
    lines = list(check_lines(file, found))
    assert found.plan.rows
    shares = ", ".join(f"company {one.owner} {one.used} of {one.offered}" for one in found.shares())
    assert f"used of the slots offered: {shares}" in lines
    told = check_to_json(file, found)
    assert list(told) == [
        *("holds", "plan", "call", "unit", "cost", "bound", "gap_per_mille", "rows", "offers", "not_counted"),
        *("shares", "jain_per_mille", "moved", "not_checked"),
    ]
