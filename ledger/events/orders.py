"""Orders and assignments (IOrders, IAssignments)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger import records
from millmark.ledger.events._base import Leaf, LedgerEvent


@dataclass(frozen=True, slots=True)
class OrderPlaced(LedgerEvent):
    terms: records.OrderTerms


@dataclass(frozen=True, slots=True)
class OrderAccepted(LedgerEvent):
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderCancelled(LedgerEvent):
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class RevisionProposed(LedgerEvent):
    terms: records.OrderTerms


@dataclass(frozen=True, slots=True)
class RevisionAccepted(LedgerEvent):
    proposal: records.RecordNumber
    awaited: records.ParticipantNumber
    """Whose agreement is still missing; 0 if the terms are in force from now on."""
    terms: records.OrderTerms


@dataclass(frozen=True, slots=True)
class EndProposed(LedgerEvent):
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderEnded(LedgerEvent):
    proposal: records.RecordNumber
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderCompleted(LedgerEvent):
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderDelivered(LedgerEvent):
    count: records.U32
    """Number of the lots that the buyer named."""
    quantity: records.U64
    """Content of these lots in the unit of the terms: at least the quantity agreed."""
    lots_digest: records.Bytes32
    """keccak256 of the ABI encoding of their list."""
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentProposed(LedgerEvent):
    operation: records.U16
    machine: records.MachineNumber
    owner: records.ParticipantNumber
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentAccepted(LedgerEvent):
    operation: records.U16
    assignment: records.AssignmentNumber
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentDeclined(LedgerEvent):
    operation: records.U16
    assignment: records.AssignmentNumber
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentStarted(LedgerEvent):
    operation: records.U16
    assignment: records.AssignmentNumber
    stream: records.StreamSubject
    stream_size: records.U40
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentFinished(LedgerEvent):
    operation: records.U16
    assignment: records.AssignmentNumber
    stream: records.StreamSubject
    leaf_index: records.U40
    leaf_hash: records.Bytes32

    def leaf(self) -> Leaf:
        return Leaf(self.stream, self.leaf_index, self.leaf_hash)


@dataclass(frozen=True, slots=True)
class AssignmentCancelled(LedgerEvent):
    operation: records.U16
    assignment: records.AssignmentNumber
    reason_root: records.ClaimsRoot


AssignmentStep: TypeAlias = (
    AssignmentAccepted | AssignmentDeclined | AssignmentStarted | AssignmentFinished | AssignmentCancelled
)
"""The events of an assignment after its proposal."""
