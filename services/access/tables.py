"""Tables of credentials and spent nonces. Times are seconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class CredentialRow:
    """A session token or API key. Only its SHA-256 is stored. It has 256 random bits, so it cannot be guessed, and a
    slow hash is not needed."""

    id: str
    """The public part of the credential, by which it is looked up, listed and revoked."""
    kind: str
    digest: bytes
    participant: int
    key: bytes
    """Address of the key that signed in; empty for an API key."""
    scopes: str
    """Scopes, separated by spaces."""
    label: str
    issued_at: int
    expires_at: int
    revoked_at: int


@dataclass(slots=True)
class SpentNonceRow:
    """A nonce that was used to sign in. It can be deleted once it would be refused as expired."""

    nonce: str
    expires_at: int


_SCHEMA = schema_of("services")
credentials = _SCHEMA.table("credentials", CredentialRow, "id")
spent_nonces = _SCHEMA.table("spent_nonces", SpentNonceRow, "nonce")
