"""What a bundle holds. Every list is in the one order that BUNDLE.md gives it, without repetitions."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.canonical import Json
from ledger.claims import Disclosure
from ledger.ids import SubjectKind

MEDIA_TYPE = "application/vnd.millmark.bundle+json"
BUNDLE_VERSION = 1
MAX_BUNDLE_BYTES = 32 << 20
MAX_HEADERS = 257
"""The proof block, and what links it to a checkpoint 256 blocks later."""
MAX_HEADER_BYTES = 16_384
MAX_SIGNATURES = 100
MAX_NODES = 1 << 17
MAX_NODE_BYTES = 532
MAX_SUBJECTS = 1 << 15
"""Histories; also most entries of every other table of names."""
MAX_RECORDS = 1 << 17
MAX_LINKS = 1 << 17
"""Entries of one history."""
MAX_DATA_BYTES = 16_384
"""A record's event data: a transformation of 64 lots into 64 takes 14,880."""
MAX_SHOWN = 1 << 14
"""Identities, claims, evidence entries, inferences: of each so many."""
MAX_SHOWN_BYTES = 4 << 20
"""Text of one disclosed document or entry."""
MAX_SHOWN_DEPTH = 40
MAX_PROOF_HASHES = 64
MAX_INPUT_BYTES = 32_768
MAX_LOGITS = 32


@dataclass(frozen=True, slots=True)
class RecordShown:
    """A record in full: all that its link in the histories commits to."""

    kind: str
    """Name of the event."""
    sequence: int
    participant: int
    block_time: int
    """Seconds since 1970."""
    data: bytes
    """The event's data as logged: key, histories and what belongs to the kind."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record of which only the link is shown."""

    kind: str
    inner: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class HistoryShown:
    """All records of one order or lot, oldest first."""

    subject: bytes
    """32 bytes."""
    records: tuple[int | SealedRecord, ...]
    """Sequences of records of the bundle, and sealed ones."""


@dataclass(frozen=True, slots=True, order=True)
class IdentityShown:
    """What a subject is called, and the salt that its name on the ledger was made with."""

    kind: SubjectKind
    creator: int
    identifier: str
    salt: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class ShownClaims:
    """Fields of the document behind a record."""

    record: int
    """Its sequence."""
    root: int
    """Which of the record's roots, in the order of its data: 0 but for a transformation, whose outputs follow."""
    disclosure: Disclosure


@dataclass(frozen=True, slots=True)
class EvidenceEntryShown:
    """An entry of a stream, as its leaf commits to it."""

    salt: bytes
    """32 bytes."""
    entry: Json


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """Proof that the leaf that a certificate or a finished assignment names is in its stream."""

    record: int
    """Sequence of the CertificateIssued or AssignmentFinished."""
    inclusion: tuple[bytes, ...]
    """RFC 9162 section 2.1.3, under the certificate's anchor; of an assignment under the latest one."""
    consistency: tuple[bytes, ...]
    """RFC 9162 section 2.1.4, from the certificate's anchor to the latest; empty for an assignment."""
    shown: EvidenceEntryShown | None
    """None where the entry itself is withheld."""


@dataclass(frozen=True, slots=True)
class InferenceShown:
    """What a certificate's inference digest is made of, beside what the ledger says."""

    record: int
    """Sequence of the CertificateIssued."""
    salt: bytes
    """32 bytes."""
    input: bytes
    """The quantised input, as the model's family writes it."""
    logits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One provenance file. Not established: anything."""

    chain_id: int
    registry: bytes
    """Address, 20 bytes."""
    ledger: bytes
    """Address, 20 bytes."""
    contracts: tuple[bytes, ...]
    """Addresses whose accounts are proved, ascending: Registry, TraceLedger, and contracts that they run."""
    headers: tuple[bytes, ...]
    """RLP, block by block from the proof block on; the last one is the checkpoint."""
    signatures: tuple[bytes, ...]
    """Of the checkpoint's co-signers, 65 bytes each, ascending by the signers' addresses; none where the receiver's
    trust file names the block itself."""
    nodes: tuple[bytes, ...]
    """RLP nodes of state and storage tries that all proofs share, ascending."""
    parts: tuple[bytes, ...]
    """Lots that the bundle is about, ascending."""
    histories: tuple[HistoryShown, ...]
    """Ascending by subject."""
    records: tuple[RecordShown, ...]
    """Ascending by sequence."""
    participants: tuple[int, ...] = ()
    """Of which the Registry's entry is proved, ascending; so are the next three."""
    keys: tuple[bytes, ...] = ()
    """Addresses."""
    machines: tuple[int, ...] = ()
    models: tuple[int, ...] = ()
    streams: tuple[bytes, ...] = ()
    """Of which the ledger's entry is proved, ascending."""
    identities: tuple[IdentityShown, ...] = ()
    """Ascending by kind, creator, identifier."""
    claims: tuple[ShownClaims, ...] = ()
    """Ascending by record and root."""
    evidence: tuple[ShownEvidence, ...] = ()
    """Ascending by record."""
    inferences: tuple[InferenceShown, ...] = ()
    """Ascending by record."""
