"""The verifier's own judging of several gates, of waived ones, and of quarantines that the custodian lifts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millmark.ledger.records import Gate, LotState, TransformationKind
from millmark.ledger.verify.report import ReplayRefused
from tests.support.story import BUYER, COORDINATOR, INSPECTOR, MAKER, MODEL, ORDER, OTHER, A, Story, terms_of

TWO = (Gate(INSPECTOR, MODEL), Gate(OTHER))


def made(story: Story, *gates: Gate) -> None:
    """A lot of an order with these gates, by default two."""
    story.place(ORDER, 1, *(gates or TWO))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(A, ORDER, assignment, 4)


def passed(story: Story) -> None:
    story.certify(A, ORDER)
    story.certify(A, ORDER, model=0, by=OTHER)


def waive(story: Story, certificate: int = 0, by: int = BUYER, inspector: int = OTHER) -> None:
    story.record("GateWaived", by, A, inspector=inspector, certificate=certificate)


def deliver(story: Story) -> None:
    story.offer(A, to=BUYER)
    story.take(A, by=BUYER)


def refuse(story: Story, cause: str) -> None:
    with pytest.raises(ReplayRefused, match=cause):
        story.replay(A)


def test_r1_every_gate_is_passed() -> None:
    story = Story()
    made(story)
    passed(story)
    deliver(story)
    state = story.replay(A)
    assert state.lots[A].custodian == BUYER
    assert [one.issuer for one in state.deciding(state.lots[A])] == [INSPECTOR, OTHER]


@pytest.mark.parametrize("number", [INSPECTOR, OTHER])
def test_r1_the_closed_gate_is_named(number: int) -> None:
    story = Story()
    made(story)
    if number == INSPECTOR:
        story.certify(A, ORDER, model=0, by=OTHER)
    else:
        story.certify(A, ORDER)
    deliver(story)
    refuse(story, f"closed gate of participant {number}")


def test_r1_a_split_hands_on_what_each_inspector_certified() -> None:
    story = Story()
    made(story)
    passed(story)
    part, rest = story.transform(TransformationKind.SPLIT, {A: 4}, {"a": 1, "b": 3}, order=ORDER)
    story.offer(part, to=BUYER)
    story.take(part, by=BUYER)
    assert story.replay(part, rest).lots[part].custodian == BUYER


@pytest.mark.parametrize(
    ("gates", "cause"),
    [
        ((Gate(OTHER), Gate(INSPECTOR, MODEL)), "do not ascend"),
        ((Gate(OTHER), Gate(OTHER, MODEL)), "do not ascend"),
        ((Gate(0, MODEL), Gate(OTHER)), "names no inspector"),
        ((Gate(COORDINATOR), Gate(OTHER)), "or the coordinator"),
    ],
)
def test_gates_that_no_contract_takes(gates: tuple[Gate, ...], cause: str) -> None:
    story = Story()
    made(story, *gates)
    refuse(story, cause)


def test_k7_no_inspector_makes() -> None:
    story = Story()
    made(story, Gate(MAKER), Gate(INSPECTOR, MODEL))
    refuse(story, "an inspector of the order makes it")


def test_h8_a_maker_does_not_join_the_inspectors() -> None:
    story = Story()
    made(story)
    story.record("RevisionProposed", BUYER, ORDER, terms=terms_of(gates=(Gate(MAKER), *TWO)))
    refuse(story, "a new inspector has an assignment")


def test_one_of_two_gates_is_dropped_in_production() -> None:
    story = Story()
    made(story)
    terms = terms_of(gates=TWO[:1])
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, terms=terms)
    story.certify(A, ORDER)
    deliver(story)
    assert story.replay(A).lots[A].custodian == BUYER


# Waivers


def test_m10_a_waived_gate_is_open_and_its_quarantine_lifted() -> None:
    story = Story()
    made(story)
    story.certify(A, ORDER)
    failed = story.certify(A, ORDER, verdict=2, model=0, by=OTHER)
    waive(story, failed)
    story.on_lot("LotReleased", A)
    deliver(story)
    state = story.replay(A)
    assert (state.lots[A].custodian, state.lots[A].state) == (BUYER, LotState.HELD)
    assert state.is_waived(state.lots[A], OTHER)
    assert not state.is_waived(state.lots[A], INSPECTOR)


def ended_by_a_certificate(story: Story) -> None:
    waive(story)
    story.certify(A, ORDER, verdict=2, model=0, by=OTHER)
    story.record("LotReleased", OTHER, A)


def ended_by_a_rework(story: Story) -> None:
    waive(story)
    story.rework(A, assignment=3)
    story.certify(A, ORDER)


def of_the_other_gate(story: Story) -> None:
    waive(story, inspector=INSPECTOR, certificate=len(story.entries))


@pytest.mark.parametrize("tell", [ended_by_a_certificate, ended_by_a_rework, of_the_other_gate])
def test_m10_a_waiver_that_does_not_hold(tell: Callable[[Story], None]) -> None:
    story = Story()
    made(story)
    story.certify(A, ORDER)
    tell(story)
    deliver(story)
    refuse(story, f"closed gate of participant {OTHER}")


def test_m10_a_split_hands_no_waiver_on() -> None:
    story = Story()
    made(story)
    story.certify(A, ORDER)
    waive(story)
    part, _ = story.transform(TransformationKind.SPLIT, {A: 4}, {"a": 1, "b": 3}, order=ORDER)
    story.offer(part, to=BUYER)
    with pytest.raises(ReplayRefused, match=f"closed gate of participant {OTHER}"):
        story.replay(part)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"by": COORDINATOR}, "by another participant than the buyer"),
        ({"certificate": 1}, "another certificate"),
        ({"inspector": MAKER}, f"no gate of participant {MAKER}"),
    ],
)
def test_m10_a_waiver_that_no_contract_takes(given: dict[str, int], cause: str) -> None:
    story = Story()
    made(story)
    waive(story, **given)
    refuse(story, cause)


def test_a_spent_lot_is_not_waived() -> None:
    story = Story()
    made(story)
    story.on_lot("LotScrapped", A, quantity=4)
    waive(story)
    refuse(story, "when nothing was left")


def test_f2_a_quarantine_by_hand_is_lifted_by_who_has_the_lot_now() -> None:
    """That who imposed it could not act is for the contract to know."""
    story = Story()
    made(story)
    story.on_lot("LotQuarantined", A)
    story.record("CustodyReclaimed", COORDINATOR, A, from_=MAKER)
    story.record("LotReleased", COORDINATOR, A)
    state = story.replay(A)
    assert state.lots[A].state is LotState.HELD
    assert state.lifted == {len(story.entries): MAKER}


def test_f2_a_verdict_that_counts_is_not_lifted() -> None:
    story = Story()
    made(story)
    story.certify(A, ORDER, verdict=2)
    story.on_lot("LotReleased", A)
    refuse(story, "released by another participant")
