"""Histories that are in order, with every kind of record that the replay judges: for tests that alter one record."""

from __future__ import annotations

from dataclasses import replace

from millmark.ledger.records import Disposition, Gate, TransformationKind
from tests.support.broken import BOX, ORDER, A, B, C, certified, in_production
from tests.support.story import (
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    MAKER,
    MODEL,
    OTHER,
    PUBLISHED,
    Story,
    terms_of,
)

__all__ = ["HISTORIES"]


def delivered(story: Story) -> None:
    story.commission(A, ORDER, assignment := in_production(story), quantity=4)
    story.finish(ORDER, assignment)
    story.certify(A, ORDER)
    story.record("OrderCompleted", COORDINATOR, ORDER)
    story.offer(A, to=BUYER)
    story.take(A, by=BUYER)
    story.record("OrderDelivered", BUYER, ORDER, lots=(A,))
    story.record("RecordSuperseded", BUYER, ORDER, superseded=1)


def rejected(story: Story) -> None:
    story.place(ORDER)
    story.record("OrderRejected", COORDINATOR, ORDER)


def cancelled(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    story.step("AssignmentDeclined", ORDER, story.propose(ORDER))
    story.step("AssignmentCancelled", ORDER, story.propose(ORDER), by=COORDINATOR)
    story.record("OrderCancelled", COORDINATOR, ORDER)


def revised(story: Story) -> None:
    story.place(ORDER)
    terms = replace(terms_of(2, (Gate(INSPECTOR, MODEL), Gate(OTHER))), coordinator=CARRIER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, awaited=CARRIER, terms=terms)
    story.record("RevisionAccepted", CARRIER, ORDER, proposal=proposal, terms=terms)


def ended(story: Story) -> None:
    in_production(story)
    proposal = story.record("EndProposed", BUYER, ORDER)
    story.record("OrderEnded", COORDINATOR, ORDER, proposal=proposal)


def reworked(story: Story) -> None:
    assignment = in_production(story)
    for lot in (A, B, C):
        story.receive(lot)
    story.allocate(A, ORDER, assignment)
    story.rework(A, B, assignment=assignment)
    story.deallocate(A)
    story.transform(TransformationKind.CONVERSION, {C: 4}, {"made": 2}, order=ORDER, yield_in=2)


def split_and_merged(story: Story) -> None:
    story.receive(A)
    made = story.transform(TransformationKind.SPLIT, {A: 4}, {"one": 1, "other": 3})
    story.transform(TransformationKind.MERGE, dict(sorted(zip(made, (1, 3), strict=True))), {"whole": 4})
    story.on_lot("LotScrapped", A, quantity=2, disposition=Disposition.SOLD)


def handed_over(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.on_lot("CustodyDeclined", A, by=CARRIER, offer=story.offers[A])
    story.offer(A)
    story.on_lot("CustodyWithdrawn", A)
    story.offer(A)
    story.on_lot("CustodyAcceptedInPart", A, by=CARRIER, offer=story.offers[A], accepted=9)
    story.on_lot("LotQuarantined", A, by=CARRIER)
    story.send_back(A)
    story.take(A, by=MAKER)
    story.on_lot("LotReleased", A, by=CARRIER)
    story.on_lot("CustodyReclaimed", A, by=OTHER, from_=MAKER)


def packed(story: Story) -> None:
    for lot in (A, B, BOX):
        story.receive(lot)
    story.pack(BOX, A, B)
    story.record("LotsUnpacked", MAKER, BOX, *sorted((A, B)))
    story.record("NoteRecorded", MAKER, A, kind_=1)


def waived(story: Story) -> None:
    failed = certified(story, verdict=2)
    story.record("GateWaived", BUYER, A, inspector=INSPECTOR, certificate=failed)
    story.on_lot("LotReleased", A)


def opened(story: Story) -> None:
    first = certified(story, model=PUBLISHED)
    story.demand(A, first)
    story.settle("CertificateUpheld", A, first, executed=True)
    second = story.certify(A, ORDER, model=PUBLISHED)
    story.settle("CertificateRefuted", A, second, executed=2)
    story.record("CertificateRevoked", INSPECTOR, A, certificate=first)


HISTORIES = (
    delivered, rejected, cancelled, revised, ended, reworked, split_and_merged, handed_over, packed, waived, opened,
)  # fmt: skip
