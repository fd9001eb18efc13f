"""Lots: created, received, transformed, scrapped, packed, quarantined (ILots)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from millmark.ledger import records
from millmark.ledger.events._base import LedgerEvent


@dataclass(frozen=True, slots=True)
class LotCommissioned(LedgerEvent):
    order: records.OrderSubject
    assignment: records.AssignmentNumber
    quantity: records.U40
    unit: records.Bytes3
    claims_root: records.ClaimsRoot

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # as in Event
        yield self.order  # whose assignment, and gate, the lot was made under


@dataclass(frozen=True, slots=True)
class LotReceived(LedgerEvent):
    quantity: records.U40
    unit: records.Bytes3
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotsTransformed(LedgerEvent):
    """Lots were transformed. The record enters the histories of its inputs, then those of its outputs."""

    withholdable = True
    transformation: records.Transformation

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

    rework: records.Rework
    assignment: records.AssignmentNumber
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
    order: records.OrderSubject
    assignment: records.AssignmentNumber
    claims_root: records.ClaimsRoot

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # as in Event
        yield self.order  # as of a lot that was made under it


@dataclass(frozen=True, slots=True)
class LotDeallocated(LedgerEvent):
    order: records.OrderSubject
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotScrapped(LedgerEvent):
    quantity: records.U40
    disposition: records.Disposition
    reason_root: records.ClaimsRoot


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

    custodian: records.ParticipantNumber
    """Who has the parent, and so the lots; another than the participant if that one may reclaim the parent."""


@dataclass(frozen=True, slots=True)
class LotQuarantined(LedgerEvent):
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotReleased(LedgerEvent):
    reason_root: records.ClaimsRoot


# Changes of custody: offers, their outcome, and gates that are waived (ICustody, IGates).


@dataclass(frozen=True, slots=True)
class CustodyOffered(LedgerEvent):
    to: records.ParticipantNumber
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ReturnOffered(LedgerEvent):
    """A quarantined lot was offered to its maker."""

    to: records.ParticipantNumber
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyAccepted(LedgerEvent):
    offer: records.RecordNumber
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyDeclined(LedgerEvent):
    offer: records.RecordNumber
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyWithdrawn(LedgerEvent):
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyReclaimed(LedgerEvent):
    from_: records.ParticipantNumber
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class GateWaived(LedgerEvent):
    """The buyer of a lot's order takes the lot without what one of the order's gates asks for."""

    inspector: records.ParticipantNumber
    certificate: records.CertificateNumber
    """The inspector's latest certificate on the lot by then; 0 if there was none."""
    reason_root: records.ClaimsRoot
