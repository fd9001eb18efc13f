"""Responses of the API about documents."""

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
    """The lot or order that a document is about."""

    kind: SubjectKind
    subject: bytes
    identifier: str | None
    """Null if the gateway does not know it."""


@dataclass(frozen=True, slots=True)
class DocumentVersion(Printable):
    """One version of a document. After erasure, only number and root remain."""

    version: int
    """From 1."""
    name: str | None
    media_type: str | None
    size: int | None
    """Size in bytes before encryption."""
    root: bytes
    """Claims root over name, media type, size and SHA-256. A record can carry it to commit to the document."""
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
    """Id of the document."""
    mode: Mode
    """Who may read it: only the company (`private`), participants with a grant (`restricted`), participants linked to
    its lot (`linked`), or every participant (`consortium`)."""
    about: About | None
    """Null if it is about nothing, or about something that is not visible to the caller."""
    versions: tuple[DocumentVersion, ...]
    """Oldest first."""
    grants: tuple[Grant, ...] | None
    """Participants that may read a restricted document; null unless the caller is the company that shares it."""
    added_at: datetime | None
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of documents, ordered by id."""

    documents: tuple[Document, ...]
    next: str | None
    """Id after which the next page starts; None on the last one."""


@dataclass(frozen=True, slots=True)
class RecipientKey(Printable):
    """The key for which documents are wrapped, as signed by its participant (EIP-712, see DOCUMENTS.md)."""

    participant: int
    public_key: bytes
    """X25519."""
    issued_at: int
    """Seconds since 1970, as signed."""
    signature: bytes
    """65 bytes: r, s, v."""
    signer: bytes
    """Address of the key that signed."""
