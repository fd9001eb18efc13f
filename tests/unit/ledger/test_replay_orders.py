"""Orders and assignments: stories that break one rule of the replay each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.broken import ORDER, Broken, Told, check_broken, in_production
from tests.support.story import (
    BENCH,
    BENCH_STREAM,
    BUYER,
    COORDINATOR,
    FOREIGN,
    INSPECTOR,
    OTHER,
    PRESS,
    STREAM,
    Story,
    terms_of,
)

broken = Broken()


# Orders


@broken("not cancelled by who may")
def cancelled_by_the_coordinator_too_early(story: Story) -> None:
    story.place(ORDER)
    story.record("OrderCancelled", COORDINATOR, ORDER, reason_root=bytes(32))


@broken("cancelled while in_production")
def cancelled_in_production(story: Story) -> None:
    in_production(story)
    story.record("OrderCancelled", BUYER, ORDER, reason_root=bytes(32))


@broken("completed with operation 1 unfinished")
def completed_too_early(story: Story) -> None:
    story.finish(ORDER, in_production(story, operations=2))
    story.record("OrderCompleted", COORDINATOR, ORDER, claims_root=bytes(32))


@broken("completed with operation 0 unfinished")
def completed_with_a_live_assignment(story: Story) -> None:
    story.finish(ORDER, in_production(story))
    story.propose(ORDER)
    story.record("OrderCompleted", COORDINATOR, ORDER, claims_root=bytes(32))


@broken("revised by neither side")
def revised_by_a_stranger(story: Story) -> None:
    story.place(ORDER)
    story.record("RevisionProposed", OTHER, ORDER, terms=terms_of())


@broken("revised while rejected")
def revised_when_over(story: Story) -> None:
    story.place(ORDER)
    story.record("OrderRejected", COORDINATOR, ORDER, reason_root=bytes(32))
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of())


@broken("the gate is taken away during production")
def no_inspector_in_production(story: Story) -> None:
    in_production(story)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(inspector=0, model=0))


@broken("takes operations away")
def fewer_operations(story: Story) -> None:
    story.place(ORDER, operations=3)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))


@broken("not what the other side proposed last")
def own_proposal_accepted(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    story.record("RevisionAccepted", BUYER, ORDER, proposal=proposal, terms=terms_of(2))


@broken("not what the other side proposed last")
def proposal_that_is_not_the_latest_record(story: Story) -> None:
    story.place(ORDER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(2))
    story.accept(ORDER)
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, terms=terms_of(2))


# Assignments


@broken("has no operation 1")
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


@broken("the order's inspector makes it")
def inspector_chosen_as_maker(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    story.propose(ORDER, machine=BENCH, owner=INSPECTOR)


@broken("the order's inspector makes it")
def maker_becomes_inspector(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER, machine=FOREIGN, owner=OTHER)
    story.step("AssignmentAccepted", ORDER, assignment, by=OTHER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(inspector=OTHER))
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, terms=terms_of(inspector=OTHER))
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
def test_a_broken_rule_is_named(cause: str, told: Told) -> None:
    check_broken(cause, told)
