"""Orders and assignments, and the correction of any record (IOrders, IAssignments, IHistory)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger.events._base import Leaf, LedgerEvent
from millmark.ledger.records import (
    U16,
    U40,
    AssignmentNumber,
    Bytes32,
    ClaimsRoot,
    LotSubject,
    MachineNumber,
    OrderTerms,
    ParticipantNumber,
    RecordNumber,
    StreamSubject,
)


@dataclass(frozen=True, slots=True)
class RecordSuperseded(LedgerEvent):
    superseded: RecordNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderPlaced(LedgerEvent):
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class OrderAccepted(LedgerEvent):
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderRejected(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderCancelled(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class RevisionProposed(LedgerEvent):
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class RevisionAccepted(LedgerEvent):
    proposal: RecordNumber
    awaited: ParticipantNumber
    """Whose agreement is still missing; 0 if the terms are in force from now on."""
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class EndProposed(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderEnded(LedgerEvent):
    proposal: RecordNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderCompleted(LedgerEvent):
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class OrderDelivered(LedgerEvent):
    lots: tuple[LotSubject, ...]
    """What was delivered, as far as the buyer named it; with a quantity in the terms, at least so much."""
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentProposed(LedgerEvent):
    operation: U16
    machine: MachineNumber
    owner: ParticipantNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentAccepted(LedgerEvent):
    operation: U16
    assignment: AssignmentNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentDeclined(LedgerEvent):
    operation: U16
    assignment: AssignmentNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentStarted(LedgerEvent):
    operation: U16
    assignment: AssignmentNumber
    stream: StreamSubject
    stream_size: U40
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class AssignmentFinished(LedgerEvent):
    operation: U16
    assignment: AssignmentNumber
    stream: StreamSubject
    leaf_index: U40
    leaf_hash: Bytes32

    def leaf(self) -> Leaf:
        return Leaf(self.stream, self.leaf_index, self.leaf_hash)


@dataclass(frozen=True, slots=True)
class AssignmentCancelled(LedgerEvent):
    operation: U16
    assignment: AssignmentNumber
    reason_root: ClaimsRoot


AssignmentStep: TypeAlias = (
    AssignmentAccepted | AssignmentDeclined | AssignmentStarted | AssignmentFinished | AssignmentCancelled
)
"""The events of an assignment after its proposal."""
