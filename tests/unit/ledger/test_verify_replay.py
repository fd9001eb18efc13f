"""What may follow what: each rule of the replay with a history that keeps it, and one that breaks it alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger.records import AssignmentState, CertificateState, LotState, ModelState, OrderState, TransformationKind
from ledger.verify._state import State
from ledger.verify.refusals import ReplayRefused
from tests.support.story import (
    BENCH,
    BENCH_STREAM,
    BUYER,
    CARRIER,
    COORDINATOR,
    DAY_S,
    DRAFT,
    FOREIGN,
    GRAM,
    INSPECTOR,
    MAKER,
    MODEL,
    OTHER,
    PRESS,
    PUBLISHED,
    Story,
    hidden,
    name,
    terms_of,
)

ORDER, SECOND = name("order"), name("second order")
A, B, C, BOX = sorted(name(text) for text in "abcd")
Told = Callable[[Story], object]

BROKEN: list[tuple[str, Told]] = []


def broken(cause: str) -> Callable[[Told], Told]:
    """Registers a story that must be refused for that cause."""

    def register(told: Told) -> Told:
        BROKEN.append((cause, told))
        return told

    return register


def in_production(story: Story, operations: int = 1) -> int:
    story.place(ORDER, operations)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.step("AssignmentStarted", ORDER, assignment)
    return assignment


def certified(story: Story, verdict: int = 1, model: int = MODEL) -> int:
    """Lot A of an order, with a certificate."""
    story.commission(A, ORDER, in_production(story))
    return story.certify(A, ORDER, verdict, model)


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


@broken("the inspector changes during production")
def another_inspector_in_production(story: Story) -> None:
    in_production(story)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(inspector=OTHER))


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
    story.step("AssignmentStarted", ORDER, assignment, by=OTHER)


@broken("machine 10 was retired")
def accepted_for_a_retired_machine(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.machines[PRESS] = replace(story.machines[PRESS], retired_at=story.now)
    story.now += 10
    story.step("AssignmentAccepted", ORDER, assignment)


@broken("the evidence is of another machine")
def evidence_of_another_machine(story: Story) -> None:
    story.finish(ORDER, in_production(story), BENCH_STREAM)


# Lots


@broken("scrapped while offered")
def scrapped_when_offered(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.on_lot("LotScrapped", A, quantity=1)


@broken("quarantined while quarantined")
def quarantined_twice(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotQuarantined", A)
    story.on_lot("LotQuarantined", A)


@broken("released while held")
def released_when_held(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotReleased", A)


@broken("released by another")
def released_by_another(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotQuarantined", A)
    story.on_lot("LotReleased", A, by=OTHER)


@broken("was made before")
def received_twice(story: Story) -> None:
    story.receive(A)
    story.receive(A)


@broken("participant 3 has custody")
def scrapped_by_another(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotScrapped", A, by=OTHER, quantity=1)


@broken("a lot stands in it twice")
def two_outputs_of_one_name(story: Story) -> None:
    story.receive(A)
    made = story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1})
    change = story.entries[-1].fields.struct("transformation")
    output = change.structs("outputs")[0]
    change.values["outputs"] = (output, output)
    story.entries[-1] = replace(story.entries[-1], histories=(A, made[0], made[0]))
    del story.histories[made[1]]


@broken("its inputs do not ascend")
def inputs_in_another_order(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.transform(TransformationKind.MERGE, {B: 1, A: 1}, {"x": 2})


@broken("a split of 1 lots into 1")
def split_into_one(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.SPLIT, {A: 1}, {"x": 1})


@broken("a merge of 1 lots into 1")
def merge_of_one(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.MERGE, {A: 1}, {"x": 1})


@broken("a rework of 2 lots into 1")
def rework_of_two(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.transform(TransformationKind.REWORK, {A: 1, B: 1}, {"x": 2})


@broken("the lot leaves its order")
def split_out_of_its_order(story: Story) -> None:
    story.commission(A, ORDER, in_production(story), quantity=2)
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1})


@broken("the lot leaves its order")
def converted_out_of_its_order(story: Story) -> None:
    story.commission(A, ORDER, in_production(story), quantity=2)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2})


@broken("taken while quarantined")
def quarantined_and_split(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotQuarantined", A)
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1})


@broken("the lot has another unit")
def merge_of_two_units(story: Story) -> None:
    story.receive(A)
    story.receive(B, unit=GRAM)
    story.transform(TransformationKind.MERGE, {A: 1, B: 1}, {"x": 2})


@broken("do not balance")
def units_changed_by_a_split(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1}, output_unit=GRAM)


@broken("do not balance")
def yield_within_one_unit(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 4}, yield_in=1, yield_out=2)


@broken("taken with lots packed in it")
def scrapped_with_contents(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.on_lot("LotScrapped", BOX, quantity=1)


@broken("packed into itself")
def packed_into_itself(story: Story) -> None:
    story.receive(A)
    story.record("LotsPacked", MAKER, A, A)


@broken("packing while offered")
def packed_when_offered(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.offer(A)
    story.pack(BOX, A)


@broken("a packed lot moves on its own")
def scrapped_when_packed(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.on_lot("LotScrapped", A, quantity=1)


@broken("a packed lot moves on its own")
def offered_when_packed(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.offer(A)


@broken("it was not in that parent")
def unpacked_out_of_another(story: Story) -> None:
    for lot in (A, B, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.record("LotsUnpacked", MAKER, BOX, B)


@broken("the history of that lot is missing")
def packed_into_a_hidden_box(story: Story) -> None:
    story.receive(A)
    story.record("LotsPacked", MAKER, hidden(), A)


@broken("of several histories")
def received_as_two(story: Story) -> None:
    story.record("LotReceived", MAKER, A, B, quantity=1, unit=GRAM, claims_root=bytes(32))


# Sealed records


@broken("a sealed record follows, which cannot be")
def sealed_while_packed(story: Story) -> bytes:
    for lot in (A, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.seal(A)
    return C


@broken("a sealed record follows, which cannot be")
def sealed_while_offered(story: Story) -> bytes:
    story.receive(A)
    story.offer(A)
    story.seal(A)
    story.take(A)
    return C


@broken("a sealed record follows, which cannot be")
def sealed_after_the_last_piece(story: Story) -> bytes:
    story.receive(A, quantity=1)
    story.seal(A)
    story.seal(A)
    return C


@broken("11 taken of 9")
def more_than_the_sealed_ones_left(story: Story) -> bytes:
    story.receive(A)
    story.seal(A)
    story.on_lot("LotScrapped", A, quantity=11)
    return C


# Custody and certificates


@broken("offered while offered")
def offered_twice(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.offer(A)


@broken("there is no offer")
def taken_without_an_offer(story: Story) -> None:
    story.receive(A)
    story.take(A)


@broken("what is packed is quarantined")
def moved_with_something_quarantined(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.receive(BOX)
    story.pack(BOX, A)
    story.on_lot("LotQuarantined", A, by=INSPECTOR)
    story.offer(BOX)


@broken("packed too deep")
def boxes_in_boxes(story: Story) -> None:
    boxes = [story.receive(name(f"box {number}")) for number in range(11)]
    for inner, outer in itertools.pairwise(boxes):
        story.pack(outer, inner)
    story.offer(boxes[-1])


@broken("custody passes a closed gate")
def to_the_buyer_without_a_certificate(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.offer(A, to=BUYER)


@broken("custody passes a closed gate")
def to_the_buyer_in_a_box(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.receive(BOX)
    story.pack(BOX, A)
    story.offer(BOX, to=BUYER)


@broken("custody passes a closed gate")
def taken_when_revoked_meanwhile(story: Story) -> None:
    certificate = certified(story)
    story.offer(A, to=BUYER)
    story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)
    story.take(A, by=BUYER)


@broken("custody passes a closed gate")
def on_another_model(story: Story) -> None:
    certified(story, model=PUBLISHED)
    story.offer(A, to=BUYER)


@broken("custody passes a closed gate")
def taken_when_unopened(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.now += 8 * DAY_S
    story.offer(A, to=BUYER)


@broken("model 22 was not approved")
def certified_on_a_draft(story: Story) -> None:
    story.receive(A)
    story.certify(A, model=DRAFT)


@broken("model 20 was not approved")
def certified_on_a_model_that_was_withdrawn(story: Story) -> None:
    story.receive(A)
    story.models[MODEL] = replace(story.models[MODEL], state=ModelState.WITHDRAWN, withdrawn_at=story.now)
    story.now += 10
    story.certify(A)


@broken("the order's inspector is participant 4")
def certified_by_another_inspector(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.certify(A, ORDER, by=OTHER)


@broken("revoked when it was revoked")
def revoked_twice(story: Story) -> None:
    certificate = certified(story)
    for _ in range(2):
        story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)


@broken("revoked when it was refuted")
def revoked_when_refuted(story: Story) -> None:
    certificate = certified(story)
    story.settle("CertificateRefuted", A, certificate)
    story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)


@broken("upheld past its deadline")
def opened_too_late(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.now += 7 * DAY_S
    story.settle("CertificateUpheld", A, certificate)


@broken("is no verdict")
def refuted_with_no_verdict(story: Story) -> None:
    certificate = certified(story, model=PUBLISHED)
    story.settle("CertificateRefuted", A, certificate, executed=3)


@broken("not published was executed")
def refuted_by_a_model_that_is_not_there(story: Story) -> None:
    story.settle("CertificateRefuted", A, certified(story), executed=2)


@broken("a published model is executed")
def upheld_without_executing_what_could_be(story: Story) -> None:
    story.settle("CertificateUpheld", A, certified(story, model=PUBLISHED), executed=0)


@broken("demanded when demanded")
def demanded_twice(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.demand(A, certificate)


@broken("not the lot's latest certificate")
def an_older_one_is_demanded(story: Story) -> None:
    certificate = certified(story)
    story.certify(A, ORDER)
    story.demand(A, certificate)


# What the bundle holds


@broken("nothing in the bundle asks for this history")
def history_that_is_not_asked_for(story: Story) -> bytes:
    story.receive(A)
    story.receive(B)
    return A


@broken("is not of this history")
def superseded_elsewhere(story: Story) -> None:
    first = story.entries[-1].sequence if story.entries else 1
    story.receive(A)
    story.receive(B)
    story.on_lot("RecordSuperseded", B, superseded=first)


@broken("superseded by another")
def superseded_by_another(story: Story) -> None:
    story.receive(A)
    story.on_lot("RecordSuperseded", A, by=OTHER, superseded=1)


@pytest.mark.parametrize(("cause", "told"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Told) -> None:
    story = Story()
    part = told(story)
    with pytest.raises(ReplayRefused) as refused:
        story.replay(*((part,) if isinstance(part, bytes) else ()))
    assert cause in refused.value.reason


# And what is allowed


def told(tell: Callable[[Story], object], *parts: bytes) -> State:
    story = Story()
    tell(story)
    return story.replay(*(parts or [one for one in story.histories if one not in (ORDER, SECOND)]))


def test_an_order_runs_to_its_end() -> None:
    def tell(story: Story) -> None:
        story.commission(A, ORDER, assignment := in_production(story))
        story.finish(ORDER, assignment)
        story.certify(A, ORDER)
        story.record("OrderCompleted", COORDINATOR, ORDER, claims_root=bytes(32))
        story.offer(A, to=BUYER)
        story.take(A, by=BUYER)
        story.record("OrderDelivered", BUYER, ORDER, claims_root=bytes(32))

    state = told(tell)
    assert state.orders[ORDER].state is OrderState.DELIVERED
    assert [one.state for one in state.orders[ORDER].assignments.values()] == [AssignmentState.FINISHED]
    assert (state.lots[A].custodian, state.lots[A].state) == (BUYER, LotState.HELD)


def test_a_quarantine_passes_on_with_rework_and_falls_with_a_passing_certificate() -> None:
    def tell(story: Story) -> None:
        certified(story, verdict=2)
        [again] = story.transform(TransformationKind.REWORK, {A: 1}, {"again": 1}, order=ORDER)
        made.append(again)

    made: list[bytes] = []
    state = told(tell)
    assert (state.lots[A].state, state.lots[made[0]].state) == (LotState.SPENT, LotState.QUARANTINED)
    assert state.lots[made[0]].counterparty == INSPECTOR

    def pass_it(story: Story) -> None:
        tell(story)
        story.certify(made[-1], ORDER)

    assert told(pass_it).lots[made[0]].state is LotState.HELD


@pytest.mark.parametrize(
    ("model", "executed", "expected"),
    [(MODEL, 0, LotState.QUARANTINED), (PUBLISHED, 2, LotState.QUARANTINED), (PUBLISHED, 1, LotState.HELD)],
)
def test_a_refuted_certificate_sends_the_lot_where_its_model_says(
    model: int, executed: int, expected: LotState
) -> None:
    verdict = 2 if executed == 1 else 1
    state = told(lambda story: story.settle("CertificateRefuted", A, certified(story, verdict, model), executed))
    assert state.lots[A].state is expected
    assert state.lots[A].certificates[-1].state is CertificateState.REFUTED


def test_who_else_quarantined_a_lot_keeps_it() -> None:
    """Neither a failing certificate of an inspector who is not the gate's takes it over, nor a passing one lifts it."""

    def tell(story: Story) -> None:
        story.receive(A)
        story.on_lot("LotQuarantined", A)
        story.certify(A, verdict=2)
        story.certify(A, verdict=1)

    state = told(tell)
    assert (state.lots[A].state, state.lots[A].counterparty) == (LotState.QUARANTINED, MAKER)


def test_a_packed_lot_goes_where_its_box_goes_and_is_unpacked_there() -> None:
    def tell(story: Story) -> None:
        for lot in (A, BOX):
            story.receive(lot)
        story.pack(BOX, A)
        story.offer(BOX)
        story.take(BOX)
        story.record("LotsUnpacked", CARRIER, BOX, A)

    state = told(tell, A)
    assert (state.lots[A].custodian, state.lots[A].parent, state.lots[BOX].contents) == (CARRIER, None, set())


def test_sisters_without_a_history_are_not_judged() -> None:
    """Other contents of a box, other outputs of a split, and other orders that a shared lot went into."""

    def tell(story: Story) -> None:
        story.receive(A)
        story.receive(BOX)
        story.record("LotsPacked", MAKER, BOX, *sorted((A, hidden(1))))
        story.record("LotsUnpacked", MAKER, BOX, *sorted((A, hidden(1))))
        made = story.transform(TransformationKind.CONVERSION, {A: 4}, {"elsewhere": 4}, order=hidden(2))
        del story.histories[made[0]]

    assert told(tell, A).lots[A].quantity == 6


def test_sealed_records_leave_what_can_be_left_at_most() -> None:
    story = Story()
    story.receive(A, quantity=3)
    story.receive(B, quantity=1)
    story.seal(A)
    [made] = story.transform(TransformationKind.MERGE, dict.fromkeys(sorted((A, B)), 1), {"x": 2})
    story.seal(A)
    state = story.replay(made)
    assert (state.lots[A].quantity, state.lots[A].state, state.lots[A].sealed) == (0, LotState.SPENT, 2)
    assert state.lots[made].quantity == 2


def test_within_one_block_a_machine_may_be_retired_and_a_model_withdrawn() -> None:
    story = Story()
    certified(story)
    proposed = next(one for one in story.entries if one.kind == "AssignmentAccepted")
    story.machines[PRESS] = replace(story.machines[PRESS], retired_at=proposed.time)
    story.models[MODEL] = replace(story.models[MODEL], state=ModelState.WITHDRAWN, withdrawn_at=story.now)
    assert story.replay(A).lots[A].certificates
