"""From a machine that fails to another plan: across two companies, over the ledger and a hand-over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.plans.offer import OfferWithdrawal
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.records import Anchor, CancelAssignment, ProposeAssignment
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.feedback.causes import Step
from millmark.services.planning.feedback.repository import FeedbackRepository, State
from millmark.services.planning.feedback.taking import MOST_TRIES, NoSetpoints
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.making_process import Task
from millmark.services.planning.reading import reading, writing
from millmark.services.planning.repository import What
from millmark.services.planning.schedule import Made, make_plan
from tests.support.apart import found_apart
from tests.support.planned import Loop, Planned
from tests.support.stores import copy_database, new_store


def fail(_task: Task) -> Made:
    raise PlanningError("the process that makes the plan has failed", hint="see the gateway's log")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """The mill has failed, and its owner has withdrawn what it offered."""
    apart = found_apart(tmp_path_factory.mktemp("loop"))
    planned = Planned(apart)
    made = Loop(planned)
    planned.equip()
    planned.place()
    made.pass_on()
    planned.make_call()
    made.pass_on()
    planned.offer("lathe", 9000)
    planned.offer("mill", 100)
    made.pass_on()
    made.make_plan()
    made.agree()
    for home in apart.homes.values():
        made.look(home)
    made.fail_mill()
    made.look(made.coordinator)
    yield made
    apart.close()


@pytest.fixture
def loop(story: Loop, tmp_path: Path) -> Iterator[Loop]:
    """The same, with a copy of the coordinator's database."""
    home = story.coordinator
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        story.planned.apart.homes[home.company.number] = replace(home, store=store)
        story.queued.clear()
        yield story
    story.planned.apart.homes[home.company.number] = home


def test_a_failed_machine_leads_to_a_plan_without_it_that_names_the_withdrawal(loop: Loop) -> None:
    before = loop.plan()
    [milling] = [row for row in before.rows if row.machine == loop.mill]
    [step] = loop.steps()
    assert (step.step, step.state) == (Step.REPLAN.value, State.DUE)
    loop.look(loop.coordinator)
    assert len(loop.steps()) == 1, "the same withdrawal is one cause"
    assert loop.replacer().replace_next(loop.planned.apart.world.now())
    after = loop.plan()
    assert after.before == before.digest
    assert all(row.machine != loop.mill for row in after.rows)
    assert after.cause is not None
    assert after.cause.kind is CauseKind.MACHINE_DOWN
    with reading(loop.coordinator.store) as tables:
        [leaf] = tables.planning.leaves(loop.planned.call.digest, What.WITHDRAWAL)
        said = OfferWithdrawal.parse(leaf.value).cause
    assert (after.cause.stream, after.cause.leaf) == (leaf.stream, leaf.leaf_index)
    assert said is not None
    assert said.text == "the spindle broke"
    kinds = [type(record) for _, record in loop.queued]
    assert kinds == [Anchor, CancelAssignment, ProposeAssignment], "turning keeps its assignment"
    moved = {record.operation for _, record in loop.queued if isinstance(record, CancelAssignment | ProposeAssignment)}
    assert moved == {milling.operation}
    assert loop.steps()[0].state == State.DONE
    loop.look(loop.coordinator)
    assert not loop.replacer().replace_next(loop.planned.apart.world.now())
    assert len(loop.queued) == len(kinds)


def test_a_plan_that_was_replaced_meanwhile_is_not_replaced_by_what_was_made_of_the_one_before(loop: Loop) -> None:
    [due] = loop.steps()
    replacer, now_s = loop.replacer(), loop.planned.apart.world.now()
    with reading(loop.coordinator.store) as tables:
        [cause] = FeedbackRepository(tables.connection).causes(9)
        prepared = replacer._prepare(tables, due, cause, now_s)
    assert prepared is not None
    made = make_plan(prepared.file, tie=prepared.tie, replan=prepared.why, cpu_s=0.2)
    replacer._record(due, prepared, made, now_s)  # by the other process
    first, queued = loop.plan(), list(loop.queued)
    replacer._record(due, prepared, made, now_s)
    assert loop.plan() == first
    assert loop.queued == queued
    assert [step.state for step in loop.steps()] == [State.DONE]


def test_where_nothing_is_left_to_move_or_no_plan_is_possible_the_step_says_so(loop: Loop) -> None:
    before = loop.plan()
    with writing(loop.coordinator.store) as tables:  # what the other machine is offered for is gone as well
        connection = tables.connection
        lathe = loop.planned.apart.world.streams["lathe-offers"]
        connection.exec_driver_sql("DELETE FROM planning_leaves WHERE stream = ?", (lathe,))
    assert loop.replacer().replace_next(loop.planned.apart.world.now())
    [step] = loop.steps()
    assert step.state == State.FAILED
    assert "no plan is possible" in step.detail
    assert loop.plan() == before
    assert not loop.queued


def test_a_step_whose_plan_cannot_be_made_fails_in_the_end_and_blocks_no_other(loop: Loop) -> None:
    replacer, now_s = loop.replacer(fail), loop.planned.apart.world.now()
    with writing(loop.coordinator.store) as tables:
        kept = FeedbackRepository(tables.connection)
        [row] = kept.causes(9)
        [unknown] = kept.add_steps(row.id, [(Step.REPLAN, State.DUE, f"0x{'07' * 32}")], 0)  # the first in turn
    assert unknown.number == 2
    for _ in range(2 * MOST_TRIES):
        assert replacer.replace_next(now_s)
    assert [step.state for step in loop.steps()] == [State.FAILED, State.FAILED]
    assert not replacer.replace_next(now_s)


def rewrite_withdrawal(loop: Loop, kind: str) -> None:
    """As if it had another cause, and feedback had not seen it yet."""
    with writing(loop.coordinator.store) as tables:
        tables.connection.exec_driver_sql("DELETE FROM feedback_causes")
        tables.connection.exec_driver_sql("DELETE FROM feedback_steps")
        change = "UPDATE planning_leaves SET entry = replace(entry, 'machine-down', ?) WHERE what = ?"
        tables.connection.exec_driver_sql(change, (kind, What.WITHDRAWAL))


@pytest.mark.parametrize("kind", ["call", "late", "declined"])
def test_a_withdrawal_for_a_cause_that_withdraws_nothing_is_not_believed(loop: Loop, kind: str) -> None:
    rewrite_withdrawal(loop, kind)
    loop.look(loop.coordinator)
    assert not loop.steps()


def test_a_withdrawal_that_touches_no_plan_is_settled_once_it_is_old(loop: Loop) -> None:
    assert loop.replacer().replace_next(loop.planned.apart.world.now())
    rewrite_withdrawal(loop, "drift")
    home, now_s = loop.coordinator, loop.planned.apart.world.now()
    for later_s, states in ((0, []), (7200, [State.SETTLED]), (7200, [State.SETTLED])):
        with writing(home.store) as tables:
            watcher = Watcher(tables, home.company.number, loop.queue, NoSetpoints(), now_s + later_s)
            watcher.look()
            assert watcher.is_idle()
        assert [step.state for step in loop.steps()] == states
