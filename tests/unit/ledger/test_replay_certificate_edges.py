"""Certificates and custody that just keep a rule of the replay, or just do not, and what becomes of the lots."""

from __future__ import annotations

import itertools

import pytest

from millmark.ledger.records import LotState, TransformationKind, Verdict
from millmark.ledger.verify._state import Lot
from tests.support.story import (
    BUYER,
    CARRIER,
    DAY_S,
    INSPECTOR,
    MAKER,
    MODEL,
    NONE,
    ORDER,
    OTHER,
    PUBLISHED,
    SECOND,
    A,
    Broken,
    Episode,
    Story,
    certified,
    check_broken,
    in_production,
    name,
)

broken = Broken()


# Certificates and custody


@broken("the certificate has no verdict")
def certified_without_a_verdict(story: Story) -> None:
    story.certify(story.receive(A), verdict=0)


@broken("the certificate has no inference digest")
def certified_without_a_digest(story: Story) -> None:
    story.certify(story.receive(A), inference_digest=NONE)


@broken("the evidence was not anchored")
def certified_beyond_the_stream(story: Story) -> None:
    story.certify(story.receive(A), size=101)


@broken("the evidence was not anchored")
def certified_by_what_came_after_the_anchor(story: Story) -> None:
    story.certify(story.receive(A), leaf_index=50, size=50)


@broken.kept
def certified_by_the_anchor_s_last_entry(story: Story) -> None:
    story.certify(story.receive(A), leaf_index=49, size=50, expires_at=story.now + 3)
    story.certify(A, leaf_index=99, size=100)


@pytest.mark.parametrize("late_s", [-1, 1])
def test_an_opening_is_due_after_seven_days(late_s: int) -> None:
    def told(story: Story) -> None:
        certificate = story.certify(story.receive(A))
        deadline = story.now + 1 + 7 * DAY_S + late_s
        story.record("OpeningDemanded", BUYER, A, certificate=certificate, deadline=deadline)

    check_broken("the deadline is not seven days after the demand", told)


@broken("participant 3 has custody")
def withdrawn_by_who_was_to_have_it(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.on_lot("CustodyWithdrawn", A, by=CARRIER)


@broken.kept
def certified_with_one_byte_of_a_digest(story: Story) -> None:
    story.certify(story.receive(A), inference_digest=b"\1" + bytes(31))


@broken.kept
def certified_by_an_earlier_anchor(story: Story) -> None:
    """Whose root is not in the state any more."""
    story.certify(story.receive(A), size=50, root=b"\1" * 32)


@broken("its lots do not ascend")
def certified_twice_in_one(story: Story) -> None:
    story.receive(A)
    story.certify_by_procedure(A, A)


def _nested(story: Story, count: int) -> None:
    boxes = [story.receive(name(f"box {number}")) for number in range(count)]
    for inner, outer in itertools.pairwise(boxes):
        story.pack(outer, inner)
    story.offer(boxes[-1])


@broken.kept
def nested_in_eight(story: Story) -> None:
    _nested(story, 9)


@broken("packed too deep")
def nested_in_nine(story: Story) -> None:
    _nested(story, 10)


@broken("custody passes the closed gate of participant 4")
def another_certificate_on_what_was_split_off_after_a_demand(story: Story) -> bytes:
    part = _split_after_a_demand(story)
    story.certify(part, ORDER)
    story.offer(part, to=BUYER)
    return part


def _split_after_a_demand(story: Story) -> bytes:
    story.commission(A, ORDER, in_production(story), 4)
    story.demand(A, story.certify(A, ORDER))
    return story.transform(TransformationKind.SPLIT, {A: 4}, {"part": 1, "rest": 3}, order=ORDER)[0]


def test_a_doubt_that_was_handed_on_is_counted_once_another_certificate_follows() -> None:
    story = Story()
    part = _split_after_a_demand(story)
    lots = [lot for lot in story.histories if lot != ORDER]
    assert story.replay(*lots).lots[part].standings[INSPECTOR].open == 0
    story.certify(part, ORDER)
    assert story.replay(*lots).lots[part].standings[INSPECTOR].open == 1


@pytest.mark.parametrize(("model", "executed"), [(MODEL, Verdict.NONE), (PUBLISHED, Verdict.FAIL)])
def test_what_is_upheld_by_its_execution_has_that_verdict(model: int, executed: Verdict) -> None:
    story = Story()
    certificate = certified(story, verdict=2, model=model)
    story.settle("CertificateUpheld", A, certificate, executed=bool(executed))
    assert story.replay(A).certificates[certificate].executed is executed


def _refuted(story: Story) -> None:
    story.settle("CertificateRefuted", A, certified(story))


def _refuted_of_no_inspector(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.settle("CertificateRefuted", A, story.certify(A, ORDER, by=OTHER))


def _refuted_in_another_order(story: Story) -> None:
    """Which has the same inspector."""
    certificate = certified(story)
    story.deallocate(A)
    story.allocate(A, SECOND, story.begin(SECOND))
    story.settle("CertificateRefuted", A, certificate)


def _refuted_after_a_rework(story: Story) -> None:
    certificate = certified(story)
    story.rework(A, assignment=3)
    story.settle("CertificateRefuted", A, certificate)


@pytest.mark.parametrize(
    ("told", "issuer", "expected", "open_"),
    [
        (_refuted, INSPECTOR, LotState.QUARANTINED, 1),
        (_refuted_of_no_inspector, OTHER, LotState.HELD, 1),
        (_refuted_in_another_order, INSPECTOR, LotState.HELD, 1),
        (_refuted_after_a_rework, INSPECTOR, LotState.HELD, 0),
    ],
)
def test_a_refutation_moves_a_lot_behind_the_inspector_s_gate(
    told: Episode, issuer: int, expected: LotState, open_: int
) -> None:
    story = Story()
    told(story)
    assert (_lot(story).state, _lot(story).standings[issuer].open) == (expected, open_)


def _lot(story: Story) -> Lot:
    return story.replay(A).lots[A]


def test_a_pass_lifts_no_quarantine_of_another() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.on_lot("LotQuarantined", A)
    story.certify(A, ORDER)
    assert (_lot(story).state, _lot(story).counterparty) == (LotState.QUARANTINED, MAKER)


def test_a_pass_ends_no_offer_to_its_inspector() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.offer(A, to=INSPECTOR)
    story.certify(A, ORDER)
    assert (_lot(story).state, _lot(story).counterparty) == (LotState.OFFERED, INSPECTOR)


def _declined(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.on_lot("CustodyDeclined", A, by=CARRIER, offer=story.offers[A])


def _passed(story: Story) -> None:
    certified(story, verdict=2)
    story.certify(A, ORDER)


def _scrapped(story: Story) -> None:
    story.receive(A, quantity=1)
    story.on_lot("LotQuarantined", A)
    story.on_lot("LotScrapped", A, quantity=1)


@pytest.mark.parametrize(
    ("told", "expected"),
    [(_declined, LotState.HELD), (_passed, LotState.HELD), (_scrapped, LotState.SPENT)],
)
def test_nobody_is_behind_a_state_that_ended(told: Episode, expected: LotState) -> None:
    story = Story()
    told(story)
    assert (_lot(story).state, _lot(story).counterparty) == (expected, 0)


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_is_kept_to_the_edge(cause: str, told: Episode) -> None:
    check_broken(cause, told)
