"""What a plan is made from: the tie hash, what stays when it is replaced, and what its cause takes away."""

from __future__ import annotations

from random import Random

import pytest

from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import CauseKind, Plan
from millmark.ledger.records import AssignmentState
from millmark.ledger.store.rows import AssignmentRow
from millmark.services.planning.consent import Standing
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.making import Times, find_dropped, find_kept, find_tie, slot_now
from tests.support.planning_samples import ORDERS, build_call, build_opened, build_plan, build_row

STATES = {state.name: state for state in AssignmentState}


def standing_of(row_states: dict[int, str], *, same: bool = True) -> dict[tuple[bytes, int], Standing]:
    found = {}
    for operation, name in row_states.items():
        state = STATES[name].value
        times = (1, 0, 0, 0)
        row = AssignmentRow(9, ORDERS[0], operation, 17, 3, state, *times, None, 0, 0, None, bytes(32))
        found[ORDERS[0], operation] = Standing(row, same)
    return found


@pytest.fixture
def plan() -> Plan:
    rows = tuple(build_row(operation=number, offer=bytes([number + 1]) * 32) for number in range(4))
    return build_plan(build_call(), [bytes([number]) * 32 for number in range(1, 7)], rows)


STANDING = {0: "FINISHED", 1: "STARTED", 2: "ACCEPTED", 3: "PROPOSED"}


@pytest.mark.parametrize(
    ("kind", "machine", "started", "accepted"),
    [
        (CauseKind.CALL, None, {0, 1}, {2}),
        (CauseKind.LATE, None, {0, 1}, {2}),
        (CauseKind.MACHINE_DOWN, 17, {0}, set()),
        (CauseKind.DRIFT, 17, {0, 1}, set()),
        (CauseKind.MACHINE_DOWN, 18, {0, 1}, {2}),
    ],
)
def test_what_has_begun_stays_and_what_was_accepted_unless_its_machine_is_out(
    plan: Plan, kind: CauseKind, machine: int | None, started: set[int], accepted: set[int]
) -> None:
    found = find_kept(plan, standing_of(STANDING), kind, machine)
    assert [{number for _, number in keys} for keys in found] == [started, accepted]


def test_assignments_of_other_rows_keep_nothing(plan: Plan) -> None:
    nothing: frozenset[tuple[bytes, int]] = frozenset()
    assert find_kept(plan, standing_of(STANDING, same=False), CauseKind.CALL, None) == (nothing, nothing)


def test_a_machine_that_is_out_takes_its_offers_away_but_those_that_work_rests_on(plan: Plan) -> None:
    random = Random(3)  # noqa: S311  # a test is to be repeatable
    made = [build_opened(build_call(), random, machine) for machine in (17, 17, 17, 17, 18, 17)]
    offers = {bytes([place + 1]) * 32: one.entry for place, one in enumerate(made) if isinstance(one.entry, Offer)}
    gone = find_dropped(plan, offers, {(ORDERS[0], 0)}, 17)
    assert sorted(leaf[0] for leaf in gone) == [2, 3, 4, 6]
    assert find_dropped(plan, offers, set(), None) == frozenset()
    assert sorted(leaf[0] for leaf in find_dropped(plan, offers, set(), None, {(ORDERS[0], 3)})) == [4]


def test_the_tie_hash_is_of_the_first_block_since_the_call_closed() -> None:
    times = [10, 10, 13, 20, 20, 21, 40]
    chain = Times(len(times) - 1, times.__getitem__, lambda number: bytes([number]) * 32)
    for closes, number in ((1, 0), (10, 0), (11, 2), (14, 3), (20, 3), (22, 6), (40, 6)):
        assert find_tie(chain, closes) == bytes([number]) * 32
    with pytest.raises(PlanningError, match="no final block is as late as the call's closing time yet"):
        find_tie(chain, 41)


def test_now_is_the_first_slot_that_has_not_begun() -> None:
    call = build_call()
    for after, slot in ((-5, 0), (0, 0), (1, 1), (3600, 1), (3601, 2)):
        assert slot_now(call, call.origin + after) == slot
