"""Orders, deliveries and assignments that just keep a rule of the replay, or just do not: numbers at their limits,
times that are equal, and lots that are almost as they must be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.records import Gate, OrderState
from tests.support.story import (
    BUYER,
    COORDINATOR,
    DAY_S,
    DRAFT,
    FOREIGN,
    INSPECTOR,
    MODEL,
    ORDER,
    OTHER,
    PIECE,
    PRESS,
    STREAM,
    A,
    Broken,
    Episode,
    Story,
    check_broken,
    in_production,
    terms_of,
)

broken = Broken()


def revise(story: Story, **members: object) -> None:
    terms = replace(terms_of(), **members)  # type: ignore[arg-type]  # members of the terms
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, terms=terms)


# Orders


@broken("an order has 1 to 64 operations")
def no_operation(story: Story) -> None:
    story.record("OrderPlaced", BUYER, ORDER, terms=terms_of(0))


@broken.kept
def operations_64(story: Story) -> None:
    story.place(ORDER, 64)


@broken("an order has 1 to 64 operations")
def operations_65(story: Story) -> None:
    story.place(ORDER, 65)


@broken("a quantity without a unit")
def placed_with_a_unit_alone(story: Story) -> None:
    story.record("OrderPlaced", BUYER, ORDER, terms=replace(terms_of(), unit=PIECE))


@broken("the gate's model was not approved")
def gate_of_a_draft(story: Story) -> None:
    story.place(ORDER, 1, Gate(INSPECTOR, DRAFT))


@broken("the gate's model was not approved")
def revised_to_a_draft(story: Story) -> None:
    story.place(ORDER)
    revise(story, gates=(Gate(INSPECTOR, DRAFT),))


@broken("the same participant agrees again")
def agreed_twice_while_another_is_awaited(story: Story) -> None:
    story.place(ORDER)
    terms = replace(terms_of(), coordinator=OTHER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    story.record("RevisionAccepted", BUYER, ORDER, proposal=proposal, terms=terms, awaited=OTHER)


@broken("the gates are taken away during production")
def gates_dropped_by_an_agreement_that_came_too_late(story: Story) -> None:
    """They could have been while nothing was made, when this was proposed."""
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    terms = terms_of(gates=())
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    story.start(ORDER, assignment)
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, terms=terms)


@broken("a new inspector has an assignment")
def one_of_two_makers_becomes_inspector(story: Story) -> None:
    in_production(story, operations=2)
    story.propose(ORDER, operation=1, machine=FOREIGN, owner=OTHER)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2, gates=(Gate(OTHER, MODEL),)))


@broken.kept
def who_declined_becomes_inspector(story: Story) -> None:
    in_production(story, operations=2)
    assignment = story.propose(ORDER, operation=1, machine=FOREIGN, owner=OTHER)
    story.step("AssignmentDeclined", ORDER, assignment, 1, by=OTHER)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2, gates=(Gate(OTHER, MODEL),)))


@broken.kept
def ended_alone_in_time(story: Story) -> None:
    in_production(story)
    proposal = story.record("EndProposed", BUYER, ORDER)
    story.now += 14 * DAY_S - 1
    story.record("OrderEnded", BUYER, ORDER, proposal=proposal)


@broken("revised while delivered")
def revised_after_the_delivery(story: Story) -> None:
    _delivered(story, 2)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of())


@pytest.mark.parametrize("operations", [1, 2])
def test_a_completed_order_is_in_production_again_if_operations_are_added(operations: int) -> None:
    story = Story()
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    story.finish(ORDER, assignment)
    story.record("OrderCompleted", COORDINATOR, ORDER)
    revise(story, operations=operations)
    expected = OrderState.COMPLETED if operations == 1 else OrderState.IN_PRODUCTION
    assert story.replay(A).orders[ORDER].state is expected


def test_a_completed_order_is_in_production_again_if_an_operation_is_assigned_again() -> None:
    story = Story()
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    story.finish(ORDER, assignment)
    story.record("OrderCompleted", COORDINATOR, ORDER)
    story.propose(ORDER)
    assert story.replay(A).orders[ORDER].state is OrderState.IN_PRODUCTION


@broken.kept
def more_operations_before_acceptance(story: Story) -> None:
    story.place(ORDER)
    revise(story, operations=2)
    story.accept(ORDER)


# Delivery


def _delivered(story: Story, quantity: int, of: int = 2) -> None:
    """The buyer has `quantity` pieces of an order for `of`."""
    assignment = in_production(story)
    revise(story, quantity=of, unit=PIECE)
    story.finish(ORDER, assignment)
    story.record("OrderCompleted", COORDINATOR, ORDER)
    story.record("OrderDelivered", BUYER, ORDER, count=1, quantity=quantity)


@broken.kept
def delivered_as_much_as_agreed(story: Story) -> None:
    _delivered(story, 2)


@broken("less was delivered than agreed")
def delivered_too_little(story: Story) -> None:
    _delivered(story, 1)


# Assignments


@broken("machine 10 is not of participant 7")
def proposed_to_who_does_not_own_the_machine(story: Story) -> None:
    _accepted(story)
    story.propose(ORDER, owner=OTHER)


@broken("machine 10 was retired")
def proposed_for_a_retired_machine(story: Story) -> None:
    _accepted(story)
    story.machines[PRESS] = replace(story.machines[PRESS], retired_at=story.now)
    story.propose(ORDER)


@broken.kept
def proposed_in_the_block_of_the_retirement(story: Story) -> None:
    _accepted(story)
    story.machines[PRESS] = replace(story.machines[PRESS], retired_at=story.now + 1)
    story.propose(ORDER)


@broken("has no operation 2")
def operation_beyond_the_last(story: Story) -> None:
    _accepted(story)
    story.propose(ORDER, operation=1)


@broken("the assignment is started while proposed")
def started_without_acceptance(story: Story) -> None:
    _accepted(story)
    story.start(ORDER, story.propose(ORDER))


@broken("an assignment moves while the order is cancelled")
def started_after_the_order_was_cancelled(story: Story) -> None:
    _accepted(story)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.record("OrderCancelled", COORDINATOR, ORDER)
    story.start(ORDER, assignment)


@broken("the assignment is cancelled while finished")
def cancelled_when_finished(story: Story) -> None:
    assignment = in_production(story)
    story.finish(ORDER, assignment)
    story.step("AssignmentCancelled", ORDER, assignment, by=COORDINATOR)


@broken("assignment 99 is not the current one of operation 1")
def step_of_no_assignment(story: Story) -> None:
    in_production(story)
    story.step("AssignmentCancelled", ORDER, 99, by=COORDINATOR)


@broken("is not the current one of operation 2")
def step_of_an_operation_without_one(story: Story) -> None:
    assignment = in_production(story, operations=2)
    story.step("AssignmentCancelled", ORDER, assignment, 1, by=COORDINATOR)


@broken.kept
def every_live_assignment_can_be_cancelled(story: Story) -> None:
    _accepted(story)
    story.step("AssignmentCancelled", ORDER, story.propose(ORDER), by=COORDINATOR)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.step("AssignmentCancelled", ORDER, assignment, by=COORDINATOR)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.step("AssignmentCancelled", ORDER, assignment, by=COORDINATOR)


@broken.kept
def started_at_the_stream_s_end(story: Story) -> None:
    _accepted(story)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.step("AssignmentStarted", ORDER, assignment, stream=STREAM, stream_size=100)


@broken.kept
def finished_by_the_last_entry(story: Story) -> None:
    story.finish(ORDER, in_production(story), leaf=99)


def _accepted(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_is_kept_to_the_edge(cause: str, told: Episode) -> None:
    check_broken(cause, told)
