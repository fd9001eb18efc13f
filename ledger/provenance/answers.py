"""The answers of traces, ready for output: with names beside numbers, where the private book has them.

None means that something does not exist, did not happen yet, or is not known. Times are UTC. As JSON (`to_json`): names
in snake case as here, bytes as 0x-hex, times as RFC 3339, states as lower-case words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.events import Event
from millmark.ledger.provenance.jsonform import Printable
from millmark.ledger.records import (
    AssignmentState,
    CertificateStatus,
    LotState,
    ModelState,
    OrderState,
    TransformationKind,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class AsOf(Printable):
    """The last indexed block, at which the answer holds; statuses are those at the block's time."""

    chain_id: int
    ledger: bytes
    block_number: int
    block_hash: bytes
    time: datetime | None
    registry_sequence: int
    ledger_sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Cut(Printable):
    """A list that a limit of the request cut off."""

    part: str
    """Name of the list."""
    limit: str
    """The limit: `depth` or `lots`."""
    at: int
    """The limit's value."""


@dataclass(frozen=True, slots=True)
class Party(Printable):
    """A participant, by number and name."""

    participant: int
    name: str | None
    """From the private book."""


@dataclass(frozen=True, slots=True)
class Key(Printable):
    """A key that signs for a participant now."""

    address: bytes
    """20 bytes."""
    roles: tuple[str, ...]
    """What it may do, in lower case; it acts with the roles that its participant has, too."""
    admin: bool
    """Whether it may propose, change and revoke its participant's keys."""
    added_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recovery(Printable):
    """A key that is to replace all keys of a participant that lost them."""

    key: bytes
    effective_at: datetime | None
    """From then on the key may accept."""
    objected: bool
    """An admin key objected; after the delay, the registry's owner must overrule it."""
    overruled: bool


@dataclass(frozen=True, slots=True)
class Participant(Printable):
    """A company of the consortium, and its keys."""

    participant: int
    name: str | None
    roles: tuple[str, ...]
    """Role names in lower case."""
    suspended: bool
    departed: bool
    """It left the consortium by its own act."""
    keys: tuple[Key, ...]
    """The keys that sign for it now."""
    recovery: Recovery | None
    """The recovery that is under way; null if there is none."""
    admitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Machine(Printable):
    """A registered machine."""

    machine: int
    identifier: str | None
    owner: Party


@dataclass(frozen=True, slots=True)
class Model(Printable):
    """A quality model, and whether it is approved, retired or withdrawn."""

    model: int
    digest: bytes
    code: bytes | None
    """Address of the contract that keeps the model's bytes; null if only the digest is on the chain."""
    state: ModelState
    inspector: Party
    approver: Party | None
    open: bool
    """Whether inspectors other than its own may certify on it."""
    retired_at: datetime | None
    withdrawn_at: datetime | None
    defective_since: datetime | None
    """If the model was withdrawn: since when certificates on it have fallen; null if all have."""


@dataclass(frozen=True, slots=True)
class Certificate(Printable):
    """An inspector's verdict on a lot: by one inference of a model, or by a procedure."""

    certificate: int
    """Sequence of the record that issued it."""
    lot: bytes
    identifier: str | None
    """The lot's identifier."""
    inspector: Party
    model: Model | None
    """Null if the verdict is by a procedure."""
    verdict: Verdict
    status: CertificateStatus
    latest: bool
    """Whether it decides about the lot: the latest of a gate's inspector, or without a gate, of any."""
    issued_at: datetime | None
    expires_at: datetime | None
    opening_deadline: datetime | None
    """The time by which its inference must be opened; null if no opening was demanded."""
    opened_at: datetime | None
    """When its inference was opened, and the certificate upheld or refuted."""
    executed: Verdict
    """The verdict of executing the model on the chain; `none` if it was not executed, or the input was invalid."""
    revoked_at: datetime | None
    inference_digest: bytes
    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    anchor_size: int
    anchor_root: bytes
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Gate(Printable):
    """An inspector and a model whose passing certificate an order demands before custody of its lots passes."""

    inspector: Party
    model: int | None
    """Null if it is by a procedure."""


@dataclass(frozen=True, slots=True)
class Waiver(Printable):
    """A gate that the buyer of a lot's order waived for the lot."""

    sequence: int
    lot: bytes
    buyer: Party
    inspector: Party
    certificate: int | None
    """The inspector's latest certificate on the lot by then; null if there was none."""
    holds: bool
    """Whether it still opens the gate: no certificate of that inspector, no rework and no other order came after."""
    time: datetime | None
    reason_root: bytes


@dataclass(frozen=True, slots=True)
class Order(Printable):
    """A buyer's order, and its progress."""

    subject: bytes
    identifier: str | None
    sequence: int
    state: OrderState
    buyer: Party
    coordinator: Party
    gates: tuple[Gate, ...]
    """Every one of them must be passed, or waived by the buyer."""
    quantity: int
    """How much the buyer must have when it confirms delivery, in `unit`; 0 if no quantity is agreed."""
    unit: str | None
    operations: int
    """Number of operations that the order consists of."""
    finished: int
    """Number of operations that were finished at least once."""
    live: int
    """Number of assignments that are neither declined, finished nor cancelled."""
    placed_at: datetime | None
    due_at: datetime | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Assignment(Printable):
    """One operation of an order, assigned to one machine."""

    assignment: int
    """Sequence of the record that proposed it."""
    order: bytes
    operation: int
    """Index in the order, from 0; people count from 1."""
    current: bool
    """Whether it is the operation's current assignment."""
    state: AssignmentState
    machine: Machine
    owner: Party
    """The participant who owned the machine when the assignment was proposed."""
    proposed_at: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    stream: bytes | None
    leaf_index: int | None
    leaf_hash: bytes | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Lot(Printable):
    """A quantity under one identifier."""

    subject: bytes
    identifier: str | None
    sequence: int
    """Sequence of the record that created it."""
    unit: str
    """UN/ECE Recommendation 20 code."""
    quantity: int
    quantity_created: int
    """Quantity when it was created."""
    state: LotState
    custodian: Party
    holder: Party
    """The participant who physically has it: the custodian of the outermost lot in which it is packed, or its own."""
    counterparty: Party | None
    """If it is offered, the participant to whom; if it is quarantined or returning, the one who quarantined it."""
    offer: int | None
    """The record of the offer that stands, which an acceptance names; None if it is not offered."""
    order: bytes | None
    parent: bytes | None
    assignment: int | None
    """The assignment under which it was made."""
    created_at: datetime | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class RelatedLot(Printable):
    """A lot in relation to another: one of the two was made from the other, or is packed in it."""

    subject: bytes
    identifier: str | None
    depth: int
    """Number of steps from the lot that the request names."""
    unit: str
    quantity: int
    state: LotState
    holder: Party
    quarantined: bool
    """Whether it, or a lot in which it is packed, is quarantined, so that it cannot change hands."""
    parent: bytes | None
    """The lot in which it is packed."""
    order: bytes | None
    assignment: int | None
    """The assignment under which it was made."""
    machine: Machine | None
    """The machine on which it was made."""
    certificate: int | None
    """Its latest certificate."""
    verdict: Verdict
    status: CertificateStatus


@dataclass(frozen=True, slots=True)
class CustodyChange(Printable):
    """An entry of a custody timeline: an offer, its outcome, or a change of custody."""

    sequence: int
    kind: str
    """The kind of the record, as on the chain."""
    lot: bytes
    """The lot itself, or a lot in which it was packed at the time."""
    from_: Party | None
    to: Party
    time: datetime | None


@dataclass(frozen=True, slots=True)
class TransformedQuantity(Printable):
    """An input or output of a transformation."""

    lot: bytes
    identifier: str | None
    quantity: int
    unit: str
    component: bool
    """Whether it was used up; otherwise the quantity was conserved, by the stated yield."""


@dataclass(frozen=True, slots=True)
class Transformation(Printable):
    """A step that made lots from lots, or reworked a lot, which is then its only output, with components alone."""

    sequence: int
    kind: TransformationKind
    participant: Party
    order: bytes | None
    unit: str
    output_unit: str
    loss: int
    yield_in: int
    yield_out: int
    time: datetime | None
    inputs: tuple[TransformedQuantity, ...]
    outputs: tuple[TransformedQuantity, ...]

    @property
    def is_stated(self) -> bool:
        """Whether its yield is its maker's statement; everything else conserves quantities."""
        return self.kind is TransformationKind.CONVERSION

    @property
    def in_place(self) -> bool:
        """Whether it reworked a lot that kept its identifier."""
        return all(taken.component for taken in self.inputs)


@dataclass(frozen=True, slots=True)
class Anchor(Printable):
    """Size and root of a stream's log, recorded on the chain."""

    sequence: int
    size: int
    root: bytes
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Stream(Printable):
    """A log of evidence."""

    subject: bytes
    identifier: str | None
    machine: Machine | None
    """None for plans and logs that belong to no machine."""
    size: int
    root: bytes
    opened_at: datetime | None
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class HistoryRecord(Printable):
    """One record of a history, and its position on the chain."""

    sequence: int
    kind: str
    participant: Party
    subject: bytes
    key: bytes
    time: datetime | None
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int
    superseded_by: int | None
    """Sequence of the latest record that supersedes it."""
    fields: Event
    """The fields that only this kind of event has."""


@dataclass(frozen=True, slots=True)
class SharedMeasurement(Printable):
    """An entry of a stream that several certificates or finished operations name: one measurement was used again."""

    stream: bytes
    leaf_index: int
    certificates: tuple[int, ...]
    assignments: tuple[int, ...]
    """The assignments that were finished with it."""
    others: int
    """Number of certificates and assignments that are not visible to you."""


@dataclass(frozen=True, slots=True)
class Trace(Printable):
    """A lot's provenance: what it was made from, who made, inspected and holds it, and what was made from it."""

    as_of: AsOf
    lot: Lot
    head: bytes
    """The head of its history."""
    order: Order | None
    assignments: tuple[Assignment, ...]
    """All assignments of its order."""
    certificates: tuple[Certificate, ...]
    shared_measurements: tuple[SharedMeasurement, ...]
    """Measurements of its certificates and assignments that others name, too, anywhere on the ledger."""
    waivers: tuple[Waiver, ...]
    """The gates of its order that the buyer waived for it."""
    custody: tuple[CustodyChange, ...]
    packed_in: tuple[RelatedLot, ...]
    """The lot in which it is packed, the one in which that is packed, and so on."""
    contents: tuple[RelatedLot, ...]
    """The lots that are packed in it now."""
    upstream: tuple[RelatedLot, ...]
    """The lots from which it was made, or from which its present contents were made."""
    downstream: tuple[RelatedLot, ...]
    """The lots that were made from it."""
    transformations: tuple[Transformation, ...]
    """The transformations that made the lots of this answer."""
    truncated: bool
    """Whether a limit of the request cut off a list of lots."""
    cuts: tuple[Cut, ...]
    """The lists that were cut off."""
    streams: tuple[Stream, ...]
    """The streams that the assignments and certificates refer to."""
    records: tuple[HistoryRecord, ...]
    """The lot's history, oldest first."""


@dataclass(frozen=True, slots=True)
class OrderTrace(Printable):
    """An order's progress, its assignments, its lots and their provenance."""

    as_of: AsOf
    order: Order
    head: bytes
    """The head of its history."""
    assignments: tuple[Assignment, ...]
    lots: tuple[RelatedLot, ...]
    certificates: tuple[Certificate, ...]
    """The certificates on its lots."""
    shared_measurements: tuple[SharedMeasurement, ...]
    """Measurements of these that others name, too, anywhere on the ledger."""
    upstream: tuple[RelatedLot, ...]
    """The lots from which its lots were made."""
    downstream: tuple[RelatedLot, ...]
    """The lots that were made from its lots."""
    transformations: tuple[Transformation, ...]
    """The transformations that made the lots of this answer."""
    truncated: bool
    """Whether a limit of the request cut off a list of lots."""
    cuts: tuple[Cut, ...]
    """The lists that were cut off."""
    streams: tuple[Stream, ...]
    """The streams that the assignments and certificates refer to."""
    records: tuple[HistoryRecord, ...]
