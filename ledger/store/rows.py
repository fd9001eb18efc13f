"""One class per table: a row as Python holds it.

Numbers are the contracts' own, so 0 says "none" and "never" here, too; subjects that are not there are None. Times are
block timestamps in seconds since 1970. Enumerations are kept as the contracts' numbers (ledger.records). A field that
ends in `_root` is a claims root.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import RecordError, StoreDamagedError
from ledger.events import Event, decode, find_event
from ledger.records import Contract

# What the index follows


@dataclass(slots=True)
class ChainIdentityRow:
    """Which ledger the database is about; one row, written once."""

    id: int
    chain_id: int
    genesis_hash: bytes
    registry: bytes
    ledger: bytes


@dataclass(slots=True)
class CursorRow:
    """The last block that is in the index; one row. Before the first block its number is -1."""

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
    contract: str
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
    """What history links carry of the record, 32 bytes; also of records that are in no history."""

    def event(self) -> Event:
        """What the record says, out of its data. Raises StoreDamagedError when they are not those of an event."""
        kind = find_event(Contract(self.contract), self.topic)
        try:
            if kind is not None:
                return decode(kind, self.data)[2]
        except RecordError:
            pass  # as for a topic that is no event's
        raise StoreDamagedError(
            f"record {self.sequence} of the {self.contract} cannot be read: its data are not those of a {self.kind}",
            hint="rebuild the index",
        )


@dataclass(slots=True)
class RecordHistoryRow:
    """One link: the record `sequence` of the ledger in the history of `subject`."""

    sequence: int
    position: int
    subject: bytes
    head: bytes
    """After this link."""


@dataclass(slots=True)
class HeadRow:
    subject: bytes
    head: bytes
    length: int
    """Number of links."""
    sequence: int
    """Of the latest record."""


@dataclass(slots=True)
class SupersessionRow:
    """Record `sequence` says that `superseded` is to be read with the document behind `reason_root`."""

    sequence: int
    superseded: int
    reason_root: bytes


# The registry


@dataclass(slots=True)
class ParticipantRow:
    number: int
    sequence: int
    roles: int
    keys: int
    suspended: bool
    admitted_at: int
    claims_root: bytes


@dataclass(slots=True)
class KeyRow:
    address: bytes
    participant: int
    added_at: int
    revoked_at: int
    compromised_since: int


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
    registered_at: int
    approved_at: int
    withdrawn_at: int
    defective_since: int
    digest: bytes
    code: bytes | None
    """Address of the contract that keeps its bytes as code; None when only the digest is on chain."""
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
    inspector: int
    model: int
    operations: int
    finished: int
    live: int
    state: int
    due_at: int
    placed_at: int
    claims_root: bytes


@dataclass(slots=True)
class OperationRow:
    """An operation that was assigned at least once."""

    order: bytes
    operation: int
    assignment: int
    """The current one."""
    finished_once: bool


@dataclass(slots=True)
class AssignmentRow:
    """Every assignment that ever was, the current ones among them."""

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
    """When it was declined, finished or cancelled."""
    stream: bytes | None
    leaf_index: int
    leaf_hash: bytes | None
    claims_root: bytes


# Lots


@dataclass(slots=True)
class LotRow:
    subject: bytes
    number: int
    """What the contract calls it: 64 times `sequence`, plus its place among the lots of the creating record."""
    sequence: int
    """Of the creating record."""
    order: bytes | None
    parent: bytes | None
    packed_by: int
    """Sequence of the record that packed it into `parent`."""
    contents: int
    """How many lots are packed directly in it."""
    quantity: int
    quantity_created: int
    unit: bytes
    custodian: int
    counterparty: int
    state: int
    certificate: int
    """The latest one."""
    assignment: int
    """Under which it was made; 0 when it was received, split or merged."""
    created_at: int
    claims_root: bytes


@dataclass(slots=True)
class TransformationRow:
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


@dataclass(slots=True)
class LotOutputRow:
    sequence: int
    lot: bytes
    quantity: int


@dataclass(slots=True)
class PackingRow:
    """From the record `packed_by` to the record `unpacked_by` (0: still), `child` went with `parent`."""

    packed_by: int
    child: bytes
    parent: bytes
    unpacked_by: int


@dataclass(slots=True)
class CustodyChangeRow:
    """What record `sequence` did to who holds `lot`, or is to hold it."""

    sequence: int
    lot: bytes
    kind: str
    """Of the record."""
    from_participant: int
    to_participant: int
    changed_at: int


# Certificates and evidence


@dataclass(slots=True)
class CertificateRow:
    sequence: int
    lot: bytes
    order: bytes | None
    issuer: int
    model: int
    verdict: int
    state: int
    issued_at: int
    expires_at: int
    opening_deadline: int
    """When it is unopened if it is still demanded; 0 when its opening was never demanded."""
    opened_at: int
    """When it was upheld or refuted."""
    executed: int
    """What executing the model gave then; 0 when it was not executed, or the input was invalid for it."""
    revoked_at: int
    inference_digest: bytes
    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    anchor_size: int
    anchor_root: bytes
    claims_root: bytes
    reason_root: bytes
    """Of the revocation; zero bytes for none."""


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


# The private book: what the chain does not say


@dataclass(slots=True)
class IdentityRow:
    """What a subject is called; `salt` hides it on chain."""

    subject: bytes
    kind: int
    """ledger.ids.SubjectKind."""
    creator: int
    identifier: str
    salt: bytes


@dataclass(slots=True)
class DocumentRow:
    """The document behind a claims root, with the salts that open it."""

    root: bytes
    document: str
    """JSON, as ledger.claims stores it."""


@dataclass(slots=True)
class ModelFileRow:
    """A quality model as a file, with its card."""

    digest: bytes
    content: bytes
    card: str
    """JSON as training wrote it; empty when it was not given."""


@dataclass(slots=True)
class FindingRow:
    """What became of a part in the field: whether it had the defect that its certificate speaks of."""

    certificate: int
    """Sequence of the issuing record."""
    defect: bool
    found_at: int


@dataclass(slots=True)
class BookRevisionRow:
    """How often what things are called was changed; one row."""

    id: int
    number: int


@dataclass(slots=True)
class ParticipantNameRow:
    number: int
    name: str


@dataclass(slots=True)
class EvidenceRow:
    """Entries of a stream's log, one after another, with the salts that open their leaves."""

    stream: bytes
    index: int
    """Of the first."""
    count: int
    salts: bytes
    """32 bytes each."""
    entries: str
    """Canonical JSON, which has no line breaks, one a line."""
    leaf_hashes: bytes
    """32 bytes each."""


@dataclass(slots=True)
class InferenceRow:
    """What a certificate's inference digest is made of, beside what the ledger says."""

    certificate: int
    """Sequence of the issuing record."""
    salt: bytes
    input: bytes
    """The quantised input, as the model's family writes it."""
    logits: str
    """JSON list of integers."""
