"""What a trace or a recall says, ready to be printed: names instead of numbers where the private book has them.

`None` stands wherever there is nothing. Times are UTC. As JSON (`to_json`): keys in snake case as here, bytes as
0x-hex, times as RFC 3339, states as lower-case words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.events import Event
from ledger.provenance.jsonform import Printable
from ledger.records import (
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
    """The block that the answer speaks of; statuses are those at its time."""

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
    """A list that ends before what there is."""

    part: str
    """Name of the list."""
    limit: str
    """What ended it: `depth` or `lots`."""
    at: int


@dataclass(frozen=True, slots=True)
class Party(Printable):
    """A participant, by number and name."""

    participant: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Participant(Printable):
    """A company of the consortium, and the keys that sign for it."""

    participant: int
    name: str | None
    roles: tuple[str, ...]
    """Role names in lower case."""
    suspended: bool
    keys: tuple[bytes, ...]
    """Addresses that sign for it now."""
    admitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Machine(Printable):
    """A registered machine."""

    machine: int
    identifier: str | None
    owner: Party


@dataclass(frozen=True, slots=True)
class Model(Printable):
    """A quality model, and whether it may still be relied on."""

    model: int
    digest: bytes
    code: bytes | None
    """Address of the contract that keeps its bytes; None when only the digest is on chain."""
    state: ModelState
    inspector: Party
    approver: Party | None
    withdrawn_at: datetime | None
    defective_since: datetime | None


@dataclass(frozen=True, slots=True)
class Certificate(Printable):
    """An inspector's verdict on a lot, bound to one inference of one model."""

    certificate: int
    """Sequence of the issuing record."""
    lot: bytes
    identifier: str | None
    """Of the lot."""
    inspector: Party
    model: Model
    verdict: Verdict
    status: CertificateStatus
    latest: bool
    """Whether it is the lot's latest, the only one that counts."""
    issued_at: datetime | None
    expires_at: datetime | None
    opening_deadline: datetime | None
    """By when its inference must be opened, where that was demanded."""
    opened_at: datetime | None
    """When its inference was opened, and the certificate upheld or refuted."""
    executed: Verdict
    """What the model said when it was executed on chain."""
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
    """Whose passing certificate on which model the order's buyer waits for."""

    inspector: Party
    model: int


@dataclass(frozen=True, slots=True)
class Order(Printable):
    """What a buyer wants, and how far it is."""

    subject: bytes
    identifier: str | None
    sequence: int
    state: OrderState
    buyer: Party
    coordinator: Party
    gate: Gate | None
    operations: int
    finished: int
    live: int
    placed_at: datetime | None
    due_at: datetime | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Assignment(Printable):
    """One operation of an order, given to one machine."""

    assignment: int
    """Sequence of the proposing record."""
    order: bytes
    operation: int
    current: bool
    state: AssignmentState
    machine: Machine
    owner: Party
    """Who owned the machine when it was proposed."""
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
    """Of the creating record."""
    unit: str
    quantity: int
    quantity_created: int
    state: LotState
    custodian: Party
    holder: Party
    """Who has it in fact: the custodian of the outermost lot that it is packed in, or its own."""
    counterparty: Party | None
    """Offered: to whom. Quarantined: by whom."""
    order: bytes | None
    parent: bytes | None
    assignment: int | None
    """Under which it was made."""
    created_at: datetime | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class RelatedLot(Printable):
    """A lot that another one came from, went into, or travels with."""

    subject: bytes
    identifier: str | None
    depth: int
    """Steps from the lot that was asked about."""
    unit: str
    quantity: int
    state: LotState
    holder: Party
    quarantined: bool
    """Itself, or whatever it is packed in: it goes nowhere."""
    parent: bytes | None
    """What it is packed in."""
    order: bytes | None
    assignment: int | None
    """Under which it was made."""
    machine: Machine | None
    """On which it was made."""
    certificate: int | None
    """Its latest."""
    verdict: Verdict
    status: CertificateStatus


@dataclass(frozen=True, slots=True)
class CustodyChange(Printable):
    """One step of a change of hands."""

    sequence: int
    kind: str
    """Of the record, as on chain."""
    lot: bytes
    """The lot itself, or what it was packed in at the time."""
    from_: Party | None
    to: Party
    time: datetime | None


@dataclass(frozen=True, slots=True)
class TransformedQuantity(Printable):
    """What went into a transformation, or came out of it."""

    lot: bytes
    identifier: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Transformation(Printable):
    """Lots into lots."""

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


@dataclass(frozen=True, slots=True)
class Anchor(Printable):
    """Size and root of a stream, fixed on chain."""

    sequence: int
    size: int
    root: bytes
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Stream(Printable):
    """A machine's log of evidence."""

    subject: bytes
    identifier: str | None
    machine: Machine
    size: int
    root: bytes
    opened_at: datetime | None
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class HistoryRecord(Printable):
    """One record of a history, with where it stands on chain."""

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
    fields: Event
    """The event's own fields."""


@dataclass(frozen=True, slots=True)
class Trace(Printable):
    """Where a lot comes from, who made and inspected it, who has it, what became of it."""

    as_of: AsOf
    lot: Lot
    head: bytes
    order: Order | None
    assignments: tuple[Assignment, ...]
    """All of the order."""
    certificates: tuple[Certificate, ...]
    custody: tuple[CustodyChange, ...]
    packed_in: tuple[RelatedLot, ...]
    """Parent, its parent, and so on."""
    contents: tuple[RelatedLot, ...]
    upstream: tuple[RelatedLot, ...]
    """What went into it, and into what is packed in it now."""
    downstream: tuple[RelatedLot, ...]
    transformations: tuple[Transformation, ...]
    """Those that made the lots of this answer: what links them."""
    truncated: bool
    """Whether a list of lots goes on beyond what was asked for."""
    cuts: tuple[Cut, ...]
    """Which lists do."""
    streams: tuple[Stream, ...]
    """Of the assignments and certificates."""
    records: tuple[HistoryRecord, ...]
    """The lot's own history."""


@dataclass(frozen=True, slots=True)
class OrderTrace(Printable):
    """How far an order is, who works on it, and its lots."""

    as_of: AsOf
    order: Order
    head: bytes
    assignments: tuple[Assignment, ...]
    lots: tuple[RelatedLot, ...]
    certificates: tuple[Certificate, ...]
    """Of its lots."""
    upstream: tuple[RelatedLot, ...]
    """What went into its lots."""
    downstream: tuple[RelatedLot, ...]
    transformations: tuple[Transformation, ...]
    """Those that made the lots of this answer."""
    truncated: bool
    """Whether a list of lots goes on beyond what was asked for."""
    cuts: tuple[Cut, ...]
    """Which lists do."""
    streams: tuple[Stream, ...]
    records: tuple[HistoryRecord, ...]
