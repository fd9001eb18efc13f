"""Who may see a document, by its mode.

    private      the company that keeps it
    restricted   the participants that it names
    linked       participants that hold, held or made a lot in line with the document's: one that its lot came from, or
                 that was made from it, not one beside it (ledger.provenance.permissions)
    consortium   every participant

For anybody else the document does not exist. An erased document exists for the company alone.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from ledger.errors import NotFoundError
from ledger.ids import SubjectKind
from ledger.provenance.reader import Reader
from ledger.provenance.resolve import find_subject
from services.documents.repository import DocumentRepository
from services.documents.tables import SharedDocumentRow

__all__ = ["Mode", "find_document", "list_documents"]


class Mode(enum.Enum):
    """Who may read a document."""

    PRIVATE = "private"
    """The company that keeps it."""
    RESTRICTED = "restricted"
    """Participants that it names."""
    LINKED = "linked"
    """Whoever has or had a part in what its lot came of, or in what was made of it."""
    CONSORTIUM = "consortium"
    """Every participant."""


def find_document(reader: Reader, documents: DocumentRepository, id_: str) -> SharedDocumentRow:
    """Raises NotFoundError, with the same words, for one that is not there and for one that is not for the viewer."""
    row = documents.document(id_)
    if row is None or not _is_there(reader, documents, row):
        raise NotFoundError(f"there is no document {id_}", hint="check its id, or ask who shares it")
    return row


def list_documents(
    reader: Reader, documents: DocumentRepository, *, about: str | None, after: str, most: int
) -> list[SharedDocumentRow]:
    """By id, at most `most` behind `after`. Without `about`, a lot or an order, documents are left out that are there
    for the participant only because their lot is linked: they are found by the lot.

    Raises as `find_subject` for `about`.
    """
    if about is not None:
        _, subject = find_subject(reader, about, SubjectKind.LOT, SubjectKind.ORDER)
        return _page_about(reader, documents, subject, after, most)
    if reader.visibility is None:
        return documents.page(after, most, None)
    return documents.page_for(reader.visibility.participant, after, most)


def _page_about(
    reader: Reader, documents: DocumentRepository, subject: bytes, after: str, most: int
) -> list[SharedDocumentRow]:
    """Goes on until the page is full, so that its end says nothing of documents in between."""
    found: list[SharedDocumentRow] = []
    while len(found) < most:
        rows: Sequence[SharedDocumentRow] = documents.page(after, most, subject)
        found += [row for row in rows if _is_there(reader, documents, row)]
        if len(rows) < most:
            break
        after = rows[-1].id
    return found[:most]


def _is_there(reader: Reader, documents: DocumentRepository, row: SharedDocumentRow) -> bool:
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
