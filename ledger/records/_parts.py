"""Structs in arguments of records, with the names and the order of the contracts' interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import millmark.ledger.records._base as _base


@dataclass(frozen=True, slots=True)
class Gate(_base.Checked):
    """What must be certified before a lot of an order reaches its buyer: a pass of this inspector on this model."""

    inspector: _base.ParticipantNumber
    model: _base.ModelNumber = 0
    """0 if it is by a procedure."""


Gates = Annotated[tuple[Gate, ...], _base.Packed(3)]
"""The gates of an order (contracts/src/libraries/Gates.sol). The contract demands them ascending by inspector."""


@dataclass(frozen=True, slots=True)
class OrderTerms(_base.Checked):
    """The terms on which buyer and coordinator agree (IOrders.OrderTerms)."""

    operations: _base.U16
    coordinator: _base.ParticipantNumber
    gates: Gates
    due_at: _base.U40
    quantity: _base.U32
    """How much the buyer has in custody, in `unit`, when it confirms delivery; 0 if no quantity is agreed."""
    unit: _base.Bytes3
    """Zero bytes if no quantity is agreed."""
    claims_root: _base.ClaimsRoot


@dataclass(frozen=True, slots=True)
class Input(_base.Checked):
    """A quantity of a lot that goes into a transformation or rework (ILots.Input)."""

    lot: _base.LotSubject
    order: _base.OrderSubject
    """The lot's order; zero bytes if it has none."""
    quantity: _base.U40
    component: bool = False
    """Whether it is used up; otherwise it is conserved."""


@dataclass(frozen=True, slots=True)
class Output(_base.Checked):
    identifier_hash: _base.Bytes32
    quantity: _base.U40
    unit: _base.Bytes3
    claims_root: _base.ClaimsRoot


@dataclass(frozen=True, slots=True)
class Transformation(_base.Checked):
    """Inputs and outputs of a transformation (ILots.Transformation). The contract demands `inputs` ascending by lot."""

    kind: _base.TransformationKind
    order: _base.OrderSubject
    operation: _base.U16
    unit: _base.Bytes3
    output_unit: _base.Bytes3
    loss: _base.U40
    yield_in: _base.U40
    yield_out: _base.U40
    claims_root: _base.ClaimsRoot
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Rework(_base.Checked):
    """A rework of a lot that keeps its identifier (ILots.Rework). The contract demands `components` ascending by lot,
    each of them marked as a component."""

    lot: _base.LotSubject
    order: _base.OrderSubject
    operation: _base.U16
    claims_root: _base.ClaimsRoot
    components: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Item(_base.Checked):
    """One lot of a consignment, and its order; zero bytes if it has none."""

    lot: _base.LotSubject
    order: _base.OrderSubject


@dataclass(frozen=True, slots=True)
class Statement(_base.Checked):
    """An inspector's statement about lots (ICertificates.Statement)."""

    items: tuple[Item, ...]
    """One lot if the verdict is by an inference; up to 64, ascending, if it is by a procedure."""
    model: _base.ModelNumber
    """0 if the verdict is by a procedure."""
    verdict: _base.Verdict
    expires_at: _base.U40
    inference_digest: _base.Bytes32
    """If the verdict is by a procedure, the claims root of the procedure's description."""
    claims_root: _base.ClaimsRoot
    stream: _base.StreamSubject
    leaf_index: _base.U40
    leaf_hash: _base.Bytes32


@dataclass(frozen=True, slots=True)
class Issued(_base.Checked):
    """The fields of a CertificateIssued except key and histories (ICertificates.Issued)."""

    statement: Statement
    anchor_size: _base.U40
    anchor_root: _base.Bytes32


@dataclass(frozen=True, slots=True)
class Inference(_base.Checked):
    """An opened inference: the parts of its digest other than context and model (ICertificates.Inference)."""

    window: bytes
    """The measured integers, 8 bytes each (quality/FORMAT.md)."""
    salt: _base.Bytes32
    logits: tuple[_base.I32, ...]
    verdict: _base.U8
    """As in the digest, which may commit to a number that is not a Verdict."""


@dataclass(frozen=True, slots=True)
class Measured(_base.Checked):
    """The leaf that a certificate names, with its inclusion proof (ICertificates.Measured)."""

    leaf: bytes
    """The data of the leaf (`millmark.ledger.evidence.build_leaf_data`)."""
    proof: tuple[_base.Bytes32, ...]
    """Under the anchor that was in force when the certificate was issued."""


@dataclass(frozen=True, slots=True)
class Link(_base.Checked):
    """One later link of a history: topic 0 of the record's event, and its inner hash (IHistory.Link)."""

    kind: _base.Bytes32
    inner: _base.Bytes32


@dataclass(frozen=True, slots=True)
class Opening(_base.Checked):
    """Proves to the contract that a record is in a history (IHistory.Opening)."""

    previous_head: _base.Bytes32
    kind: _base.Bytes32
    sequence: _base.U40
    participant: _base.U32
    key: _base.Address
    digest: _base.Bytes32
    timestamp: _base.U40
    later: tuple[Link, ...]
