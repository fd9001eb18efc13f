"""The content of a bundle. Every list is in the order required by BUNDLE.md, without duplicates."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import Json
from millmark.ledger.claims import Disclosure
from millmark.ledger.evidence import LeafKind
from millmark.ledger.ids import SubjectKind
from millmark.ledger.names import MAX_NAME_KEYS, salt_of
from millmark.ledger.seals import SealedHeader, Seals

MEDIA_TYPE = "application/vnd.millmark.bundle+json"
BUNDLE_VERSION = 1
MAX_BUNDLE_BYTES = 32 << 20
MAX_HEADERS = 257
"""Maximum number of headers: the proof block's, and those of up to 256 later blocks that link it to the checkpoint."""
MAX_HEADER_BYTES = 16_384
MAX_SIGNATURES = 100
MAX_NODES = 1 << 17
MAX_NODE_BYTES = 532
MAX_SUBJECTS = 1 << 15
"""Maximum number of histories, and of entries in each of the lists of identities, keys, machines and so on."""
MAX_RECORDS = 1 << 17
MAX_LINKS = 1 << 17
"""Maximum number of records in one history."""
MAX_ALL_LINKS = 1 << 19
"""Maximum number of records in all histories together; a record may be in several."""
MAX_DATA_BYTES = 20_480
"""Longest event data of a record; those of a transformation of 64 lots into 64 have 19,072 bytes."""
MAX_NAME_PROOFS = MAX_NAME_KEYS
MAX_SHOWN = 1 << 14
"""Maximum number of entries in each of the lists of claims, evidence and inferences."""
MAX_SHOWN_BYTES = 4 << 20
"""Longest JSON text of a disclosed document or evidence entry."""
MAX_SHOWN_DEPTH = 40
MAX_SHOWN_VALUES = 1 << 18
"""Most commas and opening brackets in all disclosed JSON of a bundle together: about as many values."""
MAX_PROOF_HASHES = 64
MAX_WINDOW_BYTES = 32_768
MAX_LOGITS = 32


@dataclass(frozen=True, slots=True)
class RecordShown:
    """A record in full: everything that the heads of its histories commit to."""

    kind: str
    """Name of the event."""
    sequence: int
    participant: int
    block_time: int
    """Seconds since 1970."""
    data: bytes
    """The event's data as logged: key, histories and the fields of the kind."""


@dataclass(frozen=True, slots=True)
class WithheldRecord:
    """A record that is withheld except for its kind and inner hash, which suffice to recompute the head."""

    kind: str
    """Name of the event."""
    inner: bytes
    """Inner hash (`millmark.ledger.slots.inner_of`), 32 bytes."""


@dataclass(frozen=True, slots=True)
class HistoryShown:
    """All records of one order or lot, oldest first."""

    subject: bytes
    """32 bytes."""
    records: tuple[int | WithheldRecord, ...]
    """Sequences of records in `Bundle.records`, and withheld records."""


@dataclass(frozen=True, slots=True, order=True)
class IdentityShown:
    """The identifier of a subject, with the creator and the proofs from which the subject was computed."""

    kind: SubjectKind
    creator: int
    identifier: str
    proofs: tuple[bytes, ...]
    """Name key and proof, 114 bytes each, for every name key of the creator up to the one that makes the salt."""

    @property
    def salt(self) -> bytes:
        """What the last proof makes, 32 bytes. Not established: that the proof is valid."""
        return salt_of(self.proofs)


@dataclass(frozen=True, slots=True)
class ShownClaims:
    """Disclosed fields of the claims document behind a record."""

    record: int
    """The record's sequence."""
    root: int
    """Index among the record's claims roots, in the order of its data; above 0 only for outputs of transformations."""
    disclosure: Disclosure


@dataclass(frozen=True, slots=True)
class EvidenceEntryShown:
    """An evidence entry and its salt: what its leaf commits to."""

    kind: LeafKind
    salt: bytes
    """32 bytes."""
    entry: Json


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """A proof that the stream contains the leaf named by a certificate or a finished assignment."""

    record: int
    """Sequence of the CertificateIssued or AssignmentFinished."""
    inclusion: tuple[bytes, ...]
    """Inclusion proof (RFC 9162 section 2.1.3) under the certificate's anchor, or the latest for an assignment."""
    consistency: tuple[bytes, ...]
    """Consistency proof (section 2.1.4) from the certificate's anchor to the latest; empty for an assignment."""
    shown: EvidenceEntryShown | None
    """None if the entry itself is withheld."""


@dataclass(frozen=True, slots=True)
class InferenceShown:
    """The preimage of a certificate's inference digest, except for what the ledger records."""

    record: int
    """Sequence of the CertificateIssued."""
    salt: bytes
    """32 bytes."""
    window: bytes
    """The measured integers, 8 bytes each (quality/FORMAT.md)."""
    logits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SealsShown:
    """How the last of a bundle's headers was sealed. Each node may hold other seals of the same block."""

    seals: Seals
    changes: tuple[SealedHeader, ...] = ()
    """Set changes that lead to the validators that the header lists, oldest first."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A provenance file. Not established: that any of its content is true."""

    chain_id: int
    registry: bytes
    """Address, 20 bytes."""
    ledger: bytes
    """Address, 20 bytes."""
    ledger_id: bytes
    """`ledgerId` of the contract, 32 bytes: heads start from it."""
    contracts: tuple[bytes, ...]
    """Addresses whose accounts are proved, ascending: those of all contracts in the trust file."""
    headers: tuple[bytes, ...]
    """RLP of consecutive block headers: the first is the proof block's, the last the checkpoint's."""
    signatures: tuple[bytes, ...]
    """Co-signers' signatures on the checkpoint, 65 bytes each, ascending by the signers' addresses; none if the
    receiver's trust file names the block itself."""
    nodes: tuple[bytes, ...]
    """RLP nodes of state and storage tries, shared by all proofs, ascending."""
    parts: tuple[bytes, ...]
    """Subjects of the lots that the bundle is about, ascending."""
    histories: tuple[HistoryShown, ...]
    """Ascending by subject."""
    records: tuple[RecordShown, ...]
    """Ascending by sequence."""
    participants: tuple[int, ...] = ()
    """Participants whose entry in the Registry is proved, ascending."""
    keys: tuple[bytes, ...] = ()
    """Addresses whose entry in the Registry is proved, ascending."""
    machines: tuple[int, ...] = ()
    """Machines whose entry in the Registry is proved, ascending."""
    models: tuple[int, ...] = ()
    """Models whose entry in the Registry is proved, ascending."""
    streams: tuple[bytes, ...] = ()
    """Streams whose entry in the ledger is proved, ascending."""
    identities: tuple[IdentityShown, ...] = ()
    """Ascending by kind, creator and identifier."""
    claims: tuple[ShownClaims, ...] = ()
    """Ascending by record and root."""
    evidence: tuple[ShownEvidence, ...] = ()
    """Ascending by record."""
    inferences: tuple[InferenceShown, ...] = ()
    """Ascending by record."""
    seals: SealsShown | None = None
    """The seals of the last header; None if the chain has no seals. No digest of a bundle covers them."""
