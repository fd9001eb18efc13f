"""One attempt to have a record made: the same for each repetition of a request, so that the same record comes of it.

The salts of claims follow from a secret of the database and from the request with its Idempotency-Key. So a request
that is repeated after the database was restored from a backup leads to the record that is on the ledger by then, and
brings back the claims behind its root.

Claims must not be guessable from what the database keeps once their salts were erased. So the seed is made of the key
and the request themselves, which are kept only with the response, and not of the token, which stays in the outbox.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from millmark.ledger.claims import SALT_BYTES
from millmark.ledger.store import Store
from millmark.services.gateway.http.repository import SecretRepository

__all__ = ["Attempt", "keep_secret"]

_SECRET = "salts"  # noqa: S105  # its name
_TAG = b"millmark.request-salt.v1\0"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What identifies a request to the outbox, and makes its salts."""

    token: str
    seed: bytes

    @property
    def key(self) -> str:
        """The idempotency key of its record in the outbox."""
        return f"api:{self.token}"

    def salts(self, store: Store) -> Callable[[], bytes]:
        """A source of salts; each call returns the next one."""
        secret, count = keep_secret(store), 0

        def draw() -> bytes:
            nonlocal count
            count += 1
            return hmac.digest(secret, _TAG + count.to_bytes(4, "big") + self.seed, hashlib.sha256)[:SALT_BYTES]

        return draw


def keep_secret(store: Store) -> bytes:
    """The secret of the database behind all salts; created by the first call."""
    with store.reading() as connection:
        known = SecretRepository(connection).find(_SECRET)
    if known is not None:
        return known
    with store.transaction() as connection:
        return SecretRepository(connection).secret(_SECRET)
