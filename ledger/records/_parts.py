"""Structs that records carry; names and order as in the interfaces."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.records._base import (
    I32,
    U8,
    U16,
    U32,
    U40,
    Address,
    Bytes3,
    Bytes32,
    Checked,
    ClaimsRoot,
    LotSubject,
    ModelNumber,
    OrderSubject,
    ParticipantNumber,
    StreamSubject,
)
from ledger.records._enums import TransformationKind, Verdict


@dataclass(frozen=True, slots=True)
class OrderTerms(Checked):
    """What buyer and coordinator agree on (IOrders.OrderTerms)."""

    operations: U16
    inspector: ParticipantNumber
    model: ModelNumber
    due_at: U40
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class Input(Checked):
    lot: LotSubject
    quantity: U40


@dataclass(frozen=True, slots=True)
class Output(Checked):
    identifier_hash: Bytes32
    quantity: U40
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class Transformation(Checked):
    """What goes in and out; `inputs` ascend by lot (ILots.Transformation)."""

    kind: TransformationKind
    order: OrderSubject
    operation: U16
    unit: Bytes3
    output_unit: Bytes3
    loss: U40
    yield_in: U40
    yield_out: U40
    claims_root: ClaimsRoot
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Item(Checked):
    """One lot of a consignment and its order, zero bytes for none."""

    lot: LotSubject
    order: OrderSubject


@dataclass(frozen=True, slots=True)
class Statement(Checked):
    """What an inspector states (ICertificates.Statement)."""

    lot: LotSubject
    order: OrderSubject
    model: ModelNumber
    verdict: Verdict
    expires_at: U40
    inference_digest: Bytes32
    claims_root: ClaimsRoot
    stream: StreamSubject
    leaf_index: U40
    leaf_hash: Bytes32


@dataclass(frozen=True, slots=True)
class Issued(Checked):
    """What a CertificateIssued says beside its key and histories (ICertificates.Issued)."""

    statement: Statement
    anchor_size: U40
    anchor_root: Bytes32


@dataclass(frozen=True, slots=True)
class Inference(Checked):
    """An opened inference: what its digest commits to, beside context and model (ICertificates.Inference)."""

    input: bytes
    """The quantised window as the model's family writes it (quality/FORMAT.md)."""
    salt: Bytes32
    logits: tuple[I32, ...]
    verdict: U8
    """As in the digest, which can also hold what is no verdict."""


@dataclass(frozen=True, slots=True)
class Link(Checked):
    kind: Bytes32
    inner: Bytes32


@dataclass(frozen=True, slots=True)
class Opening(Checked):
    """Shows that a record is in a history (IHistory.Opening)."""

    previous_head: Bytes32
    kind: Bytes32
    sequence: U40
    participant: U32
    key: Address
    digest: Bytes32
    timestamp: U40
    later: tuple[Link, ...]
