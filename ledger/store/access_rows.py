"""One class per table of who may ask the gateway. Times are seconds since 1970; 0 says "never"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CredentialRow:
    """A secret that was given out, session token or API key. Of the secret itself only the SHA-256 is kept: it has 256
    random bits, so there is nothing to guess and no reason for a slow hash."""

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
    """A nonce that somebody signed in with. It can be forgotten once it would be refused for its age."""

    nonce: str
    expires_at: int
