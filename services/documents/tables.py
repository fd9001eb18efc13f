"""Tables of documents. Times are seconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class SharedDocumentRow:
    """A document without its versions."""

    id: str
    """32 random hexadecimal digits."""
    mode: str
    """Who may read it: services.documents.permissions.Mode."""
    kind: int
    """SubjectKind of the thing that the document is about; 0 for none."""
    subject: bytes
    """The lot or order that it is about; empty for none."""
    added_at: int
    erased_at: int


@dataclass(slots=True)
class SharedVersionRow:
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
class SharedPieceRow:
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


_SCHEMA = schema_of("services")
shared_documents = _SCHEMA.table("shared_documents", SharedDocumentRow, "id", "subject")
shared_versions = _SCHEMA.table("shared_versions", SharedVersionRow, "document version", "token")
shared_pieces = _SCHEMA.table("shared_pieces", SharedPieceRow, "document version position")
grants = _SCHEMA.table("grants", GrantRow, "document participant", "participant")
recipient_keys = _SCHEMA.table("recipient_keys", RecipientKeyRow, "participant")
