"""Records of evidence, lots and certificates, and notes (IEvidence, ILots, ICertificates, INotes)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.records._base import U16, U32, U40, Address, Bytes3, Bytes32, Disposition, LedgerRecord
from millmark.ledger.records._parts import Inference, Issued, Item, Measured, Rework, Statement, Transformation

__all__ = [
    "AcceptCustody",
    "AllocateLot",
    "Anchor",
    "Challenge",
    "CommissionLot",
    "DeallocateLot",
    "DeclineCustody",
    "DemandOpening",
    "IssueCertificate",
    "Note",
    "OfferCustody",
    "OpenStream",
    "PackLots",
    "QuarantineLot",
    "ReceiveLot",
    "ReclaimCustody",
    "ReleaseLot",
    "ReturnLot",
    "RevokeCertificate",
    "ReworkLot",
    "ScrapLot",
    "TransformLots",
    "UnpackLots",
    "UnpackReclaimable",
    "WaiveGate",
    "WithdrawCustody",
]


@dataclass(frozen=True, slots=True)
class OpenStream(LedgerRecord):
    event = "StreamOpened"
    identifier_hash: Bytes32
    machine: U40
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class Anchor(LedgerRecord):
    event = "StreamAnchored"
    stream: Bytes32
    size: U40
    root: Bytes32


@dataclass(frozen=True, slots=True)
class CommissionLot(LedgerRecord):
    event = "LotCommissioned"
    identifier_hash: Bytes32
    order: Bytes32
    operation: U16
    quantity: U40
    unit: Bytes3
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class ReceiveLot(LedgerRecord):
    event = "LotReceived"
    identifier_hash: Bytes32
    quantity: U40
    unit: Bytes3
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class TransformLots(LedgerRecord):
    event = "LotsTransformed"
    transformation: Transformation


@dataclass(frozen=True, slots=True)
class ReworkLot(LedgerRecord):
    event = "LotReworked"
    rework: Rework


@dataclass(frozen=True, slots=True)
class AllocateLot(LedgerRecord):
    event = "LotAllocated"
    lot: Bytes32
    order: Bytes32
    operation: U16
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class DeallocateLot(LedgerRecord):
    event = "LotDeallocated"
    lot: Bytes32
    order: Bytes32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class ScrapLot(LedgerRecord):
    event = "LotScrapped"
    lot: Bytes32
    quantity: U40
    disposition: Disposition
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class PackLots(LedgerRecord):
    event = "LotsPacked"
    parent: Bytes32
    lots: tuple[Bytes32, ...]


@dataclass(frozen=True, slots=True)
class UnpackLots(LedgerRecord):
    event = "LotsUnpacked"
    parent: Bytes32
    lots: tuple[Bytes32, ...]


@dataclass(frozen=True, slots=True)
class UnpackReclaimable(LedgerRecord):
    """Unpacks lots whose custodian has not been able to act for 14 days; they stay in its custody."""

    event = "LotsUnpacked"
    lot: Bytes32
    """The parent."""
    order: Bytes32
    """That the parent belongs to; zeros without one."""
    lots: tuple[Bytes32, ...]


@dataclass(frozen=True, slots=True)
class QuarantineLot(LedgerRecord):
    event = "LotQuarantined"
    lot: Bytes32
    order: Bytes32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class ReleaseLot(LedgerRecord):
    event = "LotReleased"
    lot: Bytes32
    order: Bytes32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class OfferCustody(LedgerRecord):
    event = "CustodyOffered"
    consignment: tuple[Item, ...]
    to: U32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class AcceptCustody(LedgerRecord):
    event = "CustodyAccepted"
    consignment: tuple[Item, ...]
    offer: U40
    """Sequence of the offer: another offer of the same lot is not accepted."""
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class ReturnLot(LedgerRecord):
    """Offers a quarantined lot to its maker; it stays quarantined."""

    event = "ReturnOffered"
    lot: Bytes32
    to: U32
    identifier_hash: Bytes32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class DeclineCustody(LedgerRecord):
    event = "CustodyDeclined"
    lot: Bytes32
    offer: U40
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class WithdrawCustody(LedgerRecord):
    event = "CustodyWithdrawn"
    lot: Bytes32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class ReclaimCustody(LedgerRecord):
    """Takes custody from a participant that has not been able to act for 14 days."""

    event = "CustodyReclaimed"
    consignment: tuple[Item, ...]
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class WaiveGate(LedgerRecord):
    """Opens one inspector's gate for one lot, as the buyer of its order."""

    event = "GateWaived"
    lot: Bytes32
    order: Bytes32
    inspector: U32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class IssueCertificate(LedgerRecord):
    event = "CertificateIssued"
    statement: Statement


@dataclass(frozen=True, slots=True)
class RevokeCertificate(LedgerRecord):
    event = "CertificateRevoked"
    lots: tuple[Bytes32, ...]
    certificate: U40
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class Challenge(LedgerRecord):
    """Opens a certificate's inference; the contract then upholds or refutes the certificate."""

    event = "CertificateUpheld"
    or_event = "CertificateRefuted"
    certificate: U40
    key: Address
    issued: Issued
    inference: Inference
    measured: Measured


@dataclass(frozen=True, slots=True)
class DemandOpening(LedgerRecord):
    event = "OpeningDemanded"
    lot: Bytes32
    ground: Bytes32
    """The lot's order, where a pass is doubted; where its maker doubts a fail, the hash of the lot's identifier."""
    certificate: U40


@dataclass(frozen=True, slots=True)
class Note(LedgerRecord):
    """Says something about orders and lots, without a change of state."""

    event = "NoteRecorded"
    subjects: tuple[Bytes32, ...]
    """Strictly ascending."""
    grounds: tuple[Bytes32, ...]
    """For each subject, what shows the caller's part in it: of a lot, for its maker the identifier hash, for an issuer
    the certificate's number, for a party of its order that order; otherwise zeros."""
    kind: U16
    """A `NoteKind`, or a number that the consortium agreed on; not 0."""
    about: U40
    """Sequence of the earlier record that it is about, which a correction needs; 0 for none."""
    claims_root: Bytes32
