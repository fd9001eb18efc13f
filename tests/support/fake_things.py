"""State of orders, assignments, lots and certificates as the fake ledger keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.records import AssignmentState, CertificateState, Gate, LotState, OrderState, Verdict

NONE = bytes(32)


@dataclass
class Order:
    sequence: int
    buyer: int
    coordinator: int
    gates: tuple[Gate, ...]
    operations: int
    finished: int = 0
    live: int = 0
    state: OrderState = OrderState.PLACED


@dataclass
class Assignment:
    sequence: int = 0
    machine: int = 0
    owner: int = 0
    state: AssignmentState = AssignmentState.NONE
    finished_once: bool = False
    stream: bytes = b""


@dataclass
class Lot:
    """State of a lot, as in the contract."""

    number: int
    order: bytes | None
    quantity: int
    custodian: int
    unit: bytes
    parent: bytes | None = None
    counterparty: int = 0
    state: LotState = LotState.HELD
    contents: int = 0
    offer: int = 0


@dataclass
class Certificate:
    """State of a certificate, as in the contract."""

    sequence: int
    model: int
    issuer: int
    verdict: Verdict
    state: CertificateState = CertificateState.ISSUED
    opening_deadline: int = 0
    lot: bytes = NONE
