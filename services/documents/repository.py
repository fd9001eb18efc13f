"""Documents, grants and recipient keys: their tables, and all access to them.

Times are seconds since 1970; 0 means "never".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from millmark.ledger.claims import Path, parse_claims
from millmark.ledger.store import Book, Rows, schema_of
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.idempotency.repository import AnswerRepository


@dataclass(slots=True)
class StoredDocumentRow:
    """A document without its versions."""

    id: str
    """32 random hexadecimal digits."""
    mode: str
    """Who may read it: millmark.services.documents.views.Mode."""
    kind: int
    """SubjectKind of the thing that the document is about; 0 for none."""
    subject: bytes
    """The lot or order that it is about; empty for none."""
    added_at: int
    erased_at: int


@dataclass(slots=True)
class DocumentVersionRow:
    """One version, encrypted under its own data key. After erasure only document, version and root remain."""

    document: str
    version: int
    """From 1."""
    root: bytes
    """Claims root over name, media type, size and SHA-256. The salts are in the book's claims document of that root."""
    name: str
    media_type: str
    size: int
    """Bytes before encryption."""
    nonce: bytes
    wrapping: str
    """Name of the key in the key file that wraps the data key."""
    wrapped_key: bytes
    added_at: int
    token: str
    """Idempotency token of the request that added it; empty for none."""


@dataclass(slots=True)
class DocumentPieceRow:
    """A piece of a version's ciphertext."""

    document: str
    version: int
    position: int
    """From 0."""
    content: bytes


@dataclass(slots=True)
class GrantRow:
    """A participant that may read a restricted document."""

    document: str
    participant: int
    granted_at: int


@dataclass(slots=True)
class RecipientKeyRow:
    """The key for which documents are wrapped, as signed by its participant."""

    participant: int
    public_key: bytes
    """X25519, 32 bytes."""
    issued_at: int
    signature: bytes


_SCHEMA = schema_of("millmark.services")
stored_documents = _SCHEMA.table("stored_documents", StoredDocumentRow, "id", "subject")
document_versions = _SCHEMA.table("document_versions", DocumentVersionRow, "document version", "token")
document_pieces = _SCHEMA.table("document_pieces", DocumentPieceRow, "document version position")
grants = _SCHEMA.table("grants", GrantRow, "document participant", "participant")
recipient_keys = _SCHEMA.table("recipient_keys", RecipientKeyRow, "participant")


class DocumentRepository:
    """Reads and writes documents in the caller's transaction. Does not check who may read a document; see
    millmark.services.documents.views."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def document(self, id_: str) -> StoredDocumentRow | None:
        return self._rows.get(StoredDocumentRow, id_)

    def put_document(self, row: StoredDocumentRow) -> None:
        self._rows.put(row)

    def page(self, after: str, most: int, subject: bytes | None) -> list[StoredDocumentRow]:
        """Documents after an id, ordered by id; with a `subject`, only those about it."""
        query = select(stored_documents).where(stored_documents.c.id > after)
        if subject is not None:
            query = query.where(stored_documents.c.subject == subject)
        query = query.order_by(stored_documents.c.id).limit(most)
        return [StoredDocumentRow(*row) for row in self._connection.execute(query)]

    def page_for(self, participant: int, after: str, most: int) -> list[StoredDocumentRow]:
        """Like `page`, but only documents with a grant for the participant or in mode `consortium`."""
        table = stored_documents.c
        query = select(stored_documents).where(table.id > after, table.erased_at == 0, _is_named(participant))
        return [StoredDocumentRow(*row) for row in self._connection.execute(query.order_by(table.id).limit(most))]

    def everything(self, participant: int | None, most: int) -> list[StoredDocumentRow]:
        """The latest documents, oldest first; for a participant, only those that `page_for` lists."""
        table = stored_documents.c
        query = select(stored_documents)
        if participant is not None:
            query = query.where(table.erased_at == 0, _is_named(participant))
        rows = self._connection.execute(query.order_by(table.added_at.desc(), table.id.desc()).limit(most))
        return [StoredDocumentRow(*row) for row in rows][::-1]

    def versions(self, ids: Iterable[str]) -> list[DocumentVersionRow]:
        """Versions of these documents, ordered by document and number."""
        return self._rows.among(DocumentVersionRow, "document", ids)

    def version(self, id_: str, version: int) -> DocumentVersionRow | None:
        return self._rows.get(DocumentVersionRow, id_, version)

    def added_by(self, token: str) -> DocumentVersionRow | None:
        """The version that an earlier request with the same token added, if any."""
        # Additions without an idempotency key store an empty token, which identifies none of them.
        found = self._rows.find(DocumentVersionRow, token=token) if token else []
        return found[0] if found else None

    def all_versions(self) -> list[DocumentVersionRow]:
        """All versions that are not erased."""
        # An erased version has no data key left to wrap.
        return [row for row in self._rows.scan(DocumentVersionRow) if row.wrapped_key]

    def add_version(self, row: DocumentVersionRow, claims: str, pieces: Iterable[bytes]) -> None:
        """Adds a version with the claims behind its root, and its ciphertext in pieces."""
        self._rows.insert([row])
        Book(self._connection).put_document(row.root, claims)
        for position, content in enumerate(pieces):
            self._rows.insert([DocumentPieceRow(row.document, row.version, position, content)])

    def rewrap(self, rows: Sequence[DocumentVersionRow]) -> None:
        """Replaces versions whose data keys were wrapped under another key."""
        self._rows.update(rows)

    def piece(self, id_: str, version: int, position: int) -> bytes | None:
        row = self._rows.get(DocumentPieceRow, id_, version, position)
        return None if row is None else row.content

    def grants(self, id_: str) -> list[GrantRow]:
        return self._rows.find(GrantRow, document=id_)

    def grant(self, row: GrantRow) -> None:
        self._rows.put(row)

    def revoke(self, id_: str, participant: int | None = None) -> int:
        """Ends the participant's grant, or all grants of the document if None. Returns the number of grants ended."""
        statement = delete(grants).where(grants.c.document == id_)
        if participant is not None:
            statement = statement.where(grants.c.participant == participant)
        return self._connection.execute(statement).rowcount

    def erase(self, id_: str, now_s: int) -> None:
        """Deletes ciphertext, wrapped keys, names, values and salts of the claims, and stored responses that mention
        the document. Ids, version numbers and roots remain."""
        for row in self.versions([id_]):
            self.erase_fields(row.root, [()])
        AnswerRepository(self._connection).forget_answered()  # also of versions whose claims were erased before
        self._connection.execute(delete(document_pieces).where(document_pieces.c.document == id_))
        # The rows stay: their roots are in records on the ledger, and their numbers must not be used again.
        gone = {"name": "", "media_type": "", "size": 0, "nonce": b"", "wrapping": "", "wrapped_key": b""}
        self._connection.execute(update(document_versions).where(document_versions.c.document == id_).values(**gone))
        self._connection.execute(update(stored_documents).where(stored_documents.c.id == id_).values(erased_at=now_s))
        self.revoke(id_)

    def erase_fields(self, root: bytes, paths: Iterable[Path]) -> bool:
        """Deletes the values and salts of some fields of a claims document. Their leaf hashes remain, so the root and
        the proofs of other fields stay valid. Returns False if there is no such document. Raises ClaimsError for a path
        without fields."""
        book = Book(self._connection)
        document = book.document(root)
        if document is None:
            return False
        book.put_document(root, json.dumps(parse_claims(json.loads(document)).erase(paths).to_json()))
        # Stored responses contain names and sizes of documents, and with them stands what the salts were made of.
        AnswerRepository(self._connection).forget_answered()
        return True

    def recipient_key(self, participant: int) -> RecipientKeyRow | None:
        """The latest key that the participant stated: at this gateway, or to the operator for the directory."""
        stated = self._rows.get(RecipientKeyRow, participant)
        entry = DirectoryRepository(self._connection).entry(participant)
        listed = None if entry is None else entry.recipient_key
        if listed is None or (stated is not None and stated.issued_at >= listed.issued_at):
            return stated
        return RecipientKeyRow(participant, listed.public_key, listed.issued_at, listed.signature)

    def put_recipient_key(self, row: RecipientKeyRow) -> None:
        self._rows.put(row)


def _is_named(participant: int) -> ColumnElement[bool]:
    """Whether a document is for every participant, or for this one by a grant."""
    table = stored_documents.c
    named = select(grants.c.document).where(grants.c.participant == participant)
    return or_(table.mode == "consortium", (table.mode == "restricted") & table.id.in_(named))
