"""Credentials and spent nonces: one class per table. Times are seconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class CredentialRow:
    """A secret that was issued: a session token or an API key. Only its SHA-256 is kept: it has 256 random bits, so
    there is nothing to guess and no reason for a slow hash."""

    id: str
    """The secret's public part, by which it is found, listed and revoked."""
    kind: str
    digest: bytes
    participant: int
    key: bytes
    """Address of the key that signed in; empty for an API key."""
    scopes: str
    """Words separated by spaces."""
    label: str
    issued_at: int
    expires_at: int
    revoked_at: int


@dataclass(slots=True)
class SpentNonceRow:
    """A nonce that was used to sign in. It can be deleted once it would be refused for its age."""

    nonce: str
    expires_at: int


_SCHEMA = schema_of("services")
credentials = _SCHEMA.table("credentials", CredentialRow, "id")
spent_nonces = _SCHEMA.table("spent_nonces", SpentNonceRow, "nonce")
