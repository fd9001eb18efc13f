"""The seal of a plan, and the parts of the plan that it commits to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.claims import Claims
from millmark.ledger.plans.file import build_part
from millmark.ledger.plans.plan import Cause, CauseKind, Leg, Plan
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.stream_entries import build_seal, list_shown, parse_seal, read_part, read_plan
from tests.support.planning_samples import LEDGER, ORDERS, build_call, build_plan, build_row
from tests.support.sign_in import signer_of

SIGNER = signer_of(2)
PLAN = build_plan(
    build_call(),
    [b"\3" * 32, b"\4" * 32],
    (build_row(3, 0), build_row(4, 1)),
    (Leg(ORDERS[0], 0, 3, 4, 8, 6, 8, 500), Leg(ORDERS[0], 1, 4, 9, 0, 8, 9, 20)),
)


def sealed(plan: Plan = PLAN):  # type: ignore[no-untyped-def]
    return build_seal(plan, 77, LEDGER, SIGNER)


def part_for(claims: Claims, participant: int) -> Claims:
    chosen = set(list_shown(claims, participant))
    return claims.erase([path for path in claims.paths if path not in chosen])


def test_readers_get_the_plan_whole() -> None:
    seal, claims = sealed()
    assert read_plan(claims, seal) == PLAN
    assert parse_seal(seal.to_json()) == seal
    assert seal.recover_signer(77, LEDGER) == SIGNER.address
    assert seal.recover_signer(78, LEDGER) != SIGNER.address


@pytest.mark.parametrize("participant", [3, 4, 8, 9, 5])
def test_each_company_gets_its_own_part_with_the_same_root(participant: int) -> None:
    seal, claims = sealed()
    part = part_for(claims, participant)
    assert part.root == seal.claims
    assert read_plan(part, seal) is None
    assert read_part(part, seal, participant) == build_part(PLAN, participant)


def test_a_plan_without_rows_or_legs_has_parts_too() -> None:
    empty = replace(PLAN, rows=(), legs=())
    seal, claims = sealed(empty)
    assert read_plan(claims, seal) == empty
    assert read_part(part_for(claims, 3), seal, 3) == build_part(empty, 3)


def test_a_plan_without_rework_has_the_document_that_it_always_had() -> None:
    _, claims = sealed()
    assert {path[0] for path in claims.paths} == {
        *(
            "before",
            "call",
            "cause",
            "dropped",
            "offers",
            "tie",
            "fixed",
            "now",
            "rows",
            "legs",
            "plan",
            "cost",
            "bound",
        )
    }
    assert ("cost", "spent") not in claims.paths


@pytest.mark.parametrize("participant", [3, 4, 8])
def test_everybody_gets_what_was_spent_and_each_its_own_reworked_rows(participant: int) -> None:
    cause = Cause(CauseKind.CERTIFICATE, "out of round", record=31)
    cost = replace(PLAN.cost, spent=950)
    again = replace(PLAN, before=b"\1" * 32, cause=cause, reworked=(build_row(3, 0),), cost=cost)
    seal, claims = sealed(again)
    assert read_plan(claims, seal) == again
    part = read_part(part_for(claims, participant), seal, participant)
    assert part == build_part(again, participant)
    assert (part.spent, len(part.reworked)) == (950, participant == 3)


def test_a_document_of_another_plan_is_refused() -> None:
    seal, _ = sealed()
    other, claims = sealed(replace(PLAN, tie=b"\2" * 32))
    for reading in (lambda: read_plan(claims, seal), lambda: read_part(part_for(claims, 3), seal, 3)):
        with pytest.raises(PlanningError, match="sealed"):
            reading()
    with pytest.raises(PlanningError, match="the part of a plan is malformed"):
        read_part(claims.erase([("offers",)]), other, 3)


def test_a_malformed_seal_is_refused() -> None:
    seal, _ = sealed()
    for changed in ({"version": 2}, {"plan": "0x12"}, {"signature": "0x" + "ab" * 64}, {"more": 1}):
        with pytest.raises(PlanningError, match="seal of a plan"):
            parse_seal({**seal.to_json(), **changed})
