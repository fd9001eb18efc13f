"""What the API says of documents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.ids import SubjectKind
from ledger.provenance.answers import Party
from ledger.provenance.jsonform import Printable
from services.documents.permissions import Mode

__all__ = ["About", "Document", "DocumentPage", "DocumentVersion", "Grant", "RecipientKey"]


@dataclass(frozen=True, slots=True)
class About(Printable):
    """The lot or the order that a document is about."""

    kind: SubjectKind
    subject: bytes
    identifier: str | None
    """Null where it is not known."""


@dataclass(frozen=True, slots=True)
class DocumentVersion(Printable):
    """One version of a document. Of an erased one, only number and root are left."""

    version: int
    """From 1."""
    name: str | None
    media_type: str | None
    size: int | None
    """Bytes of the document as it was added."""
    root: bytes
    """Claims root over name, media type, size and SHA-256: what a record can carry to commit to it."""
    added_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant(Printable):
    """A participant that may read a restricted document."""

    participant: Party
    granted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Document(Printable):
    """A document and its versions."""

    document: str
    """Its id."""
    mode: Mode
    """Who may read it: `private`, `restricted` to those named, `linked` to its lot, or the whole `consortium`."""
    about: About | None
    """Null when it stands alone, or is about something that there is not for the caller."""
    versions: tuple[DocumentVersion, ...]
    """The oldest first."""
    grants: tuple[Grant, ...] | None
    """Whom a restricted document names; null for all but the company that shares it."""
    added_at: datetime | None
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents by id."""

    documents: tuple[Document, ...]
    next: str | None
    """After which the next page begins, when there are more."""


@dataclass(frozen=True, slots=True)
class RecipientKey(Printable):
    """The key that documents are wrapped for, as its participant signed it (EIP-712, DOCUMENTS.md)."""

    participant: int
    public_key: bytes
    """X25519."""
    issued_at: int
    """Seconds since 1970, as it was signed."""
    signature: bytes
    """r, s, v."""
    signer: bytes
    """Address of the key that signed."""
