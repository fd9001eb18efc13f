"""One company's documents: added, shared, fetched by recipients, erased.

A `viewer` is the participant for whom an answer is, None for the company itself. What is not there for the viewer is
not found, whatever is wanted with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

from ledger.claims import Path, parse_claims
from ledger.errors import InputError, NotFoundError, SettingsError, StoreDamagedError
from ledger.ids import SubjectKind
from ledger.provenance.reader import Reader, build_reader
from ledger.provenance.resolve import find_subject
from ledger.store import Book, Lineage, Registry, Rows, Store
from services.documents.drafts import Draft
from services.documents.encryption import TAG_BYTES, Place, Recipient, unwrap_key, wrap_for, wrap_key
from services.documents.errors import DocumentError
from services.documents.key_files import KeyRing
from services.documents.permissions import Mode, find_document, list_documents
from services.documents.recipients import need_recipient_key
from services.documents.repository import DocumentRepository
from services.documents.sealed_file import SealedHeader
from services.documents.showing import show_document, show_documents
from services.documents.tables import GrantRow, SharedDocumentRow, SharedVersionRow
from services.documents.views import Document, DocumentPage

Expect: TypeAlias = Callable[[Document], None]
"""Looks at a document before it is changed, and raises where it is not to be."""

__all__ = ["Documents", "Sealed", "new_place"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A version for one recipient, ready to be sent."""

    head: bytes
    pieces: Iterator[bytes]
    size: int
    """Bytes of all of it."""
    tag: str
    """Names version and recipient's key: what comes again under it opens to the same document."""

    def stream(self) -> Iterator[bytes]:
        yield self.head
        yield from self.pieces


@dataclass(frozen=True, slots=True)
class _Repositories:
    """What is read and written within one transaction."""

    reader: Reader
    documents: DocumentRepository
    registry: Registry
    book: Book

    def open_document(self, id_: str) -> SharedDocumentRow:
        """One of the company's that is not erased. Raises NotFoundError, DocumentError."""
        row = find_document(self.reader, self.documents, id_)
        if row.erased_at:
            raise DocumentError(f"document {id_} is erased", hint="add another one")
        return row

    def verify(self, id_: str, expect: Expect | None) -> None:
        """Raises what `expect` raises for the document as it is, before it is changed."""
        if expect is not None:
            expect(self.show(id_))

    def show(self, id_: str) -> Document:
        return show_document(self.reader, self.documents, find_document(self.reader, self.documents, id_))


class Documents:
    """Of one store, with the keys of one key file; without one, none is added or fetched."""

    def __init__(self, store: Store, ring: KeyRing | None) -> None:
        self._store, self._keys = store, ring

    @property
    def _ring(self) -> KeyRing:
        if self._keys is None:
            raise SettingsError("no key file for documents is configured", hint="set document_keys")
        return self._keys

    def page(self, about: str | None, after: str, most: int, viewer: int | None) -> DocumentPage:
        """Raises NotFoundError for something that there is not for the viewer, InputError."""
        with self._reading(viewer) as repos:
            rows = list_documents(repos.reader, repos.documents, about=about, after=after, most=most + 1)
            shown = show_documents(repos.reader, repos.documents, rows[:most])
        return DocumentPage(shown, rows[most - 1].id if len(rows) > most else None)

    def get(self, id_: str, viewer: int | None) -> Document:
        """Raises NotFoundError."""
        with self._reading(viewer) as repos:
            return repos.show(id_)

    def fetch(self, id_: str, version: int, recipient: int | None, viewer: int | None) -> Sealed:
        """A version, its key wrapped for the recipient now: what the ledger links to it now is what counts.

        Raises NotFoundError, RecipientKeyError when the recipient published no key that counts, DocumentError.
        """
        with self._reading(viewer) as repos:
            row = repos.open_document(id_)
            found = repos.documents.version(row.id, version)
            if found is None:
                raise NotFoundError(f"document {id_} has no version {version}", hint="see its list of versions")
            head = self._head(repos, found, recipient)
        start = head.to_bytes()
        tag = f"{id_}.{version}.{head.recipient.public_key.hex()[:16]}"
        return Sealed(start, self._pieces(found), len(start) + found.size + TAG_BYTES, tag)

    def next_place(self, id_: str) -> Place:
        """Of a version that is to be added. Raises NotFoundError, DocumentError."""
        with self._reading(None) as repos:
            versions = repos.documents.versions([repos.open_document(id_).id])
        return Place(id_, 1 + max((row.version for row in versions), default=0))

    def add(self, draft: Draft, mode: Mode, about: str | None, now_s: int, token: str = "") -> Document:
        """A new document, about a lot, an order or nothing; with the same `token` once more, the one that is there.
        Raises NotFoundError, InputError, SigningError."""
        with self._writing() as repos:
            before = repos.documents.added_by(token)
            if before is not None:
                return repos.show(before.document)
            kind, subject = (0, b"") if about is None else _find_about(repos.reader, about)
            row = SharedDocumentRow(draft.place.document, mode.value, kind, subject, now_s, 0)
            _verify_mode(row)
            repos.documents.put_document(row)
            self._put_version(repos, draft, now_s, token)
            return repos.show(row.id)

    def add_version(self, draft: Draft, now_s: int, token: str = "", expect: Expect | None = None) -> Document:
        """Earlier versions stay; `token` as for `add`. Raises NotFoundError, DocumentError when another one came in
        between."""
        with self._writing() as repos:
            row = repos.open_document(draft.place.document)
            if repos.documents.added_by(token) is not None:
                return repos.show(row.id)
            repos.verify(row.id, expect)
            if repos.documents.version(row.id, draft.place.version) is not None:
                raise DocumentError("another version came in meanwhile", hint="send it again")
            self._put_version(repos, draft, now_s, token)
            return repos.show(row.id)

    def set_mode(self, id_: str, mode: Mode, expect: Expect | None = None) -> Document:
        """Grants end with the mode that they are of. Raises NotFoundError, DocumentError, InputError."""
        with self._writing() as repos:
            row = replace(repos.open_document(id_), mode=mode.value)
            repos.verify(id_, expect)
            _verify_mode(row)
            repos.documents.put_document(row)
            if mode is not Mode.RESTRICTED:
                repos.documents.revoke(id_)
            return repos.show(id_)

    def grant(self, id_: str, participant: int, now_s: int, expect: Expect | None = None) -> Document:
        """Names a participant. Raises NotFoundError, DocumentError for a document of another mode."""
        with self._writing() as repos:
            row = repos.open_document(id_)
            repos.verify(id_, expect)
            if Mode(row.mode) is not Mode.RESTRICTED:
                raise DocumentError("only a restricted document names participants", hint="make it restricted first")
            if repos.registry.participant(participant) is None:
                raise NotFoundError(
                    f"participant {participant} is suspended, or not in the index", hint="see `millmark participants`"
                )
            repos.documents.grant(GrantRow(id_, participant, now_s))
            return repos.show(id_)

    def revoke(self, id_: str, participant: int, expect: Expect | None = None) -> Document:
        """Ends a grant: the participant reads nothing of the document from now on. What it fetched before it has.

        Raises NotFoundError when there is none.
        """
        with self._writing() as repos:
            row = repos.open_document(id_)
            repos.verify(id_, expect)
            if not repos.documents.revoke(row.id, participant):
                raise NotFoundError(f"participant {participant} has no grant", hint="see the document's grants")
            return repos.show(id_)

    def erase(self, id_: str, now_s: int, expect: Expect | None = None) -> Document:
        """Drops ciphertexts, wrapped keys, names and salts, and leaves nothing of them in the database's files.

        Once more is fine, and cleans the files again. Raises NotFoundError, StoreError when the files are in use: then
        it is erased, and they hold traces of it still.
        """
        with self._writing() as repos:
            row = find_document(repos.reader, repos.documents, id_)
            repos.verify(id_, expect)
            if not row.erased_at:
                repos.documents.erase(id_, now_s)
            erased = repos.show(id_)
        self._store.scrub()
        return erased

    def erase_fields(self, root: bytes, paths: list[Path]) -> None:
        """Of any claims document in the private book: drops value and salt, and keeps what proves the other fields.

        Raises NotFoundError, ClaimsError, StoreError as `erase`.
        """
        with self._writing() as repos:
            if not repos.documents.erase_fields(root, paths):
                raise NotFoundError(f"there is no claims document 0x{root.hex()}", hint="check the root")
        self._store.scrub()

    def rotate(self) -> int:
        """Puts a new key in use, wraps all data keys under it, and forgets the old ones. Gives the number of data keys.

        A crash at any moment leaves a key file that opens everything. Raises SigningError, SealBrokenError.
        """
        with self._writing() as repos:
            self._ring.in_use()  # makes the file where there is none
            self._ring.add()
            rows = [self._rewrap(row) for row in repos.documents.all_versions()]
            repos.documents.rewrap(rows)
        self._ring.drop_old()
        self._store.scrub()
        return len(rows)

    def _rewrap(self, row: SharedVersionRow) -> SharedVersionRow:
        name, key = self._ring.in_use()
        return replace(row, wrapping=name, wrapped_key=wrap_key(name, key, _place(row), self._data_key(row)))

    def _data_key(self, row: SharedVersionRow) -> bytes:
        return unwrap_key(row.wrapping, self._ring.key(row.wrapping), _place(row), row.wrapped_key)

    def _put_version(self, repos: _Repositories, draft: Draft, now_s: int, token: str) -> None:
        """The key is chosen with the write lock held: a rotation is either over or yet to come."""
        claims, (name, key) = draft.finish(), self._ring.in_use()
        row = SharedVersionRow(
            document=draft.place.document,
            version=draft.place.version,
            root=claims.root,
            name=draft.name,
            media_type=draft.media_type,
            size=draft.size,
            nonce=draft.nonce,
            wrapping=name,
            wrapped_key=wrap_key(name, key, draft.place, draft.data_key),
            added_at=now_s,
            token=token,
        )
        repos.documents.add_version(row, json.dumps(claims.to_json()), draft.pieces())

    def _head(self, repos: _Repositories, row: SharedVersionRow, recipient: int | None) -> SealedHeader:
        if recipient is None:
            raise DocumentError(
                "documents are sealed for a participant", hint="sign in, or open it with `millmark documents open`"
            )
        statement = need_recipient_key(repos.documents, repos.registry, recipient)
        identity = repos.reader.identity
        wanted = Recipient(identity.chain_id, identity.ledger, recipient, statement.public_key, row.root)
        document = repos.book.document(row.root)
        if document is None:
            raise StoreDamagedError(f"the claims of document {row.document} are gone", hint="restore a backup")
        return SealedHeader(
            place=_place(row),
            recipient=wanted,
            claims=parse_claims(json.loads(document)).disclose([()]),
            nonce=row.nonce,
            wrapped_key=wrap_for(wanted, _place(row), self._data_key(row)),
        )

    def _pieces(self, row: SharedVersionRow) -> Iterator[bytes]:
        """Read one at a time. Raises DocumentError when the document is erased meanwhile."""
        left, position = row.size + TAG_BYTES, 0
        while left:
            with self._store.reading() as connection:
                piece = DocumentRepository(connection).piece(row.document, row.version, position)
            if piece is None:
                raise DocumentError("the document is erased", hint="")
            yield piece
            left, position = left - len(piece), position + 1

    @contextmanager
    def _reading(self, viewer: int | None) -> Iterator[_Repositories]:
        with self._store.reading() as connection:
            book = Book(connection)
            reader = build_reader(Rows(connection), book, Lineage(connection), viewer)
            yield _Repositories(reader, DocumentRepository(connection), Registry(connection), book)

    @contextmanager
    def _writing(self) -> Iterator[_Repositories]:
        with self._store.transaction() as connection:
            book = Book(connection)
            reader = build_reader(Rows(connection), book, Lineage(connection), None)
            yield _Repositories(reader, DocumentRepository(connection), Registry(connection), book)


def new_place() -> Place:
    """Of a document that is to be added."""
    return Place(secrets.token_hex(16), 1)


def _place(row: SharedVersionRow) -> Place:
    return Place(row.document, row.version)


def _find_about(reader: Reader, about: str) -> tuple[int, bytes]:
    kind, subject = find_subject(reader, about, SubjectKind.LOT, SubjectKind.ORDER)
    return int(kind), subject


def _verify_mode(row: SharedDocumentRow) -> None:
    if row.mode == Mode.LINKED.value and row.kind != SubjectKind.LOT:
        raise InputError("only a document about a lot can be linked", hint="say which lot, or choose another mode")
