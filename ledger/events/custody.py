"""Changes of custody: offers, their outcome, and gates that are waived (ICustody, IGates)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.events._base import LedgerEvent
from millmark.ledger.records import U40, CertificateNumber, ClaimsRoot, ParticipantNumber, RecordNumber


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
