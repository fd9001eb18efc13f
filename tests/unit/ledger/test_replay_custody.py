"""Named offers, returns, acceptances in part, reclaims and dispositions: what follows what, and stories that break one
rule of the replay each."""

from __future__ import annotations

import pytest

from millmark.ledger.records import Disposition, LotState
from millmark.ledger.verify._state import Lot
from millmark.ledger.verify.report import ReplayRefused
from tests.support.story import (
    BOX,
    BUYER,
    CARRIER,
    INSPECTOR,
    MAKER,
    ORDER,
    OTHER,
    A,
    B,
    Broken,
    Episode,
    Story,
    check_broken,
    in_production,
)

broken = Broken()


def _sent(story: Story, quantity: int = 10) -> None:
    """The carrier has a lot of the maker's."""
    story.receive(A, quantity=quantity)
    story.offer(A)
    story.take(A)


def _returning(story: Story) -> None:
    _sent(story)
    story.on_lot("LotQuarantined", A, by=CARRIER)
    story.send_back(A)


def _delivered(story: Story) -> None:
    story.commission(A, ORDER, assignment := in_production(story))
    story.finish(ORDER, assignment)
    story.certify(A, ORDER)
    story.offer(A, to=BUYER)
    story.take(A, by=BUYER)
    story.complete(ORDER)


def lot(story: Story, subject: bytes = A) -> Lot:
    return story.replay(subject).lots[subject]


# H4: what is accepted is what was offered


def test_h4_an_acceptance_names_the_offer() -> None:
    story = Story()
    story.receive(A)
    story.offer(A)
    earlier = story.offers[A]
    story.on_lot("CustodyWithdrawn", A)
    story.offer(A)
    story.on_lot("CustodyAccepted", A, by=CARRIER, offer=earlier)
    with pytest.raises(ReplayRefused, match=f"answers offer {earlier}"):
        story.replay(A)


@broken("offered to its own custodian")
def offered_to_oneself(story: Story) -> None:
    story.receive(A)
    story.offer(A, to=MAKER)


@broken("answers offer")
def declined_by_another_number(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.on_lot("CustodyDeclined", A, by=CARRIER, offer=7)


@broken("offered to participant 6")
def accepted_by_another(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.take(A, by=OTHER)


# H6: a quarantined lot goes back to its maker, quarantined


def test_h6_a_quarantined_lot_goes_back_quarantined() -> None:
    story = Story()
    _returning(story)
    assert (lot(story).state, lot(story).counterparty) == (LotState.RETURNING, CARRIER)
    story.take(A, by=MAKER)
    assert (lot(story).custodian, lot(story).state, lot(story).counterparty) == (MAKER, LotState.QUARANTINED, CARRIER)


@pytest.mark.parametrize("kind", ["CustodyDeclined", "CustodyWithdrawn"])
def test_h6_the_quarantine_survives_a_return_that_ends(kind: str) -> None:
    story = Story()
    _returning(story)
    if kind == "CustodyDeclined":
        story.on_lot(kind, A, by=MAKER, offer=story.offers[A])
    else:
        story.on_lot(kind, A, by=CARRIER)
    assert (lot(story).custodian, lot(story).state) == (CARRIER, LotState.QUARANTINED)


@broken("made by 3")
def returned_to_another(story: Story) -> None:
    _sent(story)
    story.on_lot("LotQuarantined", A, by=CARRIER)
    story.on_lot("ReturnOffered", A, by=CARRIER, to=OTHER)


@broken("returned while held")
def returned_when_held(story: Story) -> None:
    _sent(story)
    story.send_back(A)


@broken("returned with lots packed in it")
def returned_with_contents(story: Story) -> None:
    story.receive(A)
    story.receive(BOX)
    story.pack(BOX, A)
    story.offer(BOX)
    story.take(BOX)
    story.on_lot("LotQuarantined", BOX, by=CARRIER)
    story.send_back(BOX)


@broken("offered while quarantined")
def offered_when_quarantined(story: Story) -> None:
    _sent(story)
    story.on_lot("LotQuarantined", A, by=CARRIER)
    story.offer(A, to=MAKER, by=CARRIER)


@broken("scrapped while returning")
def scrapped_on_its_way_back(story: Story) -> None:
    _returning(story)
    story.on_lot("LotScrapped", A, by=CARRIER, quantity=1)


# H7: out of a quarantined parent


def test_h7_lots_leave_a_quarantined_box() -> None:
    story = Story()
    story.receive(A)
    story.receive(BOX)
    story.pack(BOX, A)
    story.on_lot("LotQuarantined", BOX)
    story.record("LotsUnpacked", MAKER, BOX, A)
    assert lot(story).parent is None


@broken("unpacking while offered")
def unpacked_while_offered(story: Story) -> None:
    story.receive(A)
    story.receive(BOX)
    story.pack(BOX, A)
    story.offer(BOX)
    story.record("LotsUnpacked", MAKER, BOX, A)


# N23: out of a box whose custodian may not act


def test_n23_what_is_taken_out_stays_with_the_absent_and_ends_an_offer() -> None:
    story = Story()
    story.receive(A)
    story.receive(BOX)
    story.pack(BOX, A)
    story.offer(BOX)
    story.record("LotsUnpacked", OTHER, BOX, A, custodian=MAKER)
    state = story.replay(A)
    assert (state.lots[A].custodian, state.lots[A].parent) == (MAKER, None)
    assert (state.lots[BOX].custodian, state.lots[BOX].state) == (MAKER, LotState.HELD)


@broken("participant 9 does not have the parent")
def unpacked_from_another(story: Story) -> None:
    story.receive(A)
    story.receive(BOX)
    story.pack(BOX, A)
    story.record("LotsUnpacked", OTHER, BOX, A, custodian=9)


@broken("participant 3 does not have the parent")
def unpacked_from_a_box_that_is_packed_itself(story: Story) -> None:
    story.receive(A)
    story.receive(BOX)
    story.receive(B)
    story.pack(BOX, A)
    story.pack(B, BOX)
    story.record("LotsUnpacked", OTHER, BOX, A, custodian=MAKER)


# H8: reclaimed from one who may not act


def test_h8_a_reclaim_ends_an_offer_and_keeps_a_quarantine() -> None:
    story = Story()
    _returning(story)
    story.on_lot("CustodyReclaimed", A, by=OTHER, from_=CARRIER)
    assert (lot(story).custodian, lot(story).state, lot(story).counterparty) == (OTHER, LotState.QUARANTINED, CARRIER)


def test_h8_what_is_in_a_reclaimed_box_may_be_quarantined() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.receive(BOX)
    story.pack(BOX, A)
    story.on_lot("LotQuarantined", A, by=INSPECTOR)
    story.on_lot("CustodyReclaimed", BOX, by=OTHER, from_=MAKER)
    assert story.replay(A).lots[BOX].custodian == OTHER


@broken("participant 3 had custody")
def reclaimed_from_another(story: Story) -> None:
    story.receive(A)
    story.on_lot("CustodyReclaimed", A, by=OTHER, from_=CARRIER)


@broken("reclaimed from itself")
def reclaimed_from_itself(story: Story) -> None:
    story.receive(A)
    story.on_lot("CustodyReclaimed", A, by=MAKER, from_=MAKER)


@broken("a packed lot moves on its own")
def reclaimed_when_packed(story: Story) -> None:
    story.receive(A)
    story.receive(BOX)
    story.pack(BOX, A)
    story.on_lot("CustodyReclaimed", A, by=OTHER, from_=MAKER)


@broken("reclaimed when nothing was left")
def reclaimed_when_spent(story: Story) -> None:
    story.receive(A, quantity=1)
    story.on_lot("LotScrapped", A, quantity=1)
    story.on_lot("CustodyReclaimed", A, by=OTHER, from_=MAKER)


@broken("custody passes the closed gate of participant 4")
def reclaimed_past_the_gate(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.on_lot("CustodyReclaimed", A, by=BUYER, from_=MAKER)


# Dispositions, and release after delivery


@broken("sold while quarantined")
def sold_out_of_quarantine(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotQuarantined", A)
    story.on_lot("LotScrapped", A, quantity=1, disposition=Disposition.SOLD)


@broken("9 is not a disposition")
def disposed_of_somehow(story: Story) -> None:
    story.receive(A)
    story.on_lot("LotScrapped", A, quantity=1, disposition=9)


def test_what_is_quarantined_can_be_lost() -> None:
    story = Story()
    story.receive(A, quantity=10)
    story.on_lot("LotQuarantined", A)
    story.on_lot("LotScrapped", A, quantity=1, disposition=Disposition.LOST)
    assert (lot(story).quantity, lot(story).state) == (9, LotState.QUARANTINED)


def test_m4_the_custodian_releases_after_delivery() -> None:
    story = Story()
    _delivered(story)
    story.on_lot("LotQuarantined", A, by=INSPECTOR)
    story.on_lot("LotReleased", A, by=BUYER)
    assert lot(story).state is LotState.HELD


@broken("released by another participant than the one who quarantined it")
def released_before_delivery(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.certify(A, ORDER, verdict=2)
    story.on_lot("LotReleased", A)


@broken("has custody")
def released_by_a_stranger_after_delivery(story: Story) -> None:
    _delivered(story)
    story.on_lot("LotQuarantined", A, by=INSPECTOR)
    story.on_lot("LotReleased", A, by=OTHER)


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Episode) -> None:
    check_broken(cause, told)
