"""What may follow what: histories that keep every rule of the replay, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from millmark.ledger.records import (
    AssignmentState,
    CertificateState,
    Gate,
    LotState,
    ModelState,
    OrderState,
    TransformationKind,
)
from millmark.ledger.verify._state import State
from tests.support.story import (
    BOX,
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    MAKER,
    MODEL,
    ORDER,
    OTHER,
    PRESS,
    PUBLISHED,
    SECOND,
    A,
    B,
    Story,
    certified,
    hidden,
    in_production,
    terms_of,
)


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


def test_a_gate_by_procedure_lets_a_sampled_lot_pass() -> None:
    def tell(story: Story) -> None:
        story.place(ORDER, 1, Gate(INSPECTOR))
        story.accept(ORDER)
        assignment = story.propose(ORDER)
        story.step("AssignmentAccepted", ORDER, assignment)
        story.start(ORDER, assignment)
        story.commission(A, ORDER, assignment)
        story.certify_by_procedure(A)
        story.offer(A, to=BUYER)
        story.take(A, by=BUYER)

    assert told(tell).lots[A].custodian == BUYER


def test_another_inspector_is_agreed_on_in_production() -> None:
    def tell(story: Story) -> None:
        story.commission(A, ORDER, in_production(story))
        terms = terms_of(gates=(Gate(OTHER, MODEL),))
        proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
        story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, terms=terms)

    assert told(tell).orders[ORDER].terms.gates == (Gate(OTHER, MODEL),)


def test_a_quarantine_outlives_rework_and_falls_with_a_passing_certificate() -> None:
    def tell(story: Story) -> None:
        story.commission(A, ORDER, assignment := in_production(story))
        story.certify(A, ORDER, 2)
        story.rework(A, assignment=assignment)

    lot = told(tell).lots[A]
    assert (lot.state, lot.counterparty) == (LotState.QUARANTINED, INSPECTOR)

    def pass_it(story: Story) -> None:
        tell(story)
        story.certify(A, ORDER)

    assert told(pass_it).lots[A].state is LotState.HELD


def test_stock_goes_into_rework_as_a_component() -> None:
    def tell(story: Story) -> None:
        story.commission(A, ORDER, assignment := in_production(story))
        story.receive(B, 1)
        story.rework(A, B, assignment=assignment)

    state = told(tell)
    assert [state.lots[one].state for one in (A, B)] == [LotState.HELD, LotState.SPENT]


@pytest.mark.parametrize(("settled", "open_"), [("", True), ("CertificateUpheld", False), ("CertificateRefuted", True)])
def test_a_certificate_is_open_from_its_demand_until_it_is_upheld(settled: str, open_: bool) -> None:
    def tell(story: Story) -> None:
        certificate = certified(story)
        found.append(certificate)
        story.demand(A, certificate)
        if settled:
            executed = False if settled == "CertificateUpheld" else 0
            story.settle(settled, A, certificate, executed)

    found: list[int] = []
    assert told(tell).certificates[found[0]].is_open() is open_
    assert told(certified).lots[A].certificates[0].is_open() is False


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
    story.withhold(A)
    [made] = story.transform(TransformationKind.MERGE, dict.fromkeys(sorted((A, B)), 1), {"x": 2})
    story.withhold(A)
    state = story.replay(made)
    assert (state.lots[A].quantity, state.lots[A].state, state.lots[A].withheld) == (0, LotState.SPENT, 2)
    assert state.lots[A].counterparty == 0
    assert state.lots[made].quantity == 2


def test_within_one_block_a_machine_may_be_retired_and_a_model_withdrawn() -> None:
    story = Story()
    certified(story)
    proposed = next(one for one in story.entries if one.kind == "AssignmentAccepted")
    story.machines[PRESS] = replace(story.machines[PRESS], retired_at=proposed.time)
    story.models[MODEL] = replace(story.models[MODEL], state=ModelState.WITHDRAWN, withdrawn_at=story.now)
    assert story.replay(A).lots[A].certificates


def test_a_unit_of_two_letters_is_one() -> None:
    def tell(story: Story) -> None:
        unit = b"C6\0"
        story.receive(A, 10, unit)
        story.transform(
            TransformationKind.SPLIT,
            {A: 4},
            {"one": 3, "two": 1},
            units={"one": unit, "two": unit},
            of=unit,
            output_unit=unit,
        )

    assert sorted(one.quantity for one in told(tell).lots.values()) == [1, 3, 6]


def test_what_is_built_into_a_lot_of_which_nothing_is_shown_is_used_up() -> None:
    def tell(story: Story) -> None:
        story.receive(B, 10)
        story.rework(hidden(), B)

    assert told(tell).lots[B].quantity == 9


def test_of_two_doubts_a_part_that_is_split_off_has_the_one_beside_its_latest_certificate() -> None:
    """That the latest one is open shows in itself."""

    def tell(story: Story) -> None:
        story.commission(A, ORDER, in_production(story), 2)
        for leaf in (1, 2):
            story.demand(A, story.certify(A, ORDER, leaf_index=leaf, inference_digest=bytes([leaf]) * 32))
        story.transform(TransformationKind.SPLIT, {A: 2}, {"one": 1, "two": 1}, order=ORDER)

    lots = [one for subject, one in told(tell).lots.items() if subject != A]
    assert [one.standings[INSPECTOR].open for one in lots] == [1, 1]


def test_what_goes_into_a_lot_of_which_nothing_is_shown_is_used_up_also_behind_such_a_lot() -> None:
    story, unseen = Story(), next(hidden(number) for number in range(9) if hidden(number) < B)
    story.receive(B, 10)
    [made] = story.transform(TransformationKind.CONVERSION, {unseen: 1, B: 4}, {"unseen": 1}, yield_in=5)
    del story.histories[made]
    assert story.replay(B).lots[B].quantity == 6
