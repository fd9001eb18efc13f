"""One class per table of the index and, at the end, of the private book.

Numbers are those of the contracts, so 0 means "none" or "never"; an absent subject is None. Times are block timestamps
in seconds since 1970. Enumerations (millmark.ledger.records) are kept as the contracts' numbers. A field that ends in
`_root` is a claims root. Subjects, roots and hashes have 32 bytes, addresses 20.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from millmark.ledger.errors import RecordError, StoreDamagedError
from millmark.ledger.events import Event, decode, find_event
from millmark.ledger.records import Contract, Gate

# The chain and its records


@dataclass(slots=True)
class ChainIdentityRow:
    """The ledger that the index follows; a single row, written once."""

    id: int
    chain_id: int
    genesis_hash: bytes
    registry: bytes
    ledger: bytes
    ledger_id: bytes


@dataclass(slots=True)
class CursorRow:
    """The last indexed block; a single row. Before the first block, its number is one less than the deployment's."""

    id: int
    block_number: int
    block_hash: bytes
    block_time: int
    registry_sequence: int
    ledger_sequence: int
    digest: bytes


@dataclass(slots=True)
class BlockRow:
    """A block with records."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int


@dataclass(slots=True)
class RecordRow:
    """A record of either contract, as the chain logged it."""

    contract: str
    """millmark.ledger.records.Contract."""
    sequence: int
    kind: str
    topic: bytes
    participant: int
    subject: bytes
    key: bytes
    block_number: int
    block_hash: bytes
    block_time: int
    transaction_hash: bytes
    log_index: int
    data: bytes
    inner: bytes
    """The record's inner hash (millmark.ledger.slots), which links contain; also kept for records that are in no
    history."""

    def event(self) -> Event:
        """The event, decoded from `data`. Raises StoreDamagedError if they are not those of a known event."""
        # By topic, not by name: only the topic is covered by heads and digest.
        kind = find_event(Contract(self.contract), self.topic)
        try:
            if kind is not None:
                return decode(kind, self.data)[2]
        except RecordError:
            pass  # raised below, as for an unknown topic
        raise StoreDamagedError(
            f"record {self.sequence} of the {self.contract} cannot be read: its data are not those of a {self.kind}",
            hint="rebuild the index",
        )


@dataclass(slots=True)
class RecordHistoryRow:
    """One link of a history: the ledger's record `sequence` in the history of `subject`."""

    sequence: int
    position: int
    subject: bytes
    head: bytes
    """The history's head after this link."""


@dataclass(slots=True)
class HeadRow:
    """The current head of an order's or lot's history."""

    subject: bytes
    head: bytes
    length: int
    """Number of links."""
    sequence: int
    """The latest record."""


@dataclass(slots=True)
class NoteRow:
    """A note; its record's histories are what it is about."""

    sequence: int
    note_kind: int
    """A `millmark.ledger.records.NoteKind`, or a number that the consortium agreed on."""
    participant: int
    """0 for the registry's owner."""
    about: int
    """The earlier record that it is about; 0 for none."""
    recorded_at: int
    claims_root: bytes


# The registry


@dataclass(slots=True)
class ParticipantRow:
    number: int
    sequence: int
    roles: int
    keys: int
    suspended: bool
    departed: bool
    inactive_since: int
    """When it was suspended or left; 0 while it may act."""
    trustee: int
    """The participant who may reclaim what it holds; 0 for nobody."""
    admitted_at: int
    claims_root: bytes


@dataclass(slots=True)
class KeyRow:
    address: bytes
    participant: int
    roles: int
    admin: bool
    added_at: int
    revoked_at: int
    compromised_since: int
    declared_at: int
    """When `compromised_since` was last declared."""


@dataclass(slots=True)
class RecoveryRow:
    """The latest recovery that was proposed for a participant."""

    participant: int
    key: bytes
    proposed_at: int
    effective_at: int
    objected: bool
    overruled: bool
    accepted_at: int


@dataclass(slots=True)
class NameKeyRow:
    participant: int
    index: int
    hash: bytes
    set_at: int


@dataclass(slots=True)
class PublicationRow:
    """The digest that was last published of a kind."""

    kind: int
    digest: bytes
    sequence: int
    published_at: int


@dataclass(slots=True)
class MachineRow:
    number: int
    subject: bytes
    owner: int
    registered_at: int
    retired_at: int
    claims_root: bytes


@dataclass(slots=True)
class ModelRow:
    number: int
    subject: bytes
    inspector: int
    approver: int
    state: int
    open: bool
    """Whether other inspectors may certify on it."""
    registered_at: int
    approved_at: int
    retired_at: int
    withdrawn_at: int
    defective_since: int
    digest: bytes
    code: bytes | None
    """Address of the contract that keeps the model's bytes as code; None if only the digest is on the chain."""
    card_root: bytes
    report_root: bytes
    reason_root: bytes


# Orders and assignments


@dataclass(slots=True)
class OrderRow:
    subject: bytes
    sequence: int
    buyer: int
    coordinator: int
    gates: str
    """`inspector:model` of each gate, ascending, separated by spaces; see `gates_of`."""
    operations: int
    finished: int
    live: int
    state: int
    due_at: int
    quantity: int
    unit: bytes
    placed_at: int
    claims_root: bytes


def write_gates(gates: tuple[Gate, ...]) -> str:
    """The value of `OrderRow.gates`."""
    return " ".join(f"{gate.inspector}:{gate.model}" for gate in gates)


def gates_of(row: OrderRow) -> tuple[Gate, ...]:
    return tuple(Gate(*map(int, one.split(":"))) for one in row.gates.split())


@dataclass(slots=True)
class OperationRow:
    """An operation that was assigned at least once."""

    order: bytes
    operation: int
    assignment: int
    """The current assignment."""
    finished_once: bool


@dataclass(slots=True)
class AssignmentRow:
    """An assignment of an operation, whether current or superseded by a later one."""

    sequence: int
    order: bytes
    operation: int
    machine: int
    owner: int
    state: int
    proposed_at: int
    accepted_at: int
    started_at: int
    ended_at: int
    """When it was declined, finished or cancelled; 0 until then."""
    stream: bytes | None
    """Measures the work; None until it is started."""
    stream_size: int
    """Entries of the stream that were anchored when the work began."""
    leaf_index: int
    leaf_hash: bytes | None
    """The entry that shows the work; None until it is finished."""
    claims_root: bytes


# Lots


@dataclass(slots=True)
class LotRow:
    subject: bytes
    number: int
    """The contract's number for it: 64 times `sequence`, plus its position among the lots of the creating record."""
    sequence: int
    """The record that created it."""
    order: bytes | None
    parent: bytes | None
    packed_by: int
    """The record that packed it into `parent`; 0 if it is not packed."""
    contents: int
    """Number of lots that are packed directly in it."""
    offer: int
    """The record that offered it last, which stands while its state says so; 0 if it was never offered."""
    quantity: int
    quantity_created: int
    unit: bytes
    custodian: int
    counterparty: int
    state: int
    reworked: int
    """The record of its latest rework that kept its identifier; 0 if there was none."""
    certificate: int
    """The latest certificate: of a gate's inspector if its order had a gate, otherwise of any."""
    assignment: int
    """The assignment under which it was made; 0 if it was received, split or merged. Not necessarily of `order`."""
    created_at: int
    claims_root: bytes


class StepKind(enum.IntEnum):
    """Those of transformations, by the same numbers, and rework."""

    SPLIT = 0
    MERGE = 1
    CONVERSION = 2
    REWORK = 3


@dataclass(slots=True)
class TransformationRow:
    """A transformation, or a rework: then the lot is its only output, and all inputs are components. `kind` is a
    StepKind."""

    sequence: int
    participant: int
    kind: int
    order: bytes | None
    operation: int
    unit: bytes
    output_unit: bytes
    loss: int
    yield_in: int
    yield_out: int
    transformed_at: int
    claims_root: bytes


@dataclass(slots=True)
class LotInputRow:
    sequence: int
    lot: bytes
    quantity: int
    component: bool
    """Whether it was used up; otherwise it was conserved."""


@dataclass(slots=True)
class LotOutputRow:
    sequence: int
    lot: bytes
    quantity: int


@dataclass(slots=True)
class PackingRow:
    """`child` was in `parent` from the record `packed_by` to the record `unpacked_by`, which is 0 if it still is."""

    packed_by: int
    child: bytes
    parent: bytes
    unpacked_by: int


@dataclass(slots=True)
class CustodyChangeRow:
    """An entry of a lot's custody timeline: record `sequence` changed who holds it, or to whom it is offered."""

    sequence: int
    lot: bytes
    kind: str
    """The record's kind."""
    from_participant: int
    to_participant: int
    changed_at: int


# Certificates and evidence


@dataclass(slots=True)
class CertificateRow:
    sequence: int
    lot: bytes
    """Its lot, or the first of several. All are in CertifiedLotRow."""
    order: bytes | None
    issuer: int
    model: int
    verdict: int
    state: int
    issued_at: int
    expires_at: int
    opening_deadline: int
    """From this time on it is unopened, if its opening is still demanded; 0 if that was never demanded."""
    opened_at: int
    """When it was upheld or refuted."""
    executed: int
    """The verdict of executing the model on the chain; 0 if it was not executed, or the input was invalid for it."""
    revoked_at: int
    inference_digest: bytes
    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    anchor_size: int
    anchor_root: bytes
    claims_root: bytes
    reason_root: bytes
    """Claims root of the reason for its revocation; zero bytes if it was not revoked."""


@dataclass(slots=True)
class CertifiedLotRow:
    """A lot that a certificate is about, from its issue on or since it was split off another one."""

    certificate: int
    lot: bytes


@dataclass(slots=True)
class StandingRow:
    """What the certificates of one inspector on a lot amount to (ICertificates.Standing)."""

    lot: bytes
    inspector: int
    latest: int
    quarantining: int
    """The certificate behind the inspector's latest quarantine of the lot; 0 if there is none."""
    open: int
    """Number of certificates that are demanded or refuted, and not upheld."""
    key: bytes


@dataclass(slots=True)
class WaiverRow:
    """A gate that the buyer of a lot's order waived for the lot (IGates). The latest of a lot and inspector counts."""

    sequence: int
    lot: bytes
    inspector: int
    buyer: int
    order: bytes
    certificate: int
    """The inspector's latest certificate on the lot by then; 0 if there was none."""
    waived_at: int
    reason_root: bytes


@dataclass(slots=True)
class StreamRow:
    subject: bytes
    sequence: int
    machine: int
    owner: int
    size: int
    root: bytes
    opened_at: int
    claims_root: bytes


@dataclass(slots=True)
class AnchorRow:
    sequence: int
    stream: bytes
    size: int
    root: bytes
    anchored_at: int


# The private book: data that are not on the chain

CHANGES, REBUILDS = 1, 2
"""Ids of BookRevisionRow."""


@dataclass(slots=True)
class IdentityRow:
    """A subject's identifier; `salt` hides it on the chain, `proofs` show that the salt was not chosen."""

    subject: bytes
    kind: int
    """millmark.ledger.ids.SubjectKind."""
    creator: int
    identifier: str
    salt: bytes
    proofs: bytes
    """One after another, as in `millmark.ledger.ids.Identity`."""


@dataclass(slots=True)
class DocumentRow:
    """The document behind a claims root, with its salts."""

    root: bytes
    document: str
    """JSON, as millmark.ledger.claims stores it."""


@dataclass(slots=True)
class ModelFileRow:
    """A quality model's bytes, with its card."""

    digest: bytes
    content: bytes
    card: str
    """JSON as training wrote it; empty if there is none."""


@dataclass(slots=True)
class FindingRow:
    """A finding from the field: whether a certified part had the defect for which it was inspected."""

    certificate: int
    """Sequence of the record that issued it."""
    defect: bool
    found_at: int


@dataclass(slots=True)
class BookRevisionRow:
    """A count of changes that no record shows, for who keeps what was read: changes of identifiers and participant
    names (CHANGES), and rebuilds of the index (REBUILDS)."""

    id: int
    number: int


@dataclass(slots=True)
class ParticipantNameRow:
    number: int
    name: str


@dataclass(slots=True)
class EvidenceRow:
    """Consecutive entries of a stream's log, with their salts.

    Retention drops salts and entries of a row together (millmark.ledger.provenance.retention); both are empty then.
    Leaf hashes and kinds stay, so that other entries can still be proved.
    """

    stream: bytes
    index: int
    """Index of the first entry."""
    count: int
    """Number of entries."""
    salts: bytes
    """32 bytes each."""
    entries: str
    """Canonical JSON, which has no line breaks, one entry per line."""
    leaf_hashes: bytes
    """32 bytes each."""
    kinds: bytes
    """One byte each: `millmark.ledger.evidence.LeafKind`."""
    file: str = ""
    """Name of the file with salts and entries, which are empty here then (millmark.ledger.store.evidence_files)."""

    @property
    def is_dropped(self) -> bool:
        return not self.salts and not self.file


@dataclass(slots=True)
class EvidenceFolderRow:
    """Which folder the files of EvidenceRow are in."""

    id: int
    """1: there is only one."""
    name: bytes
    """16 random bytes, which are in the folder, too."""


@dataclass(slots=True)
class OpenedEntryRow:
    """An entry of another company's stream, as that company showed it. Its log is not here."""

    stream: bytes
    index: int
    kind: int
    """millmark.ledger.evidence.LeafKind."""
    salt: bytes
    entry: str
    """Canonical JSON."""
    leaf_hash: bytes


@dataclass(slots=True)
class CertifiedEntryRow:
    """The entry of another company's log that a certificate names, with the proof that the log has it.

    Own logs are complete, and in EvidenceRow; of others, a company knows single entries only.
    """

    certificate: int
    """Sequence of the record that issued it. Stream, index, leaf hash and anchor are those that it names."""
    kind: int
    """millmark.ledger.evidence.LeafKind."""
    salt: bytes
    entry: str
    """Canonical JSON."""
    inclusion: bytes
    """Inclusion proof (RFC 9162 section 2.1.3) under the certificate's anchor; 32 bytes each."""


@dataclass(slots=True)
class InferenceRow:
    """The private inputs of a certificate's inference digest; the others are on the ledger."""

    certificate: int
    """Sequence of the record that issued it."""
    salt: bytes
    window: bytes
    """The measured integers, 8 bytes each."""
    logits: str
    """JSON list of integers."""
