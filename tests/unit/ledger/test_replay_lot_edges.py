"""Lots, keys, certificates and transformations that just keep a rule of the replay, or just do not."""

from __future__ import annotations

import pytest

from millmark.ledger.records import Gate, LotState, TransformationKind
from millmark.ledger.slots import KeySlots
from tests.support.story import (
    BOX,
    BUYER,
    CARRIER,
    COORDINATOR,
    GATES,
    GRAM,
    INSPECTOR,
    MAKER,
    MODEL,
    ORDER,
    OTHER,
    SECOND,
    START_S,
    A,
    B,
    Broken,
    Episode,
    Story,
    check_broken,
    hidden,
    in_production,
    key_of,
    name,
    refused_record,
    terms_of,
)

broken = Broken()


def _accepted(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)


# Lots


@broken("the order has no assignment 99")
def made_under_no_assignment(story: Story) -> None:
    in_production(story)
    story.commission(A, ORDER, 99)


@broken("the lot was made without a started assignment")
def made_before_the_start(story: Story) -> None:
    _accepted(story)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.commission(A, ORDER, assignment)


@broken("the lot was made without a started assignment")
def made_after_the_finish(story: Story) -> None:
    assignment = in_production(story)
    story.finish(ORDER, assignment)
    story.commission(A, ORDER, assignment)


@broken("the lot has no quantity")
def nothing_received(story: Story) -> None:
    story.receive(A, quantity=0)


@broken("the lot has no quantity, or no unit")
def received_without_a_unit(story: Story) -> None:
    story.receive(A, unit=bytes(3))


@broken("packed lots are 1 to 64")
def nothing_packed(story: Story) -> None:
    story.receive(BOX)
    story.pack(BOX)


def _boxed(story: Story, count: int) -> list[bytes]:
    lots = sorted(story.receive(name(f"piece {number}")) for number in range(count))
    story.receive(BOX)
    story.record("LotsPacked", MAKER, BOX, *lots)
    return lots


@broken.kept
def packed_64(story: Story) -> None:
    story.record("LotsUnpacked", MAKER, BOX, *_boxed(story, 64))


@broken("packed lots are 1 to 64")
def packed_65(story: Story) -> None:
    _boxed(story, 65)


@broken("packed lots are 1 to 64, ascending")
def packed_out_of_order(story: Story) -> None:
    for lot in (A, B, BOX):
        story.receive(lot)
    story.record("LotsPacked", MAKER, BOX, B, A)


@broken("packed lots are 1 to 64, ascending")
def packed_twice(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.record("LotsPacked", MAKER, BOX, A, A)


@broken("participant 6 has custody")
def packed_into_another_s_box(story: Story) -> None:
    story.receive(A)
    story.receive(BOX, by=CARRIER)
    story.pack(BOX, A)


@broken("participant 6 has custody")
def another_s_lot_packed(story: Story) -> None:
    story.receive(A, by=CARRIER)
    story.receive(BOX)
    story.pack(BOX, A)


@broken("packing while offered")
def packed_into_a_box_on_offer(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.offer(BOX)
    story.pack(BOX, A)


@broken("not strictly ascending")
def noted_twice(story: Story) -> None:
    story.receive(A)
    story.record("NoteRecorded", MAKER, A, A, kind_=1)


@broken("allocated under another assignment")
def allocated_under_one_that_was_declined(story: Story) -> None:
    """While another one of the same operation is under way, of the same participant."""
    _accepted(story)
    declined = story.propose(ORDER)
    story.step("AssignmentDeclined", ORDER, declined)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.receive(A)
    story.allocate(A, ORDER, declined)


# Times and keys


@pytest.mark.parametrize("proved_after_s", [0, -1])
def test_records_of_one_block_may_be_the_proof_block_s(proved_after_s: int) -> None:
    story = Story(proved_after_s=proved_after_s)
    story.receive(A)
    story.now -= 1
    story.receive(B)
    assert story.entries[0].time == story.entries[1].time == story.now
    assert refused_record(story) == (1 if proved_after_s else None)


def _signed(story: Story, revoked_at: int) -> None:
    story.keys[key_of(MAKER)] = KeySlots(MAKER, 0, False, 0, START_S, revoked_at, 0, 0)
    story.receive(A)


@broken.kept
def signed_in_the_block_of_the_revocation(story: Story) -> None:
    _signed(story, story.now + 1)


@broken("the key was revoked before")
def signed_after_the_revocation(story: Story) -> None:
    _signed(story, story.now)


@broken("the key is of participant 7")
def signed_by_another_s_key(story: Story) -> None:
    story.receive(A)
    story.entries[-1] = story.entries[-1]._replace(key=key_of(OTHER))


# Transformations


def _taken(story: Story, count: int, **more: object) -> list[bytes]:
    lots = sorted(story.receive(name(f"piece {number}")) for number in range(count))
    return story.transform(TransformationKind.MERGE, dict.fromkeys(lots, 1), {"all": count}, **more)  # type: ignore[arg-type]  # members


@broken.kept
def merged_64(story: Story) -> None:
    _taken(story, 64)


@broken("a merge of 65 lots, with 65 taken, into 1")
def merged_65(story: Story) -> None:
    _taken(story, 65)


@broken.kept
def split_into_64(story: Story) -> None:
    story.transform(TransformationKind.SPLIT, {story.receive(A, 64): 64}, {f"{one}": 1 for one in range(64)})


@broken("a split of 1 lots, with 1 taken, into 65")
def split_into_65(story: Story) -> None:
    story.transform(TransformationKind.SPLIT, {story.receive(A, 65): 65}, {f"{one}": 1 for one in range(65)})


@broken("a conversion of 1 lots, with 1 taken, into 0")
def converted_into_nothing(story: Story) -> None:
    story.transform(TransformationKind.CONVERSION, {story.receive(A): 1}, {}, loss=1)


@broken("a transformation of no known kind")
def transformed_somehow(story: Story) -> None:
    story.transform(4, {story.receive(A): 2}, {"x": 1, "y": 1})  # type: ignore[arg-type]  # what no enumeration has


@broken("its histories are not its inputs and outputs")
def outputs_under_other_names(story: Story) -> None:
    made = story.transform(TransformationKind.SPLIT, {story.receive(A): 2}, {"x": 1, "y": 1})
    story.entries[-1] = story.entries[-1]._replace(histories=(A, made[0], B))
    story.histories[B] = story.histories.pop(made[1])


@broken("the history of that lot is missing")
def made_of_what_is_not_shown(story: Story) -> None:
    """With another lot of which nothing is shown either."""
    made = story.transform(TransformationKind.SPLIT, {hidden(): 2}, {"x": 1, "y": 1})
    del story.histories[made[1]]


@broken("the history of that order is missing")
def split_for_an_order_that_is_not_shown(story: Story) -> None:
    story.transform(TransformationKind.SPLIT, {story.receive(A): 2}, {"x": 1, "y": 1}, order=hidden())


@broken("the lot was made without a started assignment")
def converted_after_the_finish_into_what_is_not_shown(story: Story) -> None:
    assignment = in_production(story)
    story.commission(A, ORDER, assignment, quantity=2)
    story.finish(ORDER, assignment)
    made = story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2}, order=ORDER)
    del story.histories[made[0]]


@broken("do not balance")
def made_of_nothing(story: Story) -> None:
    """All that was taken is lost, and the yield says that nothing makes one."""
    story.transform(TransformationKind.CONVERSION, {story.receive(A): 2}, {"x": 1}, loss=2, yield_in=0)


@broken("do not balance")
def split_into_two_units(story: Story) -> None:
    story.transform(TransformationKind.SPLIT, {story.receive(A): 3}, {"x": 3, "y": 1}, units={"y": GRAM})


@broken.kept
def three_of_two(story: Story) -> None:
    story.transform(TransformationKind.CONVERSION, {story.receive(A): 4}, {"x": 6}, yield_in=2, yield_out=3)


def _reworked(story: Story, count: int) -> None:
    story.rework(story.receive(A), *sorted(story.receive(name(f"piece {number}")) for number in range(count)))


@broken.kept
def reworked_with_64(story: Story) -> None:
    _reworked(story, 64)


@broken("its components are at most 64, ascending, and not the lot itself")
def reworked_with_65(story: Story) -> None:
    _reworked(story, 65)


# Lots leave an order


def _ungated(story: Story, of: int = 2) -> None:
    """Lot A of an order without a gate."""
    story.record("OrderPlaced", BUYER, ORDER, terms=terms_of(gates=()))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(A, ORDER, assignment, quantity=of)


@broken.kept
def converted_from_no_gate_into_another_order(story: Story) -> None:
    _ungated(story)
    story.begin(SECOND)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2}, order=SECOND)


@broken("the lot leaves its order")
def converted_from_no_gate_into_stock(story: Story) -> None:
    _ungated(story)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2})


@broken.kept
def deallocated_from_no_gate_by_the_coordinator(story: Story) -> None:
    _ungated(story)
    story.deallocate(A, by=COORDINATOR)


@broken("leaves its order without consent")
def deallocated_from_no_gate_by_the_coordinator_while_the_buyer_has_it(story: Story) -> None:
    _ungated(story)
    story.offer(A, to=BUYER)
    story.take(A, by=BUYER)
    story.deallocate(A, by=COORDINATOR)


@broken("leaves its order without consent")
def deallocated_from_no_gate_by_a_stranger(story: Story) -> None:
    _ungated(story)
    story.deallocate(A, by=OTHER)


@broken.kept
def deallocated_from_a_gate_after_the_end_by_the_coordinator(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.end(ORDER)
    story.deallocate(A, by=COORDINATOR)


@broken("while packed, offered or spent")
def deallocated_when_packed(story: Story) -> None:
    _ungated(story)
    story.receive(BOX)
    story.pack(BOX, A)
    story.deallocate(A)


@broken("released by another participant than the one who quarantined it")
def released_while_a_procedure_s_fail_counts(story: Story) -> None:
    story.place(ORDER, 1, Gate(INSPECTOR))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(A, ORDER, assignment)
    story.certify(A, ORDER, verdict=2, model=0)
    story.on_lot("LotReleased", A)


# What comes of it


def test_where_a_lot_is_from_is_kept_with_the_work_on_it() -> None:
    story = Story()
    assignment = in_production(story)
    story.commission(A, ORDER, assignment, quantity=2)
    reworked = story.rework(A, story.receive(B), assignment=assignment)
    story.on_lot("LotQuarantined", A)
    story.on_lot("LotReleased", A)
    lots = story.replay(A).lots
    assert (lots[A].work, lots[A].inputs) == ([(ORDER, assignment, 6), (ORDER, assignment, reworked)], (B,))
    assert (lots[B].work, lots[A].from_outside, lots[B].from_outside) == ([], False, True)
    assert (lots[A].state, lots[A].counterparty) == (LotState.HELD, 0)


@pytest.mark.parametrize("kind", [TransformationKind.CONVERSION, TransformationKind.SPLIT])
def test_what_is_made_in_an_order_is_made_under_an_assignment_unless_it_is_split(kind: TransformationKind) -> None:
    story = Story()
    assignment = in_production(story)
    story.commission(A, ORDER, assignment, quantity=2)
    made = story.transform(kind, {A: 2}, {"x": 1, "y": 1}, order=ORDER)
    expected = [(ORDER, assignment, len(story.entries))] if kind is TransformationKind.CONVERSION else []
    assert [story.replay(*made).lots[one].work for one in made] == [expected, expected]


def test_a_split_hands_on_the_certificates_of_all_inspectors_by_age() -> None:
    """Also behind one who has certified nothing."""
    story = Story()
    story.place(ORDER, 1, Gate(BUYER, MODEL), *GATES, Gate(OTHER))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(A, ORDER, assignment, quantity=2)
    issued = [story.certify(A, ORDER, by=OTHER), story.certify(A, ORDER)]
    made = story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1}, order=ORDER)
    assert [[one.sequence for one in story.replay(*made).lots[lot].certificates] for lot in made] == [issued, issued]


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_is_kept_to_the_edge(cause: str, told: Episode) -> None:
    check_broken(cause, told)
