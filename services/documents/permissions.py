"""Who may see a document, by its mode.

    private      the company that stores it
    restricted   participants with a grant
    linked       participants that hold, held or made a lot that the document's lot came from or that was made from it;
                 sibling lots do not count (millmark.ledger.provenance.permissions)
    consortium   every participant

For anybody else the document does not exist. An erased document is visible only to the company.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.reader import Reader, find_subject
from millmark.services.documents.repository import DocumentRepository, StoredDocumentRow


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
    the whole genealogy of every document's lot. For `about`, raises as `find_subject` does.
    """
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
