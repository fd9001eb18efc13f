"""What the check of a plan tells, word for word: to people, to programs, and of a plan that breaks a rule."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ledger.canonical import canonical_json, sha256, to_hex
from ledger.errors import PlanError, PlanRefusedError
from ledger.plans.call import Job, Objective, Operation, Transport
from ledger.plans.capability import Need
from ledger.plans.check import _not_checked_before, _verify_cost, check_plan, verify_tie
from ledger.plans.counted import count_offers
from ledger.plans.feasible import verify_legs, verify_rows
from ledger.plans.file import PlanFile, parse_plan_file
from ledger.plans.offer import Offer, OpenedOffer
from ledger.plans.plan import Cost, Leg, Plan, Row
from ledger.plans.problem import Problem, build_problem
from ledger.plans.report import check_lines, tell_check
from ledger.plans.ties import find_tied, tie_rank
from tests.support.plan_world import draw_file

VECTORS = Path(__file__).parents[2] / "vectors" / "plans.json"
PLAIN, ANCHORED, DOWN, TIED, REWORKED = range(5)

FROM_LEDGER = [
    "not checked: that machines, owners and capabilities are as the ledger has them",
    "not checked: that the orders' terms are those in force",
    "not checked: that the tie hash is that of the first block when the call had closed",
]
NOT_COUNTED = ["not counted: 1 offers, expired before the call closed", "not counted: 1 offers, withdrawn"]
UNPROVEN = "not checked: that 15 of 15 offers are on the ledger: they came without proof"
LINES: dict[int, list[str]] = {
    ANCHORED: [
        "plan 0x98be2b98cba8d07f4305230c6b0281e337b6d3b873ca821de4607d71053b92ce",
        "feasible: 6 operations of 3 orders on 2 machines of 1 companies, 1 legs",
        "cost: 50 EUR/100 (price 37, transport 3, tardiness 10, carbon 0)",
        "bound: 45 EUR/100; no plan on these 12 offers is cheaper than that, so none is more than 10.0 % cheaper than "
        "this one",
        "used of the slots offered: company 11 0 of 24, company 12 11 of 48",
        "evenness of that (Jain's index): 0.500",
        *NOT_COUNTED,
        *FROM_LEDGER,
        "not checked: that the ledger has the anchors which the offers name",
    ],
    DOWN: [
        "plan 0xc89f21a45c5067bc0ea65bcb9b46aec493c30aaca60242a88b72776b17b16ae9",
        "feasible: 6 operations of 3 orders on 3 machines of 2 companies, 1 legs",
        "cost: 118 EUR/100 (price 51, transport 7, tardiness 60, carbon 0)",
        "bound: 106 EUR/100; no plan on these 11 offers that keeps the 1 fixed rows and starts all others in slot 1 "
        "or later is cheaper than that, so none is more than 10.2 % cheaper than this one",
        "used of the slots offered: company 11 4 of 24, company 12 11 of 48",
        "evenness of that (Jain's index): 0.975",
        "moved: 1 of 6 rows of the plan before",
        "set aside: 1 offers, by the cause machine-down",
        *NOT_COUNTED,
        *FROM_LEDGER,
        UNPROVEN,
        "not checked: that the plan before is the one on the ledger, and holds",
        "not checked: that the 1 fixed rows were accepted or had begun",
        "not checked: that the cause took away the 1 offers set aside",
    ],
    REWORKED: [
        "plan 0x6fa5d7f9eea5a6431311282c38b6d9227d59d751b02dcd219086ace4080c5cb2",
        "feasible: 6 operations of 3 orders on 3 machines of 2 companies, 2 legs",
        "cost: 171 EUR/100 (price 43, transport 14, tardiness 105, carbon 0)",
        "bound: 148 EUR/100; no plan on these 12 offers that keeps the 0 fixed rows and starts all others in slot 4 "
        "or later is cheaper than that, so none is more than 14.2 % cheaper than this one",
        "used of the slots offered: company 11 7 of 24, company 12 8 of 48",
        "evenness of that (Jain's index): 0.930",
        "moved: 5 of 6 rows of the plan before",
        "reworked: 1 operations, on which 9 EUR/100 were spent: part of cost and bound, and left out of the percentage",
        *NOT_COUNTED,
        *FROM_LEDGER,
        UNPROVEN,
        "not checked: that the plan before is the one on the ledger, and holds",
        "not checked: that the parts of 1 reworked rows were made and failed",
    ],
}


@functools.cache
def _file(number: int) -> PlanFile:
    return parse_plan_file(canonical_json(json.loads(VECTORS.read_text("utf-8"))["accepted"][number]["file"]))


def _plan(number: int) -> Plan:
    plan = _file(number).plan
    assert plan is not None
    return plan


@pytest.mark.parametrize("number", LINES, ids=lambda number: f"vector {number}")
def test_people_are_told_all_that_was_found(number: int) -> None:
    assert list(check_lines(_file(number), check_plan(_file(number)))) == LINES[number]


def test_what_no_other_plan_shows_is_said_not_to_be_checked() -> None:
    """Without the plan before, nothing is said of what moved."""
    alone = replace(_file(DOWN), before=None)
    lines = list(check_lines(alone, check_plan(alone)))
    assert not [line for line in lines if line.startswith("moved")]
    assert lines[-3:] == [
        "not checked: what moved, and that fixed rows are as before: the plan before is not in the file",
        "not checked: that the 1 fixed rows were accepted or had begun",
        "not checked: that the cause took away the 1 offers set aside",
    ]


def test_of_legs_only_those_under_way_are_said_not_to_be_checked() -> None:
    """The one leg of that plan starts in slot 4."""
    lines = {now: list(_not_checked_before(_file(DOWN), replace(_plan(DOWN), now=now))) for now in (4, 5)}
    assert lines[5][:-1] == lines[4]
    assert lines[5][-1] == "that the 1 legs which start before slot 5 had been under way by then"
    assert list(_not_checked_before(_file(PLAIN), _plan(PLAIN))) == []


def test_programs_are_told_which_row_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plan = tmp_path / "plan.json", _plan(PLAIN)
    last = plan.rows[-1]
    rowless = f"rule order: has no row (order {to_hex(last.order)}, operation 3)"
    for changed, told in (
        (
            replace(plan, rows=plan.rows[:-1]),
            {"rule": "order", "order": to_hex(last.order), "operation": 2, "cause": rowless},
        ),
        (
            replace(plan, call=bytes(32)),
            {"rule": "call", "order": None, "operation": None, "cause": "rule call: the plan is for another call"},
        ),
    ):
        path.write_bytes(replace(_file(PLAIN), plan=changed).to_bytes())
        assert tell_check(path, as_json=True) == 1
        shown = capsys.readouterr()
        assert json.loads(shown.out) == {"format": "millmark.plan.check/1", "holds": False, **told}
        assert shown.err == f"millmark: REFUSED {told['cause']}\n"


# Offers, and what is offered alike


def test_an_offer_for_what_was_not_called_for_does_not_count() -> None:
    file = draw_file(1)
    [first, *_] = [item.entry for item in file.offers if isinstance(item.entry, Offer)]
    operations = [item.operation for item in file.call.jobs[0].operations]
    others = [
        replace(first, order=bytes(32)),
        replace(first, operation=operations[0] - 1),
        replace(first, operation=operations[-1] + 1),
    ]
    opened = [OpenedOffer(offer, bytes(32)) for offer in (first, *others)]
    counted = count_offers(file.call, file.machines, opened)
    assert list(counted.offers.values()) == [first]
    assert counted.refused == {item.id: "for an operation that was not called for" for item in opened[1:]}


@pytest.mark.parametrize(("member", "told"), [("tardiness", "tardiness"), ("destination", "destinations")])
def test_an_objective_says_which_of_its_lists_is_none(member: str, told: str) -> None:
    objective: Objective = draw_file(1).objective
    for pairs, why in (
        (((bytes(32), 1), (bytes(32), 1)), f"the {told} of an objective must be strictly ascending"),
        (((bytes(31), 1),), f"an order in the {told} of an objective has 31 bytes"),
    ):
        with pytest.raises(PlanError, match=f"^{why}"):
            replace(objective, **{member: pairs})  # type: ignore[arg-type]  # each is one of such pairs


CALL, ORDER = bytes(32), b"\1" * 32
HOME, AWAY, FAR = 11, 12, 13
WAYS = (Transport(HOME, AWAY, 2, 7, 0), Transport(AWAY, HOME, 3, 4, 0))


def _offer(owner: int, operation: int, machine: int, price: int = 5) -> Offer:
    return Offer(CALL, owner, machine, ORDER, operation, 1, 0, "a", ((0, 9, price),), 0, 0, 0)


def _world(offers: list[Offer], destination: int | None = None, due: int = 20) -> tuple[Problem, Objective]:
    file = draw_file(1)
    numbers = sorted({offer.operation for offer in offers})
    job = Job(ORDER, bytes(32), 0, due, tuple(Operation(number, Need("turning")) for number in numbers))
    goal = () if destination is None else ((ORDER, destination),)
    objective: Objective = replace(file.objective, transport=WAYS, destination=goal, tardiness=((ORDER, 2**40),))
    named = [(sha256(bytes([number])), offer) for number, offer in enumerate(offers)]
    return build_problem(replace(file.call, jobs=(job,), slots=12), objective, named), objective


def _row(offer: Offer, number: int, start: int) -> Row:
    name, price = sha256(bytes([number])), offer.windows[0][2]
    return Row(ORDER, offer.operation, name, offer.machine, offer.owner, start, start + 1, price, 0, 0)


@pytest.mark.parametrize(("price", "tied"), [(97, False), (98, True), (99, False), (105, False), (112, False)])
def test_offers_tie_if_price_and_way_are_as_dear_together(price: int, tied: bool) -> None:
    """The way to AWAY costs 7: an offer there that is cheaper by that is equal to one at HOME, where nothing is due."""
    offers = [_offer(HOME, 0, 1), _offer(HOME, 1, 2, 105), _offer(AWAY, 1, 3, price)]
    problem, _ = _world(offers)
    rows = [_row(offers[0], 0, 0), _row(offers[1], 1, 5)]
    ties = [sha256(bytes([number])) for number in range(20)]
    tie = next(tie for tie in ties if tie_rank(tie, sha256(b"\2")) < tie_rank(tie, sha256(b"\1")))
    found = [choice.machine for _, choice in find_tied(problem, rows, tie, frozenset())]
    assert found == ([3] if tied else [])


# Refusals


def _refused(error: pytest.ExceptionInfo[PlanRefusedError]) -> tuple[str, int | None, str]:
    """Rule, operation and sentence, without the row at its end."""
    told = str(error.value)
    row = "" if error.value.order is None else f" (order {to_hex(error.value.order)}, operation "
    return error.value.rule, error.value.operation, told.split(row)[0] if row else told


LEG = Leg(ORDER, 0, HOME, AWAY, 0, 1, 3, 7)


@pytest.mark.parametrize(
    ("owners", "destination", "legs", "operation", "told"),
    [
        ((HOME, HOME), None, (LEG,), 0, "has a leg after it, and stays where it is"),
        ((HOME, HOME), None, (replace(LEG, after=1, start=6, end=8),), 1, "has a leg after it, and stays where it is"),
        ((HOME, HOME), HOME, (replace(LEG, after=1, start=6, end=8),), 1, "has a leg after it, and stays where it is"),
        ((HOME, AWAY), None, (LEG, replace(LEG, after=7)), 7, "has a leg after it that leads nowhere"),
        ((HOME, FAR), None, (), 0, "nothing leads from 11 to 13"),
        ((HOME, HOME), FAR, (), 1, "nothing leads from 11 to 13"),
        ((HOME, AWAY), None, (), 0, "lacks a leg from 11 to 12"),
        ((HOME, AWAY), None, (replace(LEG, start=4, end=6),), 0, "the leg arrives in slot 6, and the next starts in 5"),
        ((HOME, AWAY), None, (replace(LEG, end=4),), 0, "the leg takes 3 slots instead of 2"),
        ((HOME, AWAY), None, (replace(LEG, start=0, end=2),), 0, "the leg starts in slot 0, before its end in 1"),
        ((HOME, AWAY), None, (LEG,), None, ""),
        ((HOME, AWAY), None, (replace(LEG, start=3, end=5),), None, ""),
        ((HOME, HOME), None, (), None, ""),
    ],
)
def test_a_refusal_says_what_is_wrong_with_a_leg(
    owners: tuple[int, int], destination: int | None, legs: tuple[Leg, ...], operation: int | None, told: str
) -> None:
    """The first operation ends in slot 1, and the second one starts in slot 5."""
    offers = [_offer(owner, number, number + 1) for number, owner in enumerate(owners)]
    problem, _ = _world(offers, destination)
    plan = cast("Plan", SimpleNamespace(rows=[_row(offers[0], 0, 0), _row(offers[1], 1, 5)], legs=legs))
    if not told:
        verify_legs(problem, plan)
        return
    with pytest.raises(PlanRefusedError) as caught:
        verify_legs(problem, plan)
    assert _refused(caught) == ("transport", operation, f"rule transport: {told}")


@pytest.mark.parametrize("member", ["origin", "destination", "carrier", "cost"])
def test_a_leg_is_as_the_objective_says_in_each_member(member: str) -> None:
    offers = [_offer(HOME, 0, 1), _offer(AWAY, 1, 2)]
    problem, _ = _world(offers)
    leg = replace(LEG, **{member: getattr(LEG, member) + 1})
    plan = cast("Plan", SimpleNamespace(rows=[_row(offers[0], 0, 0), _row(offers[1], 1, 5)], legs=(leg,)))
    with pytest.raises(PlanRefusedError) as caught:
        verify_legs(problem, plan)
    told = "rule transport: the leg after it differs from the objective in its ends, carrier or cost"
    assert _refused(caught) == ("transport", 0, told)


def test_a_row_ends_with_the_slots_of_the_call() -> None:
    file, plan = _file(PLAIN), _plan(PLAIN)
    offers = count_offers(file.call, file.machines, file.offers).offers
    last = max(plan.rows, key=lambda row: row.end)
    assert last.end == 13
    verify_rows(replace(file.call, slots=13), plan, offers)
    with pytest.raises(PlanRefusedError) as caught:
        verify_rows(replace(file.call, slots=12), plan, offers)
    assert _refused(caught) == ("slots", last.operation, "rule slots: ends in slot 13, and the call has 12")
    assert caught.value.order == last.order


def test_a_cost_that_json_cannot_represent_is_refused() -> None:
    """2^40 for each slot late, 8191 and 8192 slots."""
    offer = _offer(HOME, 0, 1, price=0)
    row = _row(offer, 0, 0)
    for due, told in ((1 - 8191, ""), (1 - 8192, f"rule sums: the cost or a part of it is beyond {2**53 - 1}")):
        problem, objective = _world([offer], due=due)
        cost = Cost(0, 0, 8191 * 2**40, 0)
        plan = cast("Plan", SimpleNamespace(rows=[row], legs=[], reworked=[], cost=cost))
        if not told:
            _verify_cost(problem, objective, plan)
            continue
        with pytest.raises(PlanRefusedError) as caught:
            _verify_cost(problem, objective, plan)
        assert _refused(caught) == ("sums", None, told)


def test_a_tie_hash_is_that_of_the_first_block() -> None:
    verify_tie(ORDER, ORDER)
    with pytest.raises(PlanRefusedError) as caught:
        verify_tie(CALL, ORDER)
    told = f"rule ties: the tie hash is not that of the first block since the call closed, {to_hex(ORDER)}"
    assert _refused(caught) == ("ties", None, told)
