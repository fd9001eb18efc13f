"""A company's documents: adding, sharing, fetching for recipients, erasing.

`viewer` is the participant for whom a result is computed; None for the company itself. Operations on a document that
the viewer may not see raise NotFoundError.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeAlias

from millmark.ledger.claims import Claims, Path, build_claims, parse_claims
from millmark.ledger.errors import InputError, NotFoundError, SettingsError, SigningError, StoreDamagedError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.listings import Page, cut_numbered
from millmark.ledger.provenance.reader import Reader, build_reader, find_subject
from millmark.ledger.store import Book, Lineage, Registry, Rows, Store
from millmark.services.directory.document import KeyStatement, RecipientKeyError, verify_statement
from millmark.services.documents import encryption, views
from millmark.services.documents.repository import (
    DocumentRepository,
    DocumentVersionRow,
    GrantRow,
    RecipientKeyRow,
    StoredDocumentRow,
)

# A version during upload: encrypted piece by piece into a temporary file, so that a large document needs no memory,
# and a slow sender holds no database lock.

MAX_NAME_CHARACTERS = 200
PIECE_BYTES = 256 << 10
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


class Draft:
    """A context manager. The temporary file contains only ciphertext and is deleted on exit."""

    def __init__(self, version_id: encryption.VersionId, name: str, media_type: str) -> None:
        """Raises InputError for an invalid name or media type."""
        self.version_id, self.name, self.media_type = version_id, verify_name(name), verify_media_type(media_type)
        self._sealer = encryption.Sealer(version_id)
        self._digest = hashlib.sha256()
        self._file = tempfile.SpooledTemporaryFile(max_size=PIECE_BYTES)  # noqa: SIM115  # closed in __exit__
        self.size = 0

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        """Encrypts the next piece of the document. Raises InputError if the document becomes too large."""
        self.size += len(piece)
        # Before anything is written, so that an endless upload does not fill the disk.
        if self.size > encryption.MAX_DOCUMENT_BYTES:
            raise InputError(
                f"the document has more than {encryption.MAX_DOCUMENT_BYTES} bytes", hint="share a smaller file"
            )
        self._digest.update(piece)
        self._file.write(self._sealer.update(piece))

    def finish(self) -> Claims:
        """Completes the ciphertext. Returns the claims of the version, with new random salts."""
        self._file.write(self._sealer.finish())
        self._file.seek(0)
        return build_claims(
            {
                "name": self.name,
                "media_type": self.media_type,
                "size": self.size,
                "sha256": self._digest.hexdigest(),
            }
        )

    def pieces(self) -> Iterator[bytes]:
        """The ciphertext, once `finish` was called."""
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    @property
    def data_key(self) -> bytes:
        return self._sealer.data_key

    @property
    def nonce(self) -> bytes:
        return self._sealer.nonce


def verify_name(name: str) -> str:
    """Returns a valid file name. Raises InputError for one that is empty, too long, or a path."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
        raise InputError(
            f"a document's name has to have 1 to {MAX_NAME_CHARACTERS} printable characters", hint="rename the file"
        )
    # A recipient may save the file under this name, so it must not lead into another folder.
    if "/" in name or "\\" in name or name.startswith("."):
        raise InputError(
            "a document's name must not be a path or start with a dot", hint="give the last part of the path only"
        )
    return name


def verify_media_type(media_type: str) -> str:
    """Returns type and subtype in lower case, without parameters. Raises InputError."""
    plain = media_type.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(plain):
        raise InputError(f"{media_type[:80]!a} is not a media type", hint="give one such as application/pdf")
    return plain


Precondition: TypeAlias = Callable[[views.Document], None]
"""Checks a document before it is changed. Raises to prevent the change."""

_MAX_LISTED = 10_000
"""Most documents that a list goes back to."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A version sealed for one recipient, ready to be sent."""

    head: bytes
    pieces: Iterator[bytes]
    size: int
    """Total size in bytes."""
    tag: str
    """Identifies the version and the recipient's key. Files with the same tag open to the same document."""

    def stream(self) -> Iterator[bytes]:
        yield self.head
        yield from self.pieces


@dataclass(frozen=True, slots=True)
class _Repositories:
    """Repositories within one transaction."""

    reader: Reader
    documents: DocumentRepository
    registry: Registry
    book: Book

    def open_document(self, id_: str) -> StoredDocumentRow:
        """A document of the company that is not erased. Raises NotFoundError or DocumentError."""
        row = views.find_document(self.reader, self.documents, id_)
        if row.erased_at:
            raise encryption.DocumentError(f"document {id_} has been erased", hint="add a new document")
        return row

    def verify(self, id_: str, precondition: Precondition | None) -> None:
        """Checks the precondition against the document as it is now."""
        if precondition is not None:
            precondition(self.show(id_))

    def show(self, id_: str) -> views.Document:
        return views.show_document(self.reader, self.documents, views.find_document(self.reader, self.documents, id_))


class Documents:
    """The documents in a store, with the key ring of the gateway. Without a ring, none can be added or fetched."""

    def __init__(self, store: Store, ring: encryption.KeyRing | None) -> None:
        self._store, self._keys = store, ring

    @property
    def _ring(self) -> encryption.KeyRing:
        if self._keys is None:
            raise SettingsError("no key file for documents is configured", hint="set document_keys")
        return self._keys

    def page(self, about: str | None, after: str, most: int, viewer: int | None) -> views.DocumentPage:
        """A page of the documents visible to the viewer.

        Raises NotFoundError if `about` is not visible to the viewer, InputError if it is malformed or ambiguous."""
        with self._reading(viewer) as repos:
            rows = views.list_documents(repos.reader, repos.documents, about=about, after=after, most=most + 1)
            shown = views.show_documents(repos.reader, repos.documents, rows[:most])
        return views.DocumentPage(shown, rows[most - 1].id if len(rows) > most else None)

    def latest(self, after: int | None, limit: int, viewer: int | None, *, newest_first: bool) -> Page[views.Document]:
        """A page of the latest documents visible to the viewer, without those that it sees only because of a linked
        lot, in the order in which they were added."""
        with self._reading(viewer) as repos:
            rows = cut_numbered(
                repos.documents.everything(viewer, _MAX_LISTED), after, limit, newest_first=newest_first
            )
            return Page(views.show_documents(repos.reader, repos.documents, list(rows.items)), rows.after, rows.first)

    def open(self, id_: str, version: int) -> tuple[DocumentVersionRow, bytes]:
        """A version and its content, for the company itself. Raises NotFoundError, DocumentError, SigningError, and
        SealBrokenError if it is damaged."""
        with self._reading(None) as repos:
            row = repos.open_document(id_)
            found = repos.documents.version(row.id, version)
            if found is None:
                raise NotFoundError(f"document {id_} has no version {version}", hint="see its list of versions")
        sealed = b"".join(self._pieces(found))
        return found, encryption.open_content(self._data_key(found), found.nonce, _version_id(found), sealed)

    def get(self, id_: str, viewer: int | None) -> views.Document:
        """One document, as the viewer may see it. Raises NotFoundError."""
        with self._reading(viewer) as repos:
            return repos.show(id_)

    def fetch(self, id_: str, version: int, recipient: int | None, viewer: int | None) -> Sealed:
        """Seals a version for the recipient. Visibility is judged now.

        Raises NotFoundError, DocumentError, and RecipientKeyError if the recipient has no valid published key."""
        with self._reading(viewer) as repos:
            row = repos.open_document(id_)
            found = repos.documents.version(row.id, version)
            if found is None:
                raise NotFoundError(f"document {id_} has no version {version}", hint="see its list of versions")
            head = self._head(repos, found, recipient)
        start = head.to_bytes()
        # Includes the recipient's key: once it publishes another one, a file that it cached no longer opens.
        tag = f"{id_}.{version}.{head.recipient.public_key.hex()[:16]}"
        return Sealed(start, self._pieces(found), len(start) + found.size + encryption.TAG_BYTES, tag)

    def next_version_id(self, id_: str) -> encryption.VersionId:
        """The id of the version to be added next. Raises NotFoundError or DocumentError."""
        with self._reading(None) as repos:
            versions = repos.documents.versions([repos.open_document(id_).id])
        return encryption.VersionId(id_, 1 + max((row.version for row in versions), default=0))

    def add(self, draft: Draft, mode: views.Mode, about: str | None, now_s: int, token: str = "") -> views.Document:
        """Adds a document, about a lot, an order or nothing. If an earlier call with the same `token` added one,
        returns that. Raises NotFoundError, InputError or SigningError."""
        with self._writing() as repos:
            # An upload that is repeated because its response was lost must not add a second document.
            before = repos.documents.added_by(token)
            if before is not None:
                return repos.show(before.document)
            kind, subject = (0, b"") if about is None else _find_about(repos.reader, about)
            row = StoredDocumentRow(draft.version_id.document, mode.value, kind, subject, now_s, 0)
            _verify_mode(row)
            repos.documents.put_document(row)
            self._put_version(repos, draft, now_s, token)
            return repos.show(row.id)

    def add_version(
        self, draft: Draft, now_s: int, token: str = "", precondition: Precondition | None = None
    ) -> views.Document:
        """Adds a version; earlier ones are kept. `token` as for `add`. Raises NotFoundError, and DocumentError if
        another version was added since `next_version_id`."""
        with self._writing() as repos:
            row = repos.open_document(draft.version_id.document)
            if repos.documents.added_by(token) is not None:
                return repos.show(row.id)
            repos.verify(row.id, precondition)
            # Numbers are chosen before the upload, so two uploads may have the same one.
            if repos.documents.version(row.id, draft.version_id.version) is not None:
                raise encryption.DocumentError("another version was added in the meantime", hint="send it again")
            self._put_version(repos, draft, now_s, token)
            return repos.show(row.id)

    def set_mode(self, id_: str, mode: views.Mode, precondition: Precondition | None = None) -> views.Document:
        """Changes the mode. Grants are removed unless it is `restricted`. Raises NotFoundError, DocumentError or
        InputError."""
        with self._writing() as repos:
            row = replace(repos.open_document(id_), mode=mode.value)
            repos.verify(id_, precondition)
            _verify_mode(row)
            repos.documents.put_document(row)
            # Otherwise old grants would take effect again if the mode is ever changed back.
            if mode is not views.Mode.RESTRICTED:
                repos.documents.revoke(id_)
            return repos.show(id_)

    def grant(self, id_: str, participant: int, now_s: int, precondition: Precondition | None = None) -> views.Document:
        """Grants a participant access. Raises NotFoundError, and DocumentError if the mode is not `restricted`."""
        with self._writing() as repos:
            row = repos.open_document(id_)
            repos.verify(id_, precondition)
            if views.Mode(row.mode) is not views.Mode.RESTRICTED:
                raise encryption.DocumentError(
                    "only restricted documents have grants", hint="change the mode to `restricted` first"
                )
            if repos.registry.participant(participant) is None:
                raise NotFoundError(
                    f"participant {participant} is suspended, or not in the index",
                    hint="see `millmark participants list`",
                )
            repos.documents.grant(GrantRow(id_, participant, now_s))
            return repos.show(id_)

    def revoke(self, id_: str, participant: int, precondition: Precondition | None = None) -> views.Document:
        """Revokes a grant. The participant can no longer fetch the document, but keeps what it fetched before.

        Raises NotFoundError if it has no grant."""
        with self._writing() as repos:
            row = repos.open_document(id_)
            repos.verify(id_, precondition)
            if not repos.documents.revoke(row.id, participant):
                raise NotFoundError(f"participant {participant} has no grant", hint="see the document's grants")
            return repos.show(id_)

    def erase(self, id_: str, now_s: int, precondition: Precondition | None = None) -> views.Document:
        """Deletes ciphertexts, wrapped keys, names and salts, and then removes their traces from the database's files.

        Idempotent; repeating it scrubs the files again. Raises NotFoundError, and StoreError if the files are in use:
        then the document is erased, but the files may still contain traces."""
        with self._writing() as repos:
            # Not `open_document`: erasing again is allowed, and scrubs the files again if the first attempt could not.
            row = views.find_document(repos.reader, repos.documents, id_)
            repos.verify(id_, precondition)
            if not row.erased_at:
                repos.documents.erase(id_, now_s)
            # Scrubbing comes after the commit: VACUUM cannot run inside a transaction.
            erased = repos.show(id_)
        self._store.scrub()
        return erased

    def erase_fields(self, root: bytes, paths: list[Path]) -> None:
        """Deletes the values and salts of some fields of any claims document in the private book. Proofs of the other
        fields stay valid.

        Raises NotFoundError, ClaimsError, and StoreError as `erase` does."""
        with self._writing() as repos:
            if not repos.documents.erase_fields(root, paths):
                raise NotFoundError(f"claims document 0x{root.hex()} not found", hint="check the root")
        self._store.scrub()

    def rotate(self) -> int:
        """Creates a new key, wraps all data keys under it, and removes the keys that are no longer needed. Returns the
        number of data keys.

        After a crash at any point the key file still opens everything. Raises SigningError or SealBrokenError."""
        # Under one lock from beginning to end: a second rotation would add its key in between, and this one would drop
        # the key under which that one is about to wrap.
        with self._ring.rotating():
            with self._writing() as repos:
                # The new key is durable before anything is wrapped under it; the old keys go only after the commit.
                self._ring.in_use()  # creates the file if it does not exist
                self._ring.add()
                keys = self._ring.keys()
                rows = [_rewrap(row, keys) for row in repos.documents.all_versions()]
                repos.documents.rewrap(rows)
            # Under the write lock, so that no upload wraps under a key that is dropped here.
            with self._writing() as repos:
                self._ring.drop_old({row.wrapping for row in repos.documents.all_versions()})
            self._store.scrub()
        return len(rows)

    def _data_key(self, row: DocumentVersionRow) -> bytes:
        return encryption.unwrap_key(row.wrapping, self._ring.key(row.wrapping), _version_id(row), row.wrapped_key)

    def _put_version(self, repos: _Repositories, draft: Draft, now_s: int, token: str) -> None:
        """The key is chosen while the write lock is held, so that no rotation can run in between."""
        claims, (name, key) = draft.finish(), self._ring.in_use()
        row = DocumentVersionRow(
            document=draft.version_id.document,
            version=draft.version_id.version,
            root=claims.root,
            name=draft.name,
            media_type=draft.media_type,
            size=draft.size,
            nonce=draft.nonce,
            wrapping=name,
            wrapped_key=encryption.wrap_key(name, key, draft.version_id, draft.data_key),
            added_at=now_s,
            token=token,
        )
        repos.documents.add_version(row, json.dumps(claims.to_json()), draft.pieces())

    def _head(self, repos: _Repositories, row: DocumentVersionRow, recipient: int | None) -> encryption.SealedHeader:
        # Without a recipient there is no key to wrap for, and the gateway hands out no plaintext.
        if recipient is None:
            raise encryption.DocumentError(
                "documents are sealed for a participant", hint="sign in, or use `millmark documents open`"
            )
        statement = require_recipient_key(repos.documents, repos.registry, recipient)
        identity = repos.reader.identity
        wanted = encryption.Recipient(identity.chain_id, identity.ledger, recipient, statement.public_key, row.root)
        document = repos.book.document(row.root)
        if document is None:
            raise StoreDamagedError(f"the claims of document {row.document} are missing", hint="restore a backup")
        return encryption.SealedHeader(
            version_id=_version_id(row),
            recipient=wanted,
            # All fields, which the recipient compares with the root and the content.
            claims=parse_claims(json.loads(document)).disclose([()]),
            nonce=row.nonce,
            wrapped_key=encryption.wrap_for(wanted, _version_id(row), self._data_key(row)),
        )

    def _pieces(self, row: DocumentVersionRow) -> Iterator[bytes]:
        """Reads the ciphertext piece by piece. Raises DocumentError if the document is erased in the meantime."""
        left, position = row.size + encryption.TAG_BYTES, 0
        while left:
            # One transaction per piece: a slow recipient must not hold one open for the whole download.
            with self._store.reading() as connection:
                piece = DocumentRepository(connection).piece(row.document, row.version, position)
            if piece is None:
                raise encryption.DocumentError("the document was erased during the download", hint="")
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


def new_version_id() -> encryption.VersionId:
    """The id of the first version of a new document."""
    return encryption.VersionId(secrets.token_hex(16), 1)


def _rewrap(row: DocumentVersionRow, keys: Mapping[str, bytes]) -> DocumentVersionRow:
    """Wraps a data key under the first of the keys. Raises SigningError or SealBrokenError."""
    if row.wrapping not in keys:
        raise SigningError(
            f"the key file has no key {row.wrapping}", hint="restore the key file that belongs to this database"
        )
    data_key = encryption.unwrap_key(row.wrapping, keys[row.wrapping], _version_id(row), row.wrapped_key)
    name, key = next(iter(keys.items()))
    return replace(row, wrapping=name, wrapped_key=encryption.wrap_key(name, key, _version_id(row), data_key))


def _version_id(row: DocumentVersionRow) -> encryption.VersionId:
    return encryption.VersionId(row.document, row.version)


def _find_about(reader: Reader, about: str) -> tuple[int, bytes]:
    kind, subject = find_subject(reader, about, SubjectKind.LOT, SubjectKind.ORDER)
    return int(kind), subject


def _verify_mode(row: StoredDocumentRow) -> None:
    if row.mode == views.Mode.LINKED.value and row.kind != SubjectKind.LOT:
        raise InputError("only a document about a lot can be linked", hint="give a lot, or choose another mode")


# The published keys of recipients, for which documents are wrapped.

_MAX_AHEAD_S = 300
_HINT = "create and sign a key with `millmark documents keys`, and PUT it to /v1/recipient-key"


class Recipients:
    """Publishes and looks up recipient keys in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(
        self, participant: int, public_key: bytes, issued_at: int, signature: bytes, now_s: int
    ) -> views.RecipientKey:
        """Replaces the participant's previous key.

        Raises RecipientKeyError for a key of low order, for a statement that no active key of the participant signed,
        and for one that is not later than the published one, so that an old key cannot be restored by a replay."""
        encryption.verify_public_key(public_key)
        # Only a later statement replaces one, so a time far ahead would lock its participant out until then.
        if issued_at > now_s + _MAX_AHEAD_S:
            raise RecipientKeyError("the statement's time is in the future", hint="check the clock, then sign again")
        row = RecipientKeyRow(participant, public_key, issued_at, signature)
        with self._store.transaction() as connection:
            documents, registry = DocumentRepository(connection), Registry(connection)
            # In the transaction that writes, so that of two concurrent statements the later one wins.
            before = documents.recipient_key(participant)
            shown = _show(registry, row)
            if before is not None and before.issued_at >= issued_at and before != row:
                raise RecipientKeyError(
                    "a statement with the same or a later time is already published", hint="sign a new statement"
                )
            documents.put_recipient_key(row)
        return shown

    def get(self, participant: int) -> views.RecipientKey:
        """The key that a participant published. Raises NotFoundError if there is none, or if its signer was revoked
        since."""
        with self._store.reading() as connection:
            documents, registry = DocumentRepository(connection), Registry(connection)
            try:
                return _show(registry, require_recipient_key(documents, registry, participant))
            except RecipientKeyError as error:
                raise NotFoundError(error.cause, hint=error.hint) from None


def require_recipient_key(documents: DocumentRepository, registry: Registry, participant: int) -> RecipientKeyRow:
    """The participant's key. Raises RecipientKeyError if it has none that is valid now."""
    row = documents.recipient_key(participant)
    if row is None:
        raise RecipientKeyError(f"participant {participant} has not published a recipient key", hint=_HINT)
    _show(registry, row)
    return row


def _show(registry: Registry, row: RecipientKeyRow) -> views.RecipientKey:
    """Raises RecipientKeyError unless an active key of the participant signed the statement, for this ledger."""
    signer = verify_statement(registry, row.participant, KeyStatement(row.public_key, row.issued_at, row.signature))
    return views.RecipientKey(row.participant, row.public_key, row.issued_at, row.signature, signer)
