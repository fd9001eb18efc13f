"""What is told of a document that is not in the form of PLANS.md, so that its author finds the place."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import Json, canonical_json, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.plans import form
from millmark.ledger.plans.call import Need, Objective
from millmark.ledger.plans.file import PlanPart, parse_plan_file
from millmark.ledger.plans.form import MAX_OFFERS
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Cost, Plan, Row

VECTORS = Path(__file__).parents[2] / "vectors" / "plans.json"
WORD, ORDER = bytes(32), b"\1" * 32
ROW = Row(ORDER, 0, WORD, 1, 1, 0, 1, 0, 0, 0)
COST = Cost(0, 0, 0, 0)
PLAN = Plan(WORD, (), WORD, (), (), COST, Bound(0, ()), before=WORD, cause=Cause(CauseKind.CERTIFICATE, "", record=0))
PART = PlanPart(WORD, WORD, 1, (), (), WORD, (), (), 0, Bound(0, ()))


@functools.cache
def _replanned() -> str:
    """A file whose plan has fixed rows and slot prices."""
    [file] = [one["file"] for one in json.loads(VECTORS.read_text("utf-8"))["accepted"] if one["file"]["plan"]["fixed"]]
    return json.dumps(file)


@pytest.mark.parametrize(
    ("path", "length"),
    [
        (("objective", "transport", 0), 5),
        (("objective", "tardiness", 0), 2),
        (("objective", "destination", 0), 2),
        (("offers", 0, "entry", "windows", 0), 3),
        (("plan", "fixed", 0), 2),
        (("plan", "bound", "prices", 0), 2),
        (("plan", "bound", "prices", 0, 1, 0), 2),
    ],
    ids=str,
)
def test_an_array_with_an_item_too_few_or_too_many_is_named(path: tuple[str | int, ...], length: int) -> None:
    for items in (length - 1, length + 1):
        at = file = json.loads(_replanned())
        for step in path:
            at = at[step]
        assert len(at) == length
        at[:] = [*at, 1][:items]
        with pytest.raises(PlanError, match=f" has {items} items instead of {length}$"):
            parse_plan_file(canonical_json(file))


@pytest.mark.parametrize(("name", "told"), [("tardiness", "tardiness"), ("destination", "destinations")])
def test_an_objective_says_in_which_list_an_order_is_not_hexadecimal(name: str, told: str) -> None:
    objective = json.loads(_replanned())["objective"]
    with pytest.raises(PlanError, match=f"^an order in the {told} of an objective is not bytes in hexadecimal"):
        Objective.parse(objective | {name: [["0X00", 1]]})


@pytest.mark.parametrize("value", [True, None, [1], {"mm": 1}], ids=str)
def test_a_need_says_which_value_is_neither_an_integer_nor_text(value: Json) -> None:
    with pytest.raises(PlanError, match=r"^a need's 'width_mm' is neither an integer nor text; choose a smaller unit$"):
        Need.parse({"kind": "turning", "values": {"diameter_mm": 80, "width_mm": value}})


def test_a_cause_of_an_unknown_kind_is_told_the_known_ones() -> None:
    for kind in CauseKind:
        assert Cause.parse({"kind": kind.value, "record": 1, "text": ""}) == Cause(kind, "", record=1)
    for other in ("rain", "MACHINE_DOWN", ""):
        with pytest.raises(PlanError) as caught:
            Cause.parse({"kind": other, "record": 1, "text": ""})
        known = "machine-down, drift, certificate, late, energy, declined, call"
        assert str(caught.value) == f"the cause {other!r} is unknown; one of {known}"


@pytest.mark.parametrize(
    ("member", "told"),
    [
        *((name, name) for name in ("price", "transport", "tardiness", "carbon")),
        ("spent", "amount spent"),
    ],
)
def test_a_cost_says_which_part_is_too_large_or_below_0(member: str, told: str) -> None:
    """However large it is, a larger unit of money would do."""
    for value in (2**53, 2**62 + 1, 2**80):
        with pytest.raises(PlanError) as caught:
            replace(COST, **{member: value})
        assert str(caught.value) == f"the {told} in a plan's cost is beyond 2^53 - 1; use a larger unit of money"
    with pytest.raises(PlanError, match=f"^the {told} in a plan's cost is -1, and must be an integer from 0 to "):
        replace(COST, **{member: -1})


def test_a_cost_says_that_its_total_is_too_large() -> None:
    assert replace(COST, price=2**53 - 2, carbon=1).total == 2**53 - 1
    with pytest.raises(PlanError, match=r"^the total in a plan's cost is beyond 2\^53 - 1"):
        replace(COST, price=2**53 - 1, carbon=1)


@pytest.mark.parametrize(("whole", "what"), [(PLAN, "plan"), (PART, "plan's part")], ids=["plan", "part"])
@pytest.mark.parametrize(("member", "told"), [("offers", "offers"), ("dropped", "dropped offers")])
def test_a_list_of_offers_that_is_not_ascending_is_named(whole: Any, what: str, member: str, told: str) -> None:
    with pytest.raises(PlanError, match=f"^the {told} of a {what} must be strictly ascending"):
        replace(whole, **{member: (ORDER, WORD)})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda count: replace(PLAN, offers=tuple(bytes([one]) * 32 for one in range(count))), "offers of a plan"),
        (
            lambda count: replace(PLAN, dropped=tuple(bytes([one]) * 32 for one in range(count))),
            "dropped offers of a plan",
        ),
        (lambda count: replace(PLAN, rows=(ROW,), reworked=(ROW,) * count), "reworked rows of a plan"),
        (lambda count: Bound(0, tuple((one + 1, ()) for one in range(count))), "machines with slot prices"),
    ],
    ids=["offers", "dropped", "reworked", "prices"],
)
def test_a_plan_has_as_many_of_each_as_there_can_be_offers(
    make: Callable[[int], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_OFFERS == 200_000
    monkeypatch.setattr(form, "MAX_OFFERS", 3)
    assert make(0)
    assert make(3)
    with pytest.raises(PlanError, match=f"^{told}: 4 of them, and there must be 0 to 3$"):
        make(4)


def test_of_reworked_rows_that_the_plan_lacks_the_first_one_is_named() -> None:
    again = tuple(replace(ROW, operation=operation) for operation in (0, 2, 3))
    with pytest.raises(PlanError) as caught:
        replace(PLAN, rows=(ROW,), reworked=again)
    assert str(caught.value) == f"operation 3 of order {to_hex(ORDER)} is reworked, and has no row"
