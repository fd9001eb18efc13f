"""Documents that are shared, who may read them, and the keys that they are wrapped for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, or_, select, update

from ledger.claims import Path, parse_claims
from ledger.store.answers import AnswerRepository
from ledger.store.book import Book
from ledger.store.repository import Rows
from ledger.store.rows import ChainIdentityRow
from ledger.store.sharing_rows import GrantRow, RecipientKeyRow, SharedDocumentRow, SharedPieceRow, SharedVersionRow
from ledger.store.tables import grants, shared_documents, shared_pieces, shared_versions

__all__ = ["DocumentRepository"]


class DocumentRepository:
    """Reads and writes within one transaction. Whether somebody may read is not asked here: see
    ledger.provenance.document_access."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def identity(self) -> ChainIdentityRow | None:
        """The chain and ledger that the index follows; None when none was ever followed."""
        return self._rows.get(ChainIdentityRow, 1)

    def document(self, id_: str) -> SharedDocumentRow | None:
        return self._rows.get(SharedDocumentRow, id_)

    def put_document(self, row: SharedDocumentRow) -> None:
        self._rows.put(row)

    def page(self, after: str, most: int, subject: bytes | None) -> list[SharedDocumentRow]:
        """By id, those after one; about one thing where `subject` says so."""
        query = select(shared_documents).where(shared_documents.c.id > after)
        if subject is not None:
            query = query.where(shared_documents.c.subject == subject)
        query = query.order_by(shared_documents.c.id).limit(most)
        return [SharedDocumentRow(*row) for row in self._connection.execute(query)]

    def page_for(self, participant: int, after: str, most: int) -> list[SharedDocumentRow]:
        """As `page`, out of those that name the participant or are for all."""
        named = select(grants.c.document).where(grants.c.participant == participant)
        table = shared_documents.c
        query = select(shared_documents).where(
            table.id > after,
            table.erased_at == 0,
            or_(table.mode == "consortium", (table.mode == "restricted") & table.id.in_(named)),
        )
        return [SharedDocumentRow(*row) for row in self._connection.execute(query.order_by(table.id).limit(most))]

    def versions(self, ids: Iterable[str]) -> list[SharedVersionRow]:
        """Of the given documents, by document and number."""
        return self._rows.among(SharedVersionRow, "document", ids)

    def version(self, id_: str, version: int) -> SharedVersionRow | None:
        return self._rows.get(SharedVersionRow, id_, version)

    def added_by(self, token: str) -> SharedVersionRow | None:
        """What the request of that token added before."""
        found = self._rows.find(SharedVersionRow, token=token) if token else []
        return found[0] if found else None

    def all_versions(self) -> list[SharedVersionRow]:
        """Those that are not erased."""
        return [row for row in self._rows.scan(SharedVersionRow) if row.wrapped_key]

    def add_version(self, row: SharedVersionRow, claims: str, pieces: Iterable[bytes]) -> None:
        """With the claims behind its root, and its ciphertext in stretches."""
        self._rows.insert([row])
        Book(self._connection).put_document(row.root, claims)
        for position, content in enumerate(pieces):
            self._rows.insert([SharedPieceRow(row.document, row.version, position, content)])

    def rewrap(self, rows: Sequence[SharedVersionRow]) -> None:
        """Versions whose data key is wrapped under another key now."""
        self._rows.update(rows)

    def piece(self, id_: str, version: int, position: int) -> bytes | None:
        row = self._rows.get(SharedPieceRow, id_, version, position)
        return None if row is None else row.content

    def grants(self, id_: str) -> list[GrantRow]:
        return self._rows.find(GrantRow, document=id_)

    def grant(self, row: GrantRow) -> None:
        self._rows.put(row)

    def revoke(self, id_: str, participant: int | None = None) -> int:
        """Ends the participant's grant, or all of a document; how many there were."""
        statement = delete(grants).where(grants.c.document == id_)
        if participant is not None:
            statement = statement.where(grants.c.participant == participant)
        return self._connection.execute(statement).rowcount

    def erase(self, id_: str, now_s: int) -> None:
        """Drops ciphertext, wrapped keys, names, values and salts of the claims, and what was answered about it; places
        and roots stay."""
        for row in self.versions([id_]):
            self.erase_fields(row.root, [()])
        AnswerRepository(self._connection).forget_saying(id_.encode())
        self._connection.execute(delete(shared_pieces).where(shared_pieces.c.document == id_))
        gone = {"name": "", "media_type": "", "size": 0, "nonce": b"", "wrapping": "", "wrapped_key": b""}
        self._connection.execute(update(shared_versions).where(shared_versions.c.document == id_).values(**gone))
        self._connection.execute(update(shared_documents).where(shared_documents.c.id == id_).values(erased_at=now_s))
        self.revoke(id_)

    def erase_fields(self, root: bytes, paths: Iterable[Path]) -> bool:
        """Drops value and salt of fields of a claims document, and keeps their leaf hashes, so that the root and proofs
        of other fields stay. Whether there is such a document. Raises ClaimsError for a path without fields."""
        book = Book(self._connection)
        document = book.document(root)
        if document is None:
            return False
        book.put_document(root, json.dumps(parse_claims(json.loads(document)).erase(paths).to_json()))
        return True

    def recipient_key(self, participant: int) -> RecipientKeyRow | None:
        return self._rows.get(RecipientKeyRow, participant)

    def put_recipient_key(self, row: RecipientKeyRow) -> None:
        self._rows.put(row)
