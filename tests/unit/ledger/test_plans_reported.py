"""What the check of a plan tells, word for word: to people, to programs, and of a plan that breaks a rule."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.canonical import canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError, PlanRefusedError
from millmark.ledger.plans import problem
from millmark.ledger.plans.call import Job, Need, Objective, Operation, Transport
from millmark.ledger.plans.check import (
    Share,
    Unseen,
    _not_checked_before,
    _set_aside,
    _verify_cost,
    check_lines,
    check_plan,
    check_to_json,
    count_offers,
    jain_per_mille,
    tell_check,
    verify_revisions,
    verify_tie,
)
from millmark.ledger.plans.feasible import find_tied, tie_rank, verify_legs, verify_rows
from millmark.ledger.plans.file import PlanFile, parse_plan_file
from millmark.ledger.plans.offer import Offer, OpenedOffer
from millmark.ledger.plans.plan import Cause, CauseKind, Cost, Leg, Plan, Row
from millmark.ledger.plans.problem import Problem, build_problem
from millmark.ledger.terminal import NO_ANSWER
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
        "not checked: that a cause took away each of the 1 offers set aside",
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
        "not checked: that a cause took away each of the 1 offers set aside",
    ]


def test_of_legs_only_those_under_way_are_said_not_to_be_checked() -> None:
    """The one leg of that plan starts in slot 4."""
    lines = {now: list(_not_checked_before(_file(DOWN), replace(_plan(DOWN), now=now))) for now in (4, 5)}
    assert lines[5][:-1] == lines[4]
    assert lines[5][-1] == "that the 1 legs which start before slot 5 had been under way by then"
    assert list(_not_checked_before(_file(PLAIN), _plan(PLAIN))) == []


def test_each_finding_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of JSON, each member."""
    path = tmp_path / "plan.json"
    path.write_bytes(_file(DOWN).to_bytes())
    assert tell_check(path, as_json=False) == 0
    assert capsys.readouterr().out == "".join(f"{line}\n" for line in LINES[DOWN])
    assert tell_check(path, as_json=True) == 0
    shown = capsys.readouterr().out
    assert shown.startswith('{\n  "format": "millmark.plan.check/1",\n  "holds": true,\n')
    assert shown.endswith("\n  ]\n}\n")


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


def test_programs_are_told_all_that_was_found() -> None:
    """The same as people are."""
    found = check_plan(_file(DOWN))
    told = check_to_json(_file(DOWN), found)
    refused = told.pop("not_counted")
    unchecked = [line.removeprefix("not checked: ") for line in LINES[DOWN] if line.startswith("not checked: ")]
    assert told == {
        "holds": True,
        "plan": "0xc89f21a45c5067bc0ea65bcb9b46aec493c30aaca60242a88b72776b17b16ae9",
        "call": to_hex(_file(DOWN).call.digest),
        "unit": "EUR/100",
        "cost": {"price": 51, "transport": 7, "tardiness": 60, "carbon": 0, "total": 118},
        "bound": 106,
        "gap_per_mille": 102,
        "rows": 6,
        "offers": 11,
        "shares": [{"owner": 11, "offered": 24, "used": 4}, {"owner": 12, "offered": 48, "used": 11}],
        "jain_per_mille": 975,
        "moved": 1,
        "not_checked": unchecked,
    }
    assert isinstance(refused, dict)
    assert sorted(map(str, refused.values())) == ["expired before the call closed", "withdrawn"]
    assert refused.keys() == {to_hex(name) for name in found.counted.refused}
    assert check_to_json(_file(PLAIN), check_plan(_file(PLAIN)))["moved"] is None


@pytest.mark.parametrize(
    ("name", "told"),
    [("none.json", "No such file or directory"), ("", "Is a directory"), ("\0", "not a path")],
)
def test_a_file_that_cannot_be_read_is_named_with_the_cause(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert tell_check(path, as_json=False) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"millmark: cannot read {path}: {told}; name a plan file\n")


def test_an_answer_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(_file(TIED).to_bytes())
    for as_json in (False, True):
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdout", None)
            assert tell_check(path, as_json=as_json) == NO_ANSWER == 3
        assert capsys.readouterr().err == "millmark: the answer cannot be written; check the output and its disk\n"


def test_grounds_on_which_offers_do_not_count_are_told_in_order() -> None:
    found = check_plan(_file(PLAIN))
    refused = dict(sorted(found.counted.refused.items(), key=lambda item: item[1], reverse=True))
    turned = replace(found, counted=replace(found.counted, refused=refused))
    assert list(check_lines(_file(PLAIN), turned)) == list(check_lines(_file(PLAIN), found))


def test_of_some_offers_it_is_said_that_they_came_without_proof() -> None:
    """The first of 15: it has no place in a stream, and the others have theirs."""
    file = _file(ANCHORED)
    bare = replace(file.offers[0], anchored=None)
    lines = check_plan(replace(file, offers=(bare, *file.offers[1:]))).not_checked
    assert lines[-2:] == (
        "that 1 of 15 offers are on the ledger: they came without proof",
        "that the ledger has the anchors which the offers name",
    )


def test_of_offers_left_out_the_first_one_is_named() -> None:
    file, plan = _file(PLAIN), _plan(PLAIN)
    for kept in (plan.offers[2:], plan.offers[:-2]):
        left_out = min(set(plan.offers) - set(kept))
        with pytest.raises(PlanRefusedError, match=f"^rule offers: offer {to_hex(left_out)} was left out"):
            check_plan(replace(file, plan=replace(plan, offers=kept)))


def test_terms_that_were_changed_are_told_of_the_first_open_operation() -> None:
    """Of the orders that are asked about."""
    call = _file(PLAIN).call
    assert [item.operation for item in call.jobs[1].operations] == [1, 2]
    in_force = {job.order: job.revision for job in call.jobs} | {call.jobs[1].order: bytes(32)}
    verify_revisions(call, in_force, {call.jobs[0].order, call.jobs[2].order})
    for orders in (None, {call.jobs[1].order}):
        with pytest.raises(PlanRefusedError) as caught:
            verify_revisions(call, in_force, orders)
        told = "rule revision: its terms were changed after the call"
        assert (caught.value.order, *_refused(caught)) == (call.jobs[1].order, "revision", 1, told)


def test_shares_of_nothing_are_even() -> None:
    """And small ones are told apart."""
    assert jain_per_mille([Share(11, 24, 0), Share(12, 48, 0)]) == 1000
    assert jain_per_mille([Share(11, 100_000, 3), Share(12, 100_000, 1)]) == 800


def test_what_parts_do_not_show_is_said_in_these_words() -> None:
    assert Unseen.OTHERS.write() == "what others offered, and so the plan's cost and bound"
    assert (
        Unseen.OWN_DROPPED.write(count=2) == "that a cause took away each of the 2 own offers that the plan sets aside"
    )


def test_a_machine_without_a_price_may_be_listed() -> None:
    """It proves the same."""
    file, plan = _file(PLAIN), _plan(PLAIN)
    prices = dict.fromkeys((1, 2, 3), ()) | dict(plan.bound.prices)
    assert () in prices.values()
    listed = replace(plan, bound=replace(plan.bound, prices=tuple(sorted(prices.items()))))
    assert check_plan(replace(file, plan=listed)).plan.bound.value == plan.bound.value


def test_what_is_too_large_is_not_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "MAX_STARTS", 10)
    with pytest.raises(PlanError, match=r"starts of offers are too many to check, more than 10; use longer slots$"):
        check_plan(_file(PLAIN))


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
        (
            (HOME, HOME),
            None,
            tuple(replace(LEG, after=one) for one in (7, 8)),
            7,
            "has a leg after it that leads nowhere",
        ),
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


def test_of_fixed_rows_that_the_plan_lacks_the_first_one_is_named() -> None:
    file, plan = _file(PLAIN), _plan(PLAIN)
    offers = count_offers(file.call, file.machines, file.offers).offers
    order = plan.rows[0].order
    cause = Cause(CauseKind.LATE, "", record=1)
    fixed = (plan.rows[0].key, (order, 7), (order, 8))
    with pytest.raises(PlanRefusedError) as caught:
        verify_rows(file.call, replace(plan, before=bytes(32), cause=cause, fixed=fixed), offers)
    assert (caught.value.order, *_refused(caught)) == (order, "before", 7, "rule before: is fixed, and has no row")


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


def test_what_earlier_plans_set_aside_is_not_said_to_be_by_this_cause() -> None:
    file = _file(DOWN)
    assert file.plan is not None
    assert file.before is not None
    [dropped] = file.plan.dropped
    earlier = cast("Plan", SimpleNamespace(dropped=(dropped,)))
    late = replace(file.plan, cause=Cause(CauseKind.LATE, "", record=1))
    assert list(_set_aside(file.plan, file.before)) == ["set aside: 1 offers, by the cause machine-down"]
    assert list(_set_aside(late, earlier)) == ["set aside by earlier plans: 1 offers"]
    both = replace(late, dropped=tuple(sorted((dropped, bytes(32)))))
    told = ["set aside: 1 offers, by the cause late", "set aside by earlier plans: 1 offers"]
    assert list(_set_aside(both, earlier)) == told
    assert list(_set_aside(late, None)) == ["set aside: 1 offers, by this plan or those before"]
