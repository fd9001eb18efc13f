"""The document of one row of a plan: what the records that propose and accept it commit to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Cost, Plan, Row

WORD, ORDER, OTHER = bytes(32), b"\1" * 32, b"\2" * 32
FIRST = Row(ORDER, 0, WORD, 1, 11, 4, 6, 5, 500, 700)
SECOND, THIRD = replace(FIRST, operation=1, start=7, end=9), replace(FIRST, order=OTHER)
EARLIER = replace(FIRST, start=0, end=2)
PLAN = Plan(
    call=WORD,
    offers=(WORD,),
    tie=WORD,
    rows=(FIRST, SECOND, THIRD),
    legs=(),
    cost=Cost(15, 0, 0, 0, 15),
    bound=Bound(0, ()),
    before=WORD,
    cause=Cause(CauseKind.CERTIFICATE, "", record=1),
    reworked=(EARLIER, replace(EARLIER, start=2, end=4), replace(EARLIER, order=OTHER)),
)


def test_a_row_is_shown_with_its_plan_and_with_which_rework_it_is() -> None:
    named = {"plan": to_hex(PLAN.digest)}
    assert [PLAN.reworks(row.key) for row in PLAN.rows] == [2, 0, 1]
    assert PLAN.row_document(FIRST.key) == {**named, "row": FIRST.to_json(), "rework": 2}
    assert PLAN.row_document(SECOND.key) == {**named, "row": SECOND.to_json()}
    assert PLAN.row_document(THIRD.key) == {**named, "row": THIRD.to_json(), "rework": 1}


def test_a_row_that_the_plan_lacks_has_no_document() -> None:
    for order, operation in ((ORDER, 2), (OTHER, 1), (WORD, 0)):
        assert PLAN.reworks((order, operation)) == 0
        with pytest.raises(PlanError) as caught:
            PLAN.row_document((order, operation))
        told = f"the plan has no row for operation {operation + 1} of order {to_hex(order)}"
        assert str(caught.value) == told
