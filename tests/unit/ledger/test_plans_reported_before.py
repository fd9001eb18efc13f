"""What a refusal says of a plan that replaces another one, and of a part that its owner checks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import PlanRefusedError
from millmark.ledger.plans.check import check_part
from millmark.ledger.plans.feasible import verify_alone, verify_before
from millmark.ledger.plans.file import PlanPart
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Cost, Leg, Plan, Row

CALL, ORDER = bytes(32), b"\1" * 32
OWNER = 11


def _name(number: int) -> bytes:
    return bytes([16 + number]) * 32


def _offer(number: int, operation: int, machine: int) -> Offer:
    return Offer(CALL, OWNER, machine, ORDER, operation, 2, 0, "a", ((0, 9, 5 + number),), 500, 700, 0)


OFFERS = {
    _name(number): _offer(number, operation, machine)
    for number, (operation, machine) in enumerate([(0, 1), (1, 2), (0, 3), (1, 3), (1, 4)])
}
"""The first two are taken; machine 3 is offered for both operations."""


def _row(number: int, start: int) -> Row:
    offer = OFFERS[_name(number)]
    return Row(ORDER, offer.operation, _name(number), offer.machine, OWNER, start, start + 2, 5 + number, 500, 700)


FIRST, SECOND = _row(0, 0), _row(1, 4)
LEG = Leg(ORDER, 1, OWNER, 12, 0, 6, 8, 0)
COST = Cost(0, 0, 0, 0)
BEFORE = Plan(CALL, tuple(OFFERS), CALL, (FIRST, SECOND), (LEG,), COST, Bound(0, ()))


def _replaced(kind: CauseKind = CauseKind.LATE, before: Plan = BEFORE, **more: object) -> Plan:
    dropped = more.get("dropped", ())
    assert isinstance(dropped, tuple)
    offers = tuple(name for name in OFFERS if name not in dropped)
    plan = replace(before, before=before.digest, cause=Cause(kind, "", record=1), offers=offers, dropped=())
    return replace(plan, **more)  # type: ignore[arg-type]  # its members


def _told(error: PlanRefusedError) -> tuple[int | None, str]:
    """Operation and sentence, without the row at its end."""
    row = "" if error.order is None else f" (order {to_hex(error.order)}, operation "
    return error.operation, str(error).split(row)[0] if row else str(error)


REFUSED: list[tuple[Plan, Plan, int | None, str]] = [
    (_replaced(before=replace(BEFORE, tie=ORDER)), BEFORE, None, "the plan before is not the one that it names"),
    (
        replace(_replaced(before=replace(BEFORE, call=ORDER)), call=CALL),
        replace(BEFORE, call=ORDER),
        None,
        "the plan before is for another call",
    ),
    (
        _replaced(fixed=(SECOND.key,), rows=(FIRST, replace(SECOND, start=5, end=7))),
        BEFORE,
        1,
        "is fixed, and differs from the plan before",
    ),
    (
        _replaced(CauseKind.DRIFT, before=replace(BEFORE, offers=tuple(OFFERS)[:4]), dropped=(_name(4),)),
        replace(BEFORE, offers=tuple(OFFERS)[:4]),
        None,
        "it drops an offer that the plan before did not have",
    ),
    (
        _replaced(now=7, legs=(replace(LEG, carrier=13),)),
        BEFORE,
        1,
        "the leg after it starts in slot 6, before 7, and the plan before has none such",
    ),
    *(
        (_replaced(kind, dropped=(_name(2),)), BEFORE, 0, f"an offer is dropped, and the cause {kind.value} takes none")
        for kind in (CauseKind.CERTIFICATE, CauseKind.LATE, CauseKind.ENERGY, CauseKind.CALL)
    ),
    *(
        (
            _replaced(kind, dropped=(_name(2), _name(4))),
            BEFORE,
            1,
            f"offers of machines 3 and 4 are dropped by one cause {kind.value}",
        )
        for kind in (CauseKind.MACHINE_DOWN, CauseKind.DRIFT, CauseKind.DECLINED)
    ),
    (
        _replaced(CauseKind.DECLINED, dropped=(_name(2), _name(3))),
        BEFORE,
        1,
        "is not the operation that was declined, and its offer is dropped",
    ),
    (
        _replaced(CauseKind.CERTIFICATE, reworked=(FIRST, FIRST)),
        BEFORE,
        0,
        "is reworked twice, and the plan before has it once",
    ),
    *(
        (_replaced(kind, reworked=(FIRST,)), BEFORE, 0, f"is reworked, and the cause {kind.value} asks for none")
        for kind in CauseKind
        if kind is not CauseKind.CERTIFICATE
    ),
    (
        _replaced(CauseKind.CERTIFICATE, reworked=(replace(FIRST, price=4),)),
        BEFORE,
        0,
        "is reworked, and the plan before has it otherwise",
    ),
    (
        _replaced(CauseKind.CERTIFICATE, reworked=(FIRST,), fixed=(FIRST.key,)),
        BEFORE,
        0,
        "is reworked, and stays fixed",
    ),
]


@pytest.mark.parametrize(("plan", "before", "operation", "told"), REFUSED)
def test_a_refusal_says_what_the_plan_before_had(plan: Plan, before: Plan, operation: int | None, told: str) -> None:
    with pytest.raises(PlanRefusedError) as caught:
        verify_before(plan, before, OFFERS)
    assert caught.value.rule == "before"
    assert _told(caught.value) == (operation, f"rule before: {told}")


REWORKED = _replaced(CauseKind.CERTIFICATE, reworked=(FIRST,), rows=(_row(0, 2), SECOND))
"""The first operation is done again, in slot 2."""


@pytest.mark.parametrize(
    ("plan", "before"),
    [
        (_replaced(), BEFORE),
        (_replaced(fixed=(FIRST.key, SECOND.key)), BEFORE),
        (_replaced(now=7), BEFORE),
        (_replaced(now=6, legs=(replace(LEG, carrier=13),)), BEFORE),
        (_replaced(CauseKind.MACHINE_DOWN, dropped=(_name(2), _name(3))), BEFORE),
        (_replaced(CauseKind.DRIFT, dropped=(_name(2), _name(3))), BEFORE),
        (_replaced(CauseKind.DECLINED, dropped=(_name(3),)), BEFORE),
        (_replaced(CauseKind.CERTIFICATE, reworked=(FIRST, SECOND)), BEFORE),
        (_replaced(before=REWORKED), REWORKED),
        (_replaced(CauseKind.CERTIFICATE, before=REWORKED, reworked=(FIRST, _row(0, 2))), REWORKED),
    ],
)
def test_a_plan_replaces_another_one_by_its_cause(plan: Plan, before: Plan) -> None:
    verify_before(plan, before, OFFERS)


def test_what_was_set_aside_before_needs_no_new_cause() -> None:
    before = _replaced(CauseKind.MACHINE_DOWN, dropped=(_name(2), _name(3)))
    verify_before(_replaced(before=before, dropped=before.dropped), before, OFFERS)
    verify_before(_replaced(CauseKind.DECLINED, before=before, dropped=(*before.dropped, _name(4))), before, OFFERS)


def test_a_rework_is_not_forgotten() -> None:
    for reworked in ((), (SECOND,), (_row(0, 2),)):
        with pytest.raises(PlanRefusedError) as caught:
            verify_before(_replaced(CauseKind.CERTIFICATE, before=REWORKED, reworked=reworked), REWORKED, OFFERS)
        told = "rule before: was reworked by the plan before, and is not by this one"
        assert _told(caught.value) == (0, told)


def test_a_rework_is_shown_with_the_plan_before() -> None:
    verify_alone(_replaced())
    with pytest.raises(PlanRefusedError) as caught:
        verify_alone(replace(REWORKED, reworked=(FIRST, SECOND)))
    told = "rule before: is reworked, and the plan before, which has that row, is not in the file"
    assert _told(caught.value) == (0, told)


# Parts

PRICES = ((1, ((0, 3), (1, 4), (2, 5))), (2, ((4, 6),)), (9, ((0, 100),)))
"""Rows are on machine 1 in slots 0 and 1, and on machine 2 in 4 and 5; machine 9 is another owner's."""
PART = PlanPart(CALL, CALL, OWNER, tuple(OFFERS), (), CALL, (FIRST, SECOND), (), 25, Bound(20, PRICES))


def test_an_owner_is_told_what_its_unused_slots_are_worth() -> None:
    found = check_part(PART, OFFERS.items())
    assert (found.unsold, found.gap, found.dropped) == (5, 5, 0)
    with pytest.raises(PlanRefusedError) as caught:
        check_part(replace(PART, total=24), OFFERS.items())
    assert caught.value.rule == "bound"
    told = "rule bound: unused slots with prices add up to 5, more than the gap of 4"
    assert _told(caught.value) == (None, told)


def test_an_owner_is_told_of_an_offer_left_out() -> None:
    kept = tuple(name for name in OFFERS if name != _name(3))
    set_aside = replace(PART, offers=kept, dropped=(_name(3),))
    assert check_part(set_aside, OFFERS.items()).dropped == 1
    with pytest.raises(PlanRefusedError) as caught:
        check_part(replace(PART, offers=kept), OFFERS.items())
    assert (caught.value.rule, caught.value.order) == ("offers", ORDER)
    assert _told(caught.value) == (1, f"rule offers: offer {to_hex(_name(3))} was left out")


@pytest.mark.parametrize(
    "changed",
    [
        replace(PART, rows=(FIRST, replace(SECOND, offer=_name(9)))),
        replace(PART, rows=(FIRST, replace(SECOND, offer=_name(2)))),
        replace(PART, rows=(FIRST, replace(SECOND, order=b"\2" * 32))),
        replace(PART, offers=tuple(name for name in OFFERS if name != _name(1)), dropped=(_name(1),)),
    ],
    ids=["of nobody", "for another operation", "for another order", "set aside"],
)
def test_an_owner_is_told_of_a_row_that_it_did_not_offer(changed: PlanPart) -> None:
    with pytest.raises(PlanRefusedError) as caught:
        check_part(changed, OFFERS.items())
    assert (caught.value.rule, caught.value.order) == ("offer", changed.rows[1].order)
    told = "rule offer: its offer is not one of this owner's for that operation"
    assert _told(caught.value) == (1, told)


@pytest.mark.parametrize(
    "change",
    [{"machine": 3}, {"owner": 12}, {"end": 7}, {"price": 5}, {"wh": 499}, {"co2e_mg": 701}, {"start": 10, "end": 12}],
    ids=str,
)
def test_an_owner_is_told_of_a_row_that_is_otherwise(change: dict[str, int]) -> None:
    changed = replace(PART, rows=(FIRST, replace(SECOND, **change)))  # type: ignore[arg-type]  # its numbers
    with pytest.raises(PlanRefusedError) as caught:
        check_part(changed, OFFERS.items())
    assert caught.value.rule == "window"
    assert _told(caught.value) == (1, "rule window: is not as it was offered")
