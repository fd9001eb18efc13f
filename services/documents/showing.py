"""Builds the views of documents from their rows."""

from __future__ import annotations

from ledger.ids import SubjectKind
from ledger.provenance.jsonform import moment
from ledger.provenance.reader import Reader
from services.documents.permissions import Mode
from services.documents.repository import DocumentRepository
from services.documents.tables import SharedDocumentRow, SharedVersionRow
from services.documents.views import About, Document, DocumentVersion, Grant

__all__ = ["show_document", "show_documents"]


def show_documents(
    reader: Reader, documents: DocumentRepository, rows: list[SharedDocumentRow]
) -> tuple[Document, ...]:
    """The views of documents that the viewer may read, without the details that it may not see."""
    reader.name(row.subject for row in rows if row.subject)
    versions = documents.versions(row.id for row in rows)
    return tuple(_document(reader, documents, row, [one for one in versions if one.document == row.id]) for row in rows)


def show_document(reader: Reader, documents: DocumentRepository, row: SharedDocumentRow) -> Document:
    return show_documents(reader, documents, [row])[0]


def _document(
    reader: Reader, documents: DocumentRepository, row: SharedDocumentRow, versions: list[SharedVersionRow]
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


def _about(reader: Reader, row: SharedDocumentRow) -> About | None:
    kind = SubjectKind(row.kind) if row.kind else None
    if kind is None or not (reader.visibility is None or reader.visibility.has(kind, row.subject)):
        return None
    return About(kind, row.subject, reader.identifier(row.subject))


def _grants(reader: Reader, documents: DocumentRepository, row: SharedDocumentRow) -> tuple[Grant, ...] | None:
    if reader.visibility is not None:
        return None
    return tuple(Grant(reader.party(one.participant), moment(one.granted_at)) for one in documents.grants(row.id))


def _version(row: SharedVersionRow) -> DocumentVersion:
    left = bool(row.wrapped_key)
    return DocumentVersion(
        version=row.version,
        name=row.name if left else None,
        media_type=row.media_type if left else None,
        size=row.size if left else None,
        root=row.root,
        added_at=moment(row.added_at),
    )
