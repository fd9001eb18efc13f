"""Records of orders and assignments, and the correction of any record (IOrders, IAssignments, IHistory)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.records._base import U16, U40, Bytes32, LedgerRecord
from millmark.ledger.records._parts import OrderTerms

__all__ = [
    "AcceptAssignment",
    "AcceptOrder",
    "AcceptRevision",
    "CancelAssignment",
    "CancelOrder",
    "CompleteOrder",
    "ConfirmDelivery",
    "DeclineAssignment",
    "EndOrder",
    "FinishAssignment",
    "PlaceOrder",
    "ProposeAssignment",
    "ProposeEnd",
    "ProposeRevision",
    "StartAssignment",
]


@dataclass(frozen=True, slots=True)
class PlaceOrder(LedgerRecord):
    event = "OrderPlaced"
    identifier_hash: Bytes32
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class AcceptOrder(LedgerRecord):
    event = "OrderAccepted"
    order: Bytes32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class CancelOrder(LedgerRecord):
    event = "OrderCancelled"
    order: Bytes32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class ProposeRevision(LedgerRecord):
    event = "RevisionProposed"
    order: Bytes32
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class AcceptRevision(LedgerRecord):
    event = "RevisionAccepted"
    order: Bytes32
    terms: OrderTerms
    proposal: U40


@dataclass(frozen=True, slots=True)
class ProposeEnd(LedgerRecord):
    event = "EndProposed"
    order: Bytes32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class EndOrder(LedgerRecord):
    event = "OrderEnded"
    order: Bytes32
    proposal: U40
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class CompleteOrder(LedgerRecord):
    event = "OrderCompleted"
    order: Bytes32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class ConfirmDelivery(LedgerRecord):
    event = "OrderDelivered"
    order: Bytes32
    lots: tuple[Bytes32, ...]
    """Ascending."""
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class ProposeAssignment(LedgerRecord):
    event = "AssignmentProposed"
    order: Bytes32
    operation: U16
    machine: U40
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class AcceptAssignment(LedgerRecord):
    event = "AssignmentAccepted"
    order: Bytes32
    operation: U16
    assignment: U40
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class DeclineAssignment(LedgerRecord):
    event = "AssignmentDeclined"
    order: Bytes32
    operation: U16
    assignment: U40
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class StartAssignment(LedgerRecord):
    event = "AssignmentStarted"
    order: Bytes32
    operation: U16
    assignment: U40
    stream: Bytes32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class FinishAssignment(LedgerRecord):
    event = "AssignmentFinished"
    order: Bytes32
    operation: U16
    assignment: U40
    stream: Bytes32
    leaf_index: U40
    leaf_hash: Bytes32


@dataclass(frozen=True, slots=True)
class CancelAssignment(LedgerRecord):
    event = "AssignmentCancelled"
    order: Bytes32
    operation: U16
    assignment: U40
    reason_root: Bytes32
