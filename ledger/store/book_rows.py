"""One class per table of the private book: data that are not on the chain.

Numbers, times and bytes are as in millmark.ledger.store.rows.
"""

from __future__ import annotations

from dataclasses import dataclass

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
