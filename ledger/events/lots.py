"""Lots: created, received, transformed, scrapped, packed, quarantined (ILots)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from millmark.ledger.events._base import LedgerEvent
from millmark.ledger.records import (
    U40,
    AssignmentNumber,
    Bytes3,
    CertificateNumber,
    ClaimsRoot,
    Disposition,
    OrderSubject,
    ParticipantNumber,
    RecordNumber,
    Rework,
    Transformation,
)


@dataclass(frozen=True, slots=True)
class LotCommissioned(LedgerEvent):
    order: OrderSubject
    assignment: AssignmentNumber
    quantity: U40
    unit: Bytes3
    claims_root: ClaimsRoot

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # as in Event
        yield self.order  # whose assignment, and gate, the lot was made under


@dataclass(frozen=True, slots=True)
class LotReceived(LedgerEvent):
    quantity: U40
    unit: Bytes3
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotsTransformed(LedgerEvent):
    """Lots were transformed. The record enters the histories of its inputs, then those of its outputs."""

    withholdable = True
    transformation: Transformation

    @property
    def inputs(self) -> tuple[bytes, ...]:
        """The subjects of the lots from which the transformation took a quantity."""
        return tuple(taken.lot for taken in self.transformation.inputs)

    def outputs(self, histories: Sequence[bytes]) -> Sequence[bytes]:
        """The subjects of the lots that the transformation made: the last of the record's histories."""
        return histories[len(self.transformation.inputs) :]

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # as in Event
        # For a lot that it made, everything from which it was made. For an input nothing: what else was made from a lot
        # does not matter for the lot itself.
        if subject not in self.inputs:
            yield from self.inputs
            if any(self.transformation.order):
                yield self.transformation.order


@dataclass(frozen=True, slots=True)
class LotReworked(LedgerEvent):
    """It enters the history of the reworked lot, then those of the components."""

    rework: Rework
    assignment: AssignmentNumber
    """0 if the lot has no order."""

    @property
    def components(self) -> tuple[bytes, ...]:
        """The subjects of the lots from which it took a quantity."""
        return tuple(taken.lot for taken in self.rework.components)

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # as in Event
        # As in a transformation: what became of a component does not matter for the component itself.
        if subject == self.rework.lot:
            yield from self.components


@dataclass(frozen=True, slots=True)
class LotAllocated(LedgerEvent):
    order: OrderSubject
    assignment: AssignmentNumber
    claims_root: ClaimsRoot

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # as in Event
        yield self.order  # as of a lot that was made under it


@dataclass(frozen=True, slots=True)
class LotDeallocated(LedgerEvent):
    order: OrderSubject
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotScrapped(LedgerEvent):
    quantity: U40
    disposition: Disposition
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotsPacked(LedgerEvent):
    """Lots were packed. The record enters the history of the parent, then those of the lots that were packed in it."""

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:
        # A packed lot needs its parent, with which it changes hands; a parent can be judged without its contents.
        if histories[0] != subject:
            yield histories[0]


@dataclass(frozen=True, slots=True)
class LotsUnpacked(LedgerEvent):
    """Lots were unpacked. The record enters the same histories as LotsPacked."""


@dataclass(frozen=True, slots=True)
class LotQuarantined(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotReleased(LedgerEvent):
    reason_root: ClaimsRoot


# Changes of custody: offers, their outcome, and gates that are waived (ICustody, IGates).


@dataclass(frozen=True, slots=True)
class CustodyOffered(LedgerEvent):
    to: ParticipantNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ReturnOffered(LedgerEvent):
    """A quarantined lot was offered to its maker."""

    to: ParticipantNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyAccepted(LedgerEvent):
    offer: RecordNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyAcceptedInPart(LedgerEvent):
    """Custody of the whole lot passed; the taker states that less than that is in order."""

    offer: RecordNumber
    accepted: U40
    """What is in order, in the lot's unit."""
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyDeclined(LedgerEvent):
    offer: RecordNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyWithdrawn(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyReclaimed(LedgerEvent):
    from_: ParticipantNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class GateWaived(LedgerEvent):
    """The buyer of a lot's order takes the lot without what one of the order's gates asks for."""

    inspector: ParticipantNumber
    certificate: CertificateNumber
    """The inspector's latest certificate on the lot by then; 0 if there was none."""
    reason_root: ClaimsRoot
