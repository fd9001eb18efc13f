"""Orders and assignments: stories that break one rule of the replay each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.records import Gate, OrderTerms
from tests.support.story import (
    BENCH,
    BENCH_STREAM,
    BUYER,
    COORDINATOR,
    FOREIGN,
    INSPECTOR,
    MAKER,
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


# Orders


@broken("the order was placed before")
def placed_twice(story: Story) -> None:
    story.place(ORDER)
    story.place(ORDER)


@broken("not cancelled by who may")
def an_order_cancelled_by_a_stranger(story: Story) -> None:
    story.place(ORDER)
    story.record("OrderCancelled", OTHER, ORDER, reason_root=bytes(32))


@broken("cancelled while in_production")
def cancelled_in_production(story: Story) -> None:
    in_production(story)
    story.record("OrderCancelled", BUYER, ORDER, reason_root=bytes(32))


@broken("completed with operation 2 unfinished")
def completed_too_early(story: Story) -> None:
    story.finish(ORDER, in_production(story, operations=2))
    story.record("OrderCompleted", COORDINATOR, ORDER, claims_root=bytes(32))


@broken("completed with operation 1 unfinished")
def completed_with_a_live_assignment(story: Story) -> None:
    story.finish(ORDER, in_production(story))
    story.propose(ORDER)
    story.record("OrderCompleted", COORDINATOR, ORDER, claims_root=bytes(32))


@broken("revised by neither side")
def revised_by_a_stranger(story: Story) -> None:
    story.place(ORDER)
    story.record("RevisionProposed", OTHER, ORDER, terms=terms_of())


@broken("revised while cancelled")
def revised_when_over(story: Story) -> None:
    story.place(ORDER)
    story.record("OrderCancelled", COORDINATOR, ORDER, reason_root=bytes(32))
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of())


@broken("the gates are taken away during production")
def no_inspector_in_production(story: Story) -> None:
    in_production(story)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(gates=()))


@broken("takes operations away")
def fewer_operations(story: Story) -> None:
    story.place(ORDER, operations=3)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))


def _agree(story: Story, by: int, proposal: int, terms: OrderTerms, awaited: int = 0) -> None:
    story.record("RevisionAccepted", by, ORDER, proposal=proposal, awaited=awaited, terms=terms)


@broken("in force without an agreement")
def own_proposal_accepted(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    _agree(story, BUYER, proposal, terms_of(2))


@broken("not what was proposed last")
def other_proposal_meanwhile(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    story.record("RevisionProposed", COORDINATOR, ORDER, terms=terms_of(3))
    _agree(story, COORDINATOR, proposal, terms_of(2))


@broken("not what was proposed last")
def other_terms_agreed(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    _agree(story, COORDINATOR, proposal, terms_of(3))


@broken("not what was proposed last")
def agreed_without_a_proposal(story: Story) -> None:
    story.place(ORDER)
    _agree(story, COORDINATOR, 1, terms_of(2))


@broken("revised by none of the parties")
def stranger_agrees(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    _agree(story, OTHER, proposal, terms_of(2))


@broken("in force without an agreement")
def successor_not_asked(story: Story) -> None:
    story.place(ORDER)
    terms = replace(terms_of(), coordinator=OTHER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    _agree(story, COORDINATOR, proposal, terms)


@broken("participant 1 is not missing")
def waiting_for_nobody(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    _agree(story, COORDINATOR, proposal, terms_of(2), awaited=BUYER)


@broken("a quantity without a unit")
def quantity_without_unit(story: Story) -> None:
    story.place(ORDER)
    story.record("RevisionProposed", BUYER, ORDER, terms=replace(terms_of(), quantity=1))


def test_a_unit_of_two_letters_is_a_unit() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.record("RevisionProposed", BUYER, ORDER, terms=replace(terms_of(), quantity=5, unit=b"KG\0"))
    assert A in story.replay(A).lots


@broken("the coordinator inspects")
def inspector_becomes_coordinator(story: Story) -> None:
    story.place(ORDER)
    story.record("RevisionProposed", BUYER, ORDER, terms=replace(terms_of(), coordinator=INSPECTOR))


@broken("a new inspector has an assignment")
def maker_becomes_inspector_in_production(story: Story) -> None:
    in_production(story)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(gates=(Gate(MAKER, MODEL),)))


@broken("by participant 2, not 7")
def old_coordinator_goes_on(story: Story) -> None:
    """After another one took its place, which a coordinator that is gone need not agree to."""
    _succeed(story)
    story.accept(ORDER)


def _succeed(story: Story) -> None:
    story.place(ORDER)
    terms = replace(terms_of(), coordinator=OTHER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    _agree(story, OTHER, proposal, terms)


# The end


@broken("an end is proposed by neither side")
def end_proposed_by_a_stranger(story: Story) -> None:
    in_production(story)
    story.record("EndProposed", OTHER, ORDER, reason_root=bytes(32))


@broken("an end is proposed while placed")
def end_before_production(story: Story) -> None:
    story.place(ORDER)
    story.record("EndProposed", BUYER, ORDER, reason_root=bytes(32))


@broken("ended by neither side")
def ended_by_a_stranger(story: Story) -> None:
    in_production(story)
    proposal = story.record("EndProposed", BUYER, ORDER, reason_root=bytes(32))
    story.record("OrderEnded", OTHER, ORDER, proposal=proposal, claims_root=bytes(32))


@broken("the end is not what was proposed last")
def revision_taken_for_an_end(story: Story) -> None:
    in_production(story)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    story.record("OrderEnded", COORDINATOR, ORDER, proposal=proposal, claims_root=bytes(32))


@broken("ended by one side too early")
def ended_alone_at_once(story: Story) -> None:
    in_production(story)
    proposal = story.record("EndProposed", BUYER, ORDER, reason_root=bytes(32))
    story.now += 14 * 86_400 - 2
    story.record("OrderEnded", BUYER, ORDER, proposal=proposal, claims_root=bytes(32))


@broken("ended while ended")
def abandoned_twice(story: Story) -> None:
    """By whom the council entrusted with what the buyer had."""
    story.place(ORDER)
    story.record("OrderEnded", OTHER, ORDER, proposal=0, claims_root=bytes(32))
    story.record("OrderEnded", OTHER, ORDER, proposal=0, claims_root=bytes(32))


@broken("revised while ended")
def revised_after_the_end(story: Story) -> None:
    """Which one side brought about alone, in time."""
    in_production(story)
    proposal = story.record("EndProposed", BUYER, ORDER, reason_root=bytes(32))
    story.now += 14 * 86_400
    story.record("OrderEnded", BUYER, ORDER, proposal=proposal, claims_root=bytes(32))
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of())


# Delivery


def _complete(story: Story, quantity: int = 0) -> None:
    """An order, at times for so many pieces, with all its operations done."""
    assignment = in_production(story)
    if quantity:
        terms = replace(terms_of(), quantity=quantity, unit=PIECE)
        proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
        _agree(story, COORDINATOR, proposal, terms)
    story.finish(ORDER, assignment)
    story.record("OrderCompleted", COORDINATOR, ORDER, claims_root=bytes(32))


@broken("less was delivered than agreed")
def nothing_delivered(story: Story) -> None:
    _complete(story, quantity=2)
    story.record("OrderDelivered", BUYER, ORDER, claims_root=bytes(32))


# Assignments


@broken("neither coordinator nor buyer")
def cancelled_by_a_stranger(story: Story) -> None:
    assignment = in_production(story)
    story.step("AssignmentCancelled", ORDER, assignment, by=OTHER)


@broken("has no operation 2")
def operation_that_is_not(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    story.propose(ORDER, operation=1)


@broken("has a live assignment")
def proposed_twice(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    story.propose(ORDER)
    story.propose(ORDER)


@broken("while the order is placed")
def proposed_before_acceptance(story: Story) -> None:
    story.place(ORDER)
    story.propose(ORDER)


@broken("while the order is cancelled")
def accepted_when_cancelled(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.record("OrderCancelled", COORDINATOR, ORDER, reason_root=bytes(32))
    story.step("AssignmentAccepted", ORDER, assignment)


@broken("an inspector of the order makes it")
def inspector_chosen_as_maker(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    story.propose(ORDER, machine=BENCH, owner=INSPECTOR)


@broken("an inspector of the order makes it")
def maker_becomes_inspector(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER, machine=FOREIGN, owner=OTHER)
    story.step("AssignmentAccepted", ORDER, assignment, by=OTHER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(gates=(Gate(OTHER, MODEL),)))
    _agree(story, COORDINATOR, proposal, terms_of(gates=(Gate(OTHER, MODEL),)))
    story.start(ORDER, assignment, by=OTHER)


@broken("machine 10 was retired")
def accepted_for_a_retired_machine(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.machines[PRESS] = replace(story.machines[PRESS], retired_at=story.now)
    story.now += 10
    story.step("AssignmentAccepted", ORDER, assignment)


@broken("the stream is of another machine")
def started_on_a_stream_of_another_machine(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment, stream=BENCH_STREAM)


@broken("the stream is shorter than it was at the start")
def started_on_a_stream_that_shrank(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.step("AssignmentStarted", ORDER, assignment, stream=STREAM, stream_size=101)


@broken("the evidence is in another stream than the work was started on")
def m9_evidence_in_another_stream(story: Story) -> None:
    story.finish(ORDER, in_production(story), BENCH_STREAM)


@broken("the evidence is from before the start")
def m9_evidence_from_before_the_start(story: Story) -> None:
    story.finish(ORDER, in_production(story), leaf=0)


@broken("the evidence was never anchored")
def evidence_never_anchored(story: Story) -> None:
    story.finish(ORDER, in_production(story), leaf=100)


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Episode) -> None:
    check_broken(cause, told)
