"""The documents that a company shares: one class per table. Times are seconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class SharedDocumentRow:
    """A document, its versions aside."""

    id: str
    """32 random hexadecimal digits."""
    mode: str
    """Who may read it: services.documents.permissions.Mode."""
    kind: int
    """Of what it is about, SubjectKind; 0 when it stands alone."""
    subject: bytes
    """The lot or the order; empty when it stands alone."""
    added_at: int
    erased_at: int


@dataclass(slots=True)
class SharedVersionRow:
    """One version, encrypted under a data key of its own. Of an erased one only place and root are left."""

    document: str
    version: int
    """From 1."""
    root: bytes
    """Claims root over name, media type, size and SHA-256; their salts are in the book's document of that root."""
    name: str
    media_type: str
    size: int
    """Bytes before encryption."""
    nonce: bytes
    wrapping: str
    """Which key of the key file wraps the data key."""
    wrapped_key: bytes
    added_at: int
    token: str
    """Of the request that added it: sent again, it adds nothing. Empty where nothing is sent again."""


@dataclass(slots=True)
class SharedPieceRow:
    """A stretch of a version's ciphertext."""

    document: str
    version: int
    position: int
    """From 0."""
    content: bytes


@dataclass(slots=True)
class GrantRow:
    """A participant that a restricted document names."""

    document: str
    participant: int
    granted_at: int


@dataclass(slots=True)
class RecipientKeyRow:
    """The key that documents are wrapped for, as its participant signed it."""

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
