"""Which equal offers tie, by another reading of the rule and at its edges."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.plans.call import Job, Need, Operation
from millmark.ledger.plans.feasible import find_tied, tie_rank
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Plan, Row
from millmark.ledger.plans.problem import build_problem
from tests.support.plan_truth import tied
from tests.support.plan_world import draw_file, draw_rows, draw_shop


def test_an_offer_ties_just_where_the_plan_with_it_could_be_carried_out_and_costs_the_same() -> None:
    found = 0
    for seed in range(400):
        draw = random.Random(seed)  # noqa: S311 - reproducible
        file, offers = draw_shop(draw, orders=3, slots=18)
        rows = draw_rows(draw, file, offers)
        if rows is None:
            continue
        now = draw.choice((0, draw.randint(1, 8)))
        stay = {row.key: row for row in rows if row.start < now or draw.random() < 0.1}
        tie, fixed = sha256(draw.randbytes(32)), frozenset(stay)
        problem = build_problem(file.call, file.objective, offers.items(), now=now, fixed=stay)
        plan = cast("Plan", SimpleNamespace(rows=rows, fixed=fixed, tie=tie, now=now))
        expected = sorted(tied(file, plan, offers))
        assert sorted((row.key, one.offer) for row, one in find_tied(problem, rows, tie, fixed, now)) == expected, seed
        found += len(expected)
    assert found > 100


@pytest.mark.parametrize(("setup", "machines"), [(0, [2]), (1, [2]), (2, [2]), (3, [])])
def test_a_row_leaves_its_machine_only_if_there_is_time_for_the_setup_that_is_needed_without_it(
    setup: int, machines: list[int]
) -> None:
    """Another family is worked on until slot 2, and its own again from slot 4: with it, there is no setup."""
    order = bytes(32)
    offers = [
        Offer(bytes(32), 11, machine, order, operation, 2, wait, family, ((0, 9, 5),), 0, 0, 0)
        for machine, operation, wait, family in ((1, 0, 0, "A"), (1, 1, 0, "B"), (1, 2, setup, "B"), (2, 1, 0, "B"))
    ]
    job = Job(order, order, 0, 9, tuple(Operation(number, Need("turning")) for number in range(3)))
    named = [(bytes([number]) * 32, offer) for number, offer in enumerate(offers)]
    rows = [
        Row(order, number, name, 1, 11, 2 * number, 2 * number + 2, 5, 0, 0)
        for number, (name, _) in enumerate(named[:3])
    ]
    tie = next(tie for tie in map(bytes, range(99)) if tie_rank(tie, named[3][0]) < tie_rank(tie, named[1][0]))
    base = draw_file(0)
    problem = build_problem(replace(base.call, jobs=(job,), slots=12), base.objective, named)
    assert [choice.machine for _, choice in find_tied(problem, rows, tie, frozenset())] == machines
