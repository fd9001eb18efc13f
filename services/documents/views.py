"""Responses of the API about documents, and how they are built from rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.answers import Party, Printable, moment
from millmark.ledger.provenance.reader import Reader
from millmark.services.documents.permissions import Mode
from millmark.services.documents.repository import DocumentRepository, DocumentVersionRow, StoredDocumentRow


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


def show_documents(
    reader: Reader, documents: DocumentRepository, rows: list[StoredDocumentRow]
) -> tuple[Document, ...]:
    """The views of documents that the viewer may read, without the details that it may not see."""
    reader.name(row.subject for row in rows if row.subject)
    versions = documents.versions(row.id for row in rows)
    return tuple(_document(reader, documents, row, [one for one in versions if one.document == row.id]) for row in rows)


def show_document(reader: Reader, documents: DocumentRepository, row: StoredDocumentRow) -> Document:
    return show_documents(reader, documents, [row])[0]


def _document(
    reader: Reader, documents: DocumentRepository, row: StoredDocumentRow, versions: list[DocumentVersionRow]
) -> Document:
    return Document(
        document=row.id,
        mode=Mode(row.mode),
        about=_about(reader, row),
        versions=tuple(_version(one) for one in versions),
        grants=_grants(reader, documents, row),
        added_at=moment(row.added_at),
        erased_at=moment(row.erased_at),
    )


def _about(reader: Reader, row: StoredDocumentRow) -> About | None:
    kind = SubjectKind(row.kind) if row.kind else None
    if kind is None or not (reader.visibility is None or reader.visibility.has(kind, row.subject)):
        return None
    return About(kind, row.subject, reader.identifier(row.subject))


def _grants(reader: Reader, documents: DocumentRepository, row: StoredDocumentRow) -> tuple[Grant, ...] | None:
    if reader.visibility is not None:
        return None
    return tuple(Grant(reader.party(one.participant), moment(one.granted_at)) for one in documents.grants(row.id))


def _version(row: DocumentVersionRow) -> DocumentVersion:
    left = bool(row.wrapped_key)
    return DocumentVersion(
        version=row.version,
        name=row.name if left else None,
        media_type=row.media_type if left else None,
        size=row.size if left else None,
        root=row.root,
        added_at=moment(row.added_at),
    )
