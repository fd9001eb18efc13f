"""Who may see a document, and what the API says of it: its views, built from rows."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.answers import Party, Printable, moment
from millmark.ledger.provenance.reader import Reader, find_subject
from millmark.services.documents.repository import DocumentRepository, DocumentVersionRow, StoredDocumentRow

# Who may see a document, by its mode.
#
#     private      the company that stores it
#     restricted   participants with a grant
#     linked       participants that hold, held or made a lot that the document's lot came from or that was made from
#                  it; sibling lots do not count (millmark.ledger.provenance.permissions)
#     consortium   every participant
#
# For anybody else the document does not exist. An erased document is visible only to the company.


class Mode(enum.Enum):
    """Who may read a document."""

    PRIVATE = "private"
    """The company that stores it."""
    RESTRICTED = "restricted"
    """Participants with a grant."""
    LINKED = "linked"
    """Participants that hold, held or made a lot upstream or downstream of the document's lot."""
    CONSORTIUM = "consortium"
    """Every participant."""


def find_document(reader: Reader, documents: DocumentRepository, id_: str) -> StoredDocumentRow:
    """The row of a document. Raises the same NotFoundError for a document that does not exist and for one that the
    viewer may not see."""
    row = documents.document(id_)
    if row is None or not _is_visible(reader, documents, row):
        raise NotFoundError(f"document {id_} not found", hint="check the id, or ask the company that shares it")
    return row


def list_documents(
    reader: Reader, documents: DocumentRepository, *, about: str | None, after: str, most: int
) -> list[StoredDocumentRow]:
    """At most `most` documents after the id `after`, ordered by id. `about` limits them to those of a lot or an order.

    Without `about`, documents that the viewer sees only because of a linked lot are left out: finding them would need
    the whole genealogy of every document's lot. For `about`, raises as `find_subject` does."""
    if about is not None:
        _, subject = find_subject(reader, about, SubjectKind.LOT, SubjectKind.ORDER)
        return _page_about(reader, documents, subject, after, most)
    if reader.visibility is None:
        return documents.page(after, most, None)
    return documents.page_for(reader.visibility.participant, after, most)


def _page_about(
    reader: Reader, documents: DocumentRepository, subject: bytes, after: str, most: int
) -> list[StoredDocumentRow]:
    """Continues until the page is full: a short page would reveal that invisible documents were skipped."""
    found: list[StoredDocumentRow] = []
    while len(found) < most:
        rows: Sequence[StoredDocumentRow] = documents.page(after, most, subject)
        found += [row for row in rows if _is_visible(reader, documents, row)]
        if len(rows) < most:
            break
        after = rows[-1].id
    return found[:most]


def _is_visible(reader: Reader, documents: DocumentRepository, row: StoredDocumentRow) -> bool:
    visibility = reader.visibility
    if visibility is None:
        return True
    if row.erased_at:
        return False
    mode = Mode(row.mode)
    if mode is Mode.RESTRICTED:
        return any(grant.participant == visibility.participant for grant in documents.grants(row.id))
    if mode is Mode.LINKED:
        return visibility.is_linked(row.subject)
    return mode is Mode.CONSORTIUM


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
