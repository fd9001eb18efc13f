"""Plans are made within rules that do not depend on time: whatever the search finds, the check accepts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.errors import PlanError, PlanRefusedError, UnplannableError
from millmark.ledger.plans.__main__ import main
from millmark.ledger.plans.check import check_lines, check_plan, gap_per_mille
from millmark.ledger.plans.file import PlanFile, build_part, parse_plan_file
from millmark.ledger.plans.form import MAX_AMOUNT
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Plan
from millmark.ledger.plans.problem import spent_on
from millmark.services.planning.schedule import Replan, make_plan
from tests.support.plan_instances import generate_plan_file
from tests.support.plan_truth import brute_optimum, counting, is_true, most_that_stay
from tests.support.plan_world import TIE, draw_file, made_file

DOWN = Cause(CauseKind.MACHINE_DOWN, "the spindle stopped", record=12)


def _plan(file: PlanFile) -> Plan:
    assert file.plan is not None
    return file.plan


def test_instances_are_what_their_seed_says() -> None:
    assert generate_plan_file(4, 7) == generate_plan_file(4, 7)
    assert generate_plan_file(4, 7) != generate_plan_file(4, 8)
    file = generate_plan_file(4, 7)
    assert (len(file.machines), {machine.owner for machine in file.machines}) == (9, {1, 2, 3})
    assert len(file.offers) == 4 * 3 * 3


def test_without_the_solver_a_plan_is_made_and_says_so() -> None:
    made = make_plan(generate_plan_file(6, 1, setup=2), tie=TIE, cpu_s=0.4, with_solver=False)
    assert any("not installed (pip install 'millmark[planning]')" in step for step in made.steps)
    assert check_plan(parse_plan_file(made.file.to_bytes())) == made.check


def test_without_any_time_there_is_a_plan_all_the_same() -> None:
    made = make_plan(generate_plan_file(4, 1), tie=TIE, cpu_s=0.0, with_solver=False)
    assert made.check.plan.bound.value <= made.check.plan.cost.total


def test_the_solver_takes_part_where_it_is_installed() -> None:
    pytest.importorskip("ortools")
    made = make_plan(draw_file(1), tie=TIE, cpu_s=5.0)
    assert "CP-SAT: the best plan possible" in made.steps
    assert is_true(made.file)


@pytest.mark.parametrize("seed", range(4))
def test_small_plans_are_the_best_ones(seed: int) -> None:
    file = draw_file(seed, orders=2, slots=12)
    optimum = brute_optimum(file)
    if optimum is None:
        with pytest.raises(UnplannableError):
            make_plan(file, tie=TIE, cpu_s=0.2, with_solver=False)
        return
    made = make_plan(file, tie=TIE, cpu_s=0.3, with_solver=False)
    assert made.check.plan.bound.value <= optimum <= made.check.plan.cost.total


def test_an_operation_that_nobody_offers_is_named() -> None:
    file = draw_file(0)
    order = file.call.jobs[1].order
    offers = tuple(item for item in file.offers if isinstance(item.entry, Offer) and item.entry.operation == 1)
    with pytest.raises(UnplannableError, match=r"operation 3 of order 0x[0-9a-f]{64} has no offer that counts"):
        make_plan(replace(file, offers=offers), tie=TIE, cpu_s=0.1)
    short = replace(file, call=replace(file.call, slots=1))
    with pytest.raises(UnplannableError, match="has no offer that counts"):  # they are for the call as it was
        make_plan(short, tie=TIE, cpu_s=0.1)
    assert order in {offer.order for offer in counting(file).values()}


def _replanned(replan: Replan, seed: int = 3) -> PlanFile:
    before = made_file(seed)
    return make_plan(
        replace(before, plan=None, before=before.plan), tie=TIE, replan=replan, cpu_s=0.2, with_solver=False
    ).file


def test_what_has_started_or_was_accepted_stays() -> None:
    before = _plan(made_file(3))
    free = before.rows[-1]
    started = frozenset({before.rows[0].key})
    accepted = frozenset(row.key for row in before.rows[1:-1])
    file = _replanned(Replan(DOWN, 0, started, accepted, frozenset({free.offer})))
    plan = _plan(file)
    kept = {row.key: row for row in plan.rows}
    assert all(kept[row.key] == row for row in before.rows[:-1])
    assert kept[free.key].offer != free.offer
    assert (plan.before, plan.cause, plan.dropped) == (before.digest, DOWN, (free.offer,))
    assert set(plan.fixed) == started | accepted
    assert check_plan(file).moved == 1
    assert is_true(file)


def test_a_plan_that_replaces_another_says_what_its_bound_takes_as_given() -> None:
    """Whoever fixes every row proves a gap of nothing: the lines name what was fixed, and what shows none of it."""
    before = _plan(made_file(3))
    dear = replace(before, bound=Bound(0, ()))
    fixed = tuple(row.key for row in before.rows)
    forged = replace(before, before=dear.digest, cause=DOWN, now=20, fixed=fixed, bound=Bound(before.cost.total, ()))
    for earlier in (None, dear):
        file = replace(made_file(3), plan=forged, before=earlier)
        found = check_plan(file)
        assert found.gap_per_mille == 0
        said = "\n".join(check_lines(file, found))
        assert f"that keeps the {len(fixed)} fixed rows and starts all others in slot 20 or later is cheaper" in said
        assert f"not checked: that the {len(fixed)} fixed rows were accepted or had begun" in said
        assert ("and that fixed rows are as before" in said) is (earlier is None)
        assert ("the plan before is the one on the ledger, and holds" in said) is (earlier is not None)
        assert "legs which start before slot 20 had been under way" in said


@pytest.mark.parametrize("seed", range(6))
def test_nothing_sets_out_before_the_new_plan_but_what_was_on_its_way(seed: int) -> None:
    """What has begun is done at one company, and what follows moves to another: the leg between starts now or later."""
    world = make_plan(generate_plan_file(4, seed), tie=TIE, cpu_s=0.3, seed=1, with_solver=False, repeatable=True).file
    before = _plan(world)
    now = sorted(row.end for row in before.rows)[4]
    started = frozenset(row.key for row in before.rows if row.start < now)
    after = {(row.order, row.operation + 1) for row in before.rows if row.end < now}
    gone = {row.machine for row in before.rows if row.key in after - started}
    lost = frozenset(
        item.id
        for item in world.offers
        if isinstance(item.entry, Offer) and item.entry.machine in sorted(gone)[:1]
        if item.id not in {row.offer for row in before.rows if row.key in started}
    )
    file = make_plan(
        replace(world, plan=None, before=before),
        tie=TIE,
        replan=Replan(DOWN, now, started, dropped=lost),
        cpu_s=0.3,
        with_solver=False,
    ).file
    assert all(leg.start >= now or leg in before.legs for leg in _plan(file).legs)


def test_a_leg_that_sets_out_in_the_past_is_refused_unless_the_plan_before_has_it() -> None:
    before = _plan(made_file(3))
    leg = next(one for one in before.legs if one.start >= 2)
    rows = tuple(row.key for row in before.rows)
    plan = replace(before, before=before.digest, cause=DOWN, now=leg.start + 1, fixed=rows, bound=Bound(0, ()))
    shown = replace(before, legs=tuple(replace(one, carrier=77) if one == leg else one for one in before.legs))
    with pytest.raises(PlanRefusedError, match=f"rule before: .* starts in slot {leg.start}, before {leg.start + 1}"):
        check_plan(replace(made_file(3), plan=replace(plan, before=shown.digest), before=shown))
    with pytest.raises(PlanRefusedError, match="rule bound"):  # the leg is no matter any more
        check_plan(replace(made_file(3), plan=plan, before=before))


def test_as_few_accepted_rows_move_as_can() -> None:
    """Against trying out which sets of rows can stay together, by the rules read anew."""
    pytest.importorskip("ortools")
    for seed in range(8):
        before = _plan(made_file(seed))
        lost = before.rows[seed % len(before.rows)]
        accepted = frozenset(row.key for row in before.rows if row != lost)
        replan = Replan(DOWN, 0, accepted=accepted, dropped=frozenset({lost.offer}))
        world = replace(made_file(seed), plan=None, before=before)
        made = make_plan(world, tie=TIE, replan=replan, cpu_s=0.3, with_solver=True, repeatable=True)
        assert made.check.moved is not None
        assert len(before.rows) - made.check.moved == most_that_stay(world, before, lost.offer)


@pytest.mark.parametrize("with_solver", [False, True])
def test_counted_work_leads_to_the_same_bytes(with_solver: bool) -> None:
    if with_solver:
        pytest.importorskip("ortools")
    file, cpu_s = generate_plan_file(4, 1), 5.5 if with_solver else 0.5
    made = [
        make_plan(file, tie=TIE, cpu_s=cpu_s, seed=3, with_solver=with_solver, repeatable=True).file for _ in range(2)
    ]
    assert made[0].to_bytes() == made[1].to_bytes()


def test_accepted_rows_that_have_become_impossible_move() -> None:
    before = _plan(made_file(3))
    late = max(row.start for row in before.rows)
    file = _replanned(Replan(DOWN, late, accepted=frozenset(row.key for row in before.rows)))
    assert all(row.start >= late for row in _plan(file).rows)
    assert set(_plan(file).fixed) < {row.key for row in before.rows}
    assert is_true(file)


FAILED = Cause(CauseKind.CERTIFICATE, "the journal is out of round", record=31)


def test_what_failed_is_done_again_by_who_has_the_part_and_costs_both_times() -> None:
    before = _plan(made_file(3))
    row = before.rows[0]
    file = _replanned(Replan(FAILED, row.end, rework=frozenset({row.key})))
    plan = _plan(file)
    [again] = [one for one in plan.rows if one.key == row.key]
    assert plan.reworked == (row,)
    assert (again.owner, again.start >= row.end) == (row.owner, True)
    assert plan.cost.price == sum(one.price for one in plan.rows)
    assert plan.cost.spent == row.price + row.co2e_mg * file.objective.carbon_price // 1_000_000
    assert plan.cost.to_json()["spent"] == plan.cost.spent > 0
    assert plan.row_document(row.key) == {"plan": "0x" + plan.digest.hex(), "row": again.to_json(), "rework": 1}
    assert "rework" not in plan.row_document(plan.rows[1].key)
    assert is_true(file)
    said = (
        f"reworked: 1 operations, on which {plan.cost.spent} {file.call.unit} were spent: part of cost and bound, and"
    )
    assert f"{said} left out of the percentage" in check_lines(file, check_plan(file))
    # It failed once more, which a later plan knows: the rework that failed counts as well.
    twice = replace(file, plan=None, before=plan)
    replan = Replan(FAILED, again.end, rework=frozenset({row.key}))
    made = make_plan(twice, tie=TIE, replan=replan, cpu_s=0.2, with_solver=False).file
    assert _plan(made).reworked == (row, again)
    assert _plan(made).row_document(row.key)["rework"] == 2
    assert is_true(made)


def test_no_gap_is_measured_by_what_was_spent() -> None:
    """However dear the row was that failed: what is left to save is the same, and so is its part of what is open."""
    world = made_file(3)
    before = _plan(world)
    failed = before.rows[0]
    gaps = set()
    for price in (0, failed.price, MAX_AMOUNT):
        done = replace(failed, price=price)
        earlier = replace(before, rows=(done, *before.rows[1:]))
        file = make_plan(
            replace(world, plan=None, before=earlier),
            tie=TIE,
            replan=Replan(FAILED, failed.end, rework=frozenset({failed.key})),
            cpu_s=0.2,
            with_solver=False,
            repeatable=True,
        ).file
        plan, found = _plan(file), check_plan(file)
        assert plan.cost.spent == spent_on([done], file.objective.carbon_price)
        gaps.add(found.gap_per_mille)
        part = build_part(plan, failed.owner)
        assert gap_per_mille(part.total, part.bound.value, spent=part.spent) == found.gap_per_mille
    assert len(gaps) == 1
    assert gaps != {0}


@pytest.mark.parametrize("owner", [11, 12])
def test_rework_is_refused_where_no_plan_before_shows_it(owner: int) -> None:
    """It decides whose offers count: an owner who never had the part would take those of all others away."""
    file = _replanned(
        Replan(FAILED, _plan(made_file(3)).rows[0].end, rework=frozenset({_plan(made_file(3)).rows[0].key}))
    )
    plan = _plan(file)
    [row] = plan.reworked
    forged = replace(plan, reworked=(replace(row, owner=owner),))
    with pytest.raises(PlanRefusedError, match="not in the file" if owner == row.owner else "has the part"):
        check_plan(replace(file, plan=forged, before=None))


def test_a_rework_needs_an_offer_of_who_has_the_part() -> None:
    before = _plan(made_file(3))
    row = before.rows[0]
    with pytest.raises(UnplannableError, match="has no offer that starts in time"):
        _replanned(Replan(FAILED, 24 - (row.end - row.start) + 1, rework=frozenset({row.key})))
    for wrong in (frozenset({(row.order, 9)}), frozenset({row.key})):
        with pytest.raises(PlanError, match="is not a row of the plan before, or stays"):
            _replanned(Replan(FAILED, 0, started=frozenset({row.key}), rework=wrong))


def test_a_replan_needs_rows_and_offers_that_are_there() -> None:
    before = _plan(made_file(3))
    with pytest.raises(PlanError, match="the plan before has no row for operation 10"):
        _replanned(Replan(DOWN, 0, started=frozenset({(before.rows[0].order, 9)})))
    first = before.rows[0]
    with pytest.raises(PlanError, match="has started, and its offer was dropped"):
        _replanned(Replan(DOWN, 0, started=frozenset({first.key}), dropped=frozenset({first.offer})))
    with pytest.raises(PlanError, match="are needed together"):
        make_plan(made_file(3), tie=TIE, replan=Replan(DOWN, 0), cpu_s=0.1)


def test_the_check_is_a_program_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.json"
    path.write_bytes(made_file(1).to_bytes())
    assert main([str(path)]) == 0
    assert "cheaper than this one" in capsys.readouterr().out
    changed = replace(made_file(1), plan=replace(_plan(made_file(1)), tie=bytes(31) + b"\2", call=bytes(32)))
    path.write_bytes(changed.to_bytes())
    assert main([str(path), "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith('{\n  "format": "millmark.plan.check/1",\n')
    assert '"rule": "call"' in shown.out
    assert shown.err == "millmark: REFUSED rule call: the plan is for another call\n"
    path.write_bytes(b"{}")
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_cost_that_no_safe_integer_holds_is_refused_in_one_line() -> None:
    """Amounts up to 2^40 are allowed, so lateness alone can pass 2^53: the sum is not made, by plan or check."""
    file = draw_file(0, orders=1)
    [job] = file.call.jobs
    objective = replace(file.objective, tardiness=((job.order, 2**40),))
    call = replace(file.call, slots=20_000, objective=objective.commitment)
    late = [
        replace(item, entry=replace(item.entry, call=call.digest, windows=((15_000, 15_020, 5),)))
        for item in file.offers
        if isinstance(item.entry, Offer) and item.entry.until >= call.closes
    ]
    world = replace(file, call=call, objective=objective, offers=tuple(late))
    with pytest.raises(
        PlanError, match=r"the tardiness in a plan's cost is beyond 2\^53 - 1; use a larger unit of money"
    ) as refused:
        make_plan(world, tie=TIE, cpu_s=0.2, with_solver=False)
    assert "\n" not in str(refused.value)
