"""Lots, packing, withheld records, and what a bundle must hold: stories that break one rule of the replay each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.records import Input, Rework, TransformationKind
from tests.support.event_data import build
from tests.support.story import (
    BOX,
    BUYER,
    COORDINATOR,
    GRAM,
    MAKER,
    NONE,
    ORDER,
    OTHER,
    SECOND,
    A,
    B,
    Broken,
    C,
    Episode,
    Story,
    check_broken,
    hidden,
    in_production,
)

broken = Broken()


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


@broken("participant 3 has custody")
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
    event = story.entries[-1].event
    assert isinstance(event, LotsTransformed)
    output = event.transformation.outputs[0]
    event = LotsTransformed(replace(event.transformation, outputs=(output, output)))
    story.entries[-1] = story.entries[-1]._replace(event=event, histories=(A, made[0], made[0]))
    del story.histories[made[1]]


@broken("its inputs do not ascend")
def inputs_in_another_order(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.transform(TransformationKind.MERGE, {B: 1, A: 1}, {"x": 2})


@broken("a split of 1 lots, with 1 taken, into 1")
def split_into_one(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.SPLIT, {A: 1}, {"x": 1})


@broken("a merge of 1 lots, with 1 taken, into 1")
def merge_of_one(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.MERGE, {A: 1}, {"x": 1})


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
    """Only a conversion has a yield."""
    story.receive(A)
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 2, "y": 2}, yield_in=1, yield_out=2)


@broken("do not balance")
def more_left_than_taken(story: Story) -> None:
    story.receive(A, unit=GRAM)
    story.transform(TransformationKind.CONVERSION, {A: 4}, {"x": 1, "y": 5}, units={"y": GRAM}, of=GRAM)


@broken("do not balance")
def only_by_products(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 4}, units={"x": GRAM}, loss=2)


@broken("a conversion of 0 lots, with 1 taken, into 1")
def made_of_components_alone(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 4}, used=(A,))


@broken("a split of 0 lots, with 1 taken, into 2")
def split_of_a_component(story: Story) -> None:
    story.receive(A)
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1}, used=(A,))


@broken("a merge of 1 lots, with 2 taken, into 1")
def merge_with_a_component(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.transform(TransformationKind.MERGE, dict.fromkeys(sorted((A, B)), 1), {"x": 1}, used=(A,))


@broken("taken while quarantined")
def reworked_with_a_quarantined_component(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.on_lot("LotQuarantined", B)
    story.rework(A, B)


@broken("the lot has another unit")
def conserved_of_another_unit(story: Story) -> None:
    story.receive(A, unit=GRAM)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2})


@broken("of another order than stated")
def taken_as_of_another_order(story: Story) -> None:
    story.receive(A)
    story.orders[A] = hidden()
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1})


@broken("the lot joins an order")
def split_into_an_order(story: Story) -> None:
    in_production(story)
    story.receive(A)
    story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 1, "y": 1}, order=ORDER)


@broken("the lot leaves its order")
def converted_from_a_gate_into_another_order(story: Story) -> None:
    """Finding C3: under another name the lot would pass no gate."""
    story.commission(A, ORDER, in_production(story), quantity=2)
    story.begin(SECOND)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2}, order=SECOND)


# Rework that keeps the identifier, stock and orders


@broken("its histories are not its lot and components")
def rework_of_another_history(story: Story) -> None:
    story.receive(A)
    story.record("LotReworked", MAKER, A, rework=build(Rework, lot=B), assignment=0)


@broken("its components are at most 64, ascending, and not the lot itself")
def reworked_with_itself(story: Story) -> None:
    story.receive(A)
    story.record(
        "LotReworked", MAKER, A, A, assignment=0,
        rework=build(Rework, lot=A, components=(Input(A, NONE, 1, component=True),)),
    )  # fmt: skip


@broken("its components are at most 64, ascending, and not the lot itself")
def reworked_with_what_is_no_component(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.rework(A, B, components=(Input(B, NONE, 1),))


@broken("participant 3 has custody")
def reworked_by_another(story: Story) -> None:
    story.receive(A)
    story.rework(A, by=OTHER)


@broken("reworked while offered")
def reworked_when_offered(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.rework(A)


@broken("reworked with lots packed in it")
def reworked_with_contents(story: Story) -> None:
    for lot in (A, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.rework(BOX)


@broken("of another order than stated")
def reworked_as_of_another_order(story: Story) -> None:
    story.receive(A)
    story.rework(A, order=hidden())


@broken("the lot was made without a started assignment")
def reworked_after_the_finish(story: Story) -> None:
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    story.finish(ORDER, assignment)
    story.rework(A, assignment=assignment)


@broken("reworked under another assignment")
def reworked_under_no_assignment(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.rework(A)


@broken("taken while quarantined")
def reworked_in_place_with_a_quarantined_component(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    story.on_lot("LotQuarantined", B)
    story.rework(A, B)


@broken("custody passes the closed gate of participant 4")
def delivered_with_a_pass_from_before_the_rework(story: Story) -> None:
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    story.certify(A, ORDER)
    story.rework(A, assignment=assignment)
    story.offer(A, to=BUYER)


@broken("allocated while quarantined")
def allocated_when_quarantined(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotQuarantined", A)
    story.allocate(A, ORDER, in_production(story))


@broken("the lot has an order already")
def allocated_twice(story: Story) -> None:
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    story.allocate(A, ORDER, assignment)


@broken("the order has no assignment 99")
def allocated_under_an_unknown_assignment(story: Story) -> None:
    in_production(story)
    story.receive(A)
    story.allocate(A, ORDER, 99)


@broken("the lot was made without a started assignment")
def allocated_after_the_finish(story: Story) -> None:
    assignment = in_production(story)
    story.finish(ORDER, assignment)
    story.receive(A)
    story.allocate(A, ORDER, assignment)


@broken("made under an order that ended")
def commissioned_after_the_end(story: Story) -> None:
    assignment = in_production(story)
    story.end(ORDER)
    story.commission(A, ORDER, assignment)


@broken("made under an order that ended")
def allocated_after_the_end(story: Story) -> None:
    assignment = in_production(story)
    story.receive(A)
    story.end(ORDER)
    story.allocate(A, ORDER, assignment)


@broken("made under an order that ended")
def converted_after_the_end(story: Story) -> None:
    assignment = in_production(story)
    story.commission(A, ORDER, assignment, quantity=2)
    story.end(ORDER)
    story.transform(TransformationKind.CONVERSION, {A: 2}, {"x": 2}, order=ORDER)


@broken("of another order than stated")
def deallocated_from_no_order(story: Story) -> None:
    story.receive(A)
    story.deallocate(A)


@broken("leaves its order without consent")
def deallocated_by_its_maker(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.deallocate(A, by=MAKER)


@broken("leaves its order without consent")
def deallocated_from_a_gate_by_the_coordinator(story: Story) -> None:
    """Finding C3: the coordinator may be the maker, and the gate is the buyer's."""
    story.commission(A, ORDER, in_production(story))
    story.deallocate(A, by=COORDINATOR)


@broken("while packed, offered or spent")
def deallocated_when_offered(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.offer(A)
    story.deallocate(A)


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


# Withheld records


@broken("a withheld record follows, although nothing could be taken from the lot")
def withheld_while_packed(story: Story) -> bytes:
    for lot in (A, BOX):
        story.receive(lot)
    story.pack(BOX, A)
    story.withhold(A)
    return C


@broken("a withheld record follows, although nothing could be taken from the lot")
def withheld_while_offered(story: Story) -> bytes:
    story.receive(A)
    story.offer(A)
    story.withhold(A)
    story.take(A)
    return C


@broken("a withheld record follows, although nothing could be taken from the lot")
def withheld_after_the_last_piece(story: Story) -> bytes:
    story.receive(A, quantity=1)
    story.withhold(A)
    story.withhold(A)
    return C


@broken("nothing is taken")
def none_of_it_scrapped(story: Story) -> bytes:
    story.receive(A)
    story.on_lot("LotScrapped", A, quantity=0)
    return A


@broken("11 taken of 9")
def more_than_the_sealed_ones_left(story: Story) -> bytes:
    story.receive(A)
    story.withhold(A)
    story.on_lot("LotScrapped", A, quantity=11)
    return C


@pytest.mark.parametrize("shown", [0, 1])
def test_of_two_lots_that_were_made_the_one_with_a_history_is_there(shown: int) -> None:
    story = Story()
    story.receive(A)
    made = story.transform(TransformationKind.SPLIT, {A: 3}, {"x": 1, "y": 2})
    del story.histories[made[1 - shown]]
    lots = story.replay(made[shown]).lots
    assert (made[1 - shown] in lots, lots[made[shown]].quantity) == (False, shown + 1)


def test_what_is_lost_and_what_is_left_of_the_input_are_both_gone() -> None:
    story = Story()
    story.receive(A, unit=GRAM)
    made = story.transform(
        TransformationKind.CONVERSION, {A: 10}, {"x": 3, "left": 4}, units={"left": GRAM}, of=GRAM, loss=3
    )
    assert [story.replay(*made).lots[one].quantity for one in made] == [3, 4]


# What the bundle holds


@broken("nothing in the bundle requires this history")
def history_that_is_not_asked_for(story: Story) -> bytes:
    story.receive(A)
    story.receive(B)
    return A


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Episode) -> None:
    check_broken(cause, told)
