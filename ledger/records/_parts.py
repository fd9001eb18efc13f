"""Structs in arguments of records, with the names and the order of the contracts' interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from millmark.ledger.records._base import (
    I32,
    U8,
    U16,
    U32,
    U40,
    Bytes3,
    Bytes32,
    Checked,
    ClaimsRoot,
    LotSubject,
    ModelNumber,
    OrderSubject,
    Packed,
    ParticipantNumber,
    StreamSubject,
    TransformationKind,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Gate(Checked):
    """What must be certified before a lot of an order reaches its buyer: a pass of this inspector on this model."""

    inspector: ParticipantNumber
    model: ModelNumber = 0
    """0 if it is by a procedure."""


Gates = Annotated[tuple[Gate, ...], Packed(3)]
"""The gates of an order (contracts/src/libraries/Gates.sol). The contract demands them ascending by inspector."""


@dataclass(frozen=True, slots=True)
class OrderTerms(Checked):
    """The terms on which buyer and coordinator agree (IOrders.OrderTerms)."""

    operations: U16
    coordinator: ParticipantNumber
    gates: Gates
    due_at: U40
    quantity: U32
    """How much the buyer has in custody, in `unit`, when it confirms delivery; 0 if no quantity is agreed."""
    unit: Bytes3
    """Zero bytes if no quantity is agreed."""
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class Input(Checked):
    """A quantity of a lot that goes into a transformation or rework (ILots.Input)."""

    lot: LotSubject
    order: OrderSubject
    """The lot's order; zero bytes if it has none."""
    quantity: U40
    component: bool = False
    """Whether it is used up; otherwise it is conserved."""


@dataclass(frozen=True, slots=True)
class Output(Checked):
    identifier_hash: Bytes32
    quantity: U40
    unit: Bytes3
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class Transformation(Checked):
    """Inputs and outputs of a transformation (ILots.Transformation). The contract demands `inputs` ascending by lot."""

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
class Rework(Checked):
    """A rework of a lot that keeps its identifier (ILots.Rework). The contract demands `components` ascending by lot,
    each of them marked as a component."""

    lot: LotSubject
    order: OrderSubject
    operation: U16
    claims_root: ClaimsRoot
    components: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Item(Checked):
    """One lot of a consignment, and its order; zero bytes if it has none."""

    lot: LotSubject
    order: OrderSubject


@dataclass(frozen=True, slots=True)
class Statement(Checked):
    """An inspector's statement about lots (ICertificates.Statement)."""

    items: tuple[Item, ...]
    """One lot if the verdict is by an inference; up to 64, ascending, if it is by a procedure."""
    model: ModelNumber
    """0 if the verdict is by a procedure."""
    verdict: Verdict
    expires_at: U40
    inference_digest: Bytes32
    """If the verdict is by a procedure, the claims root of the procedure's description."""
    claims_root: ClaimsRoot
    stream: StreamSubject
    leaf_index: U40
    leaf_hash: Bytes32


@dataclass(frozen=True, slots=True)
class Issued(Checked):
    """The fields of a CertificateIssued except key and histories (ICertificates.Issued)."""

    statement: Statement
    anchor_size: U40
    anchor_root: Bytes32


@dataclass(frozen=True, slots=True)
class Inference(Checked):
    """An opened inference: the parts of its digest other than context and model (ICertificates.Inference)."""

    window: bytes
    """The measured integers, 8 bytes each (quality/FORMAT.md)."""
    salt: Bytes32
    logits: tuple[I32, ...]
    verdict: U8
    """As in the digest, which may commit to a number that is not a Verdict."""


@dataclass(frozen=True, slots=True)
class Measured(Checked):
    """The leaf that a certificate names, with its inclusion proof (ICertificates.Measured)."""

    leaf: bytes
    """The data of the leaf (`millmark.ledger.evidence.build_leaf_data`)."""
    proof: tuple[Bytes32, ...]
    """Under the anchor that was in force when the certificate was issued."""
