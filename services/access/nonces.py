"""Nonces that need not be remembered until somebody signed in with one, so that asking for them fills no table."""

from __future__ import annotations

import hashlib
import hmac
import secrets

__all__ = ["NONCE_LIFE_S", "Nonces"]

NONCE_LIFE_S = 300
_RANDOM_DIGITS, _TIME_DIGITS, _SEAL_DIGITS = 32, 10, 32
_DIGITS = frozenset("0123456789abcdef")


class Nonces:
    """Gives out nonces and knows its own again: 16 random bytes, the second at which it expires, and a seal over both
    under a key that lives as long as this object. After a restart, those that were pending are refused."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, now_s: int) -> str:
        body = f"{secrets.token_hex(_RANDOM_DIGITS // 2)}{now_s + NONCE_LIFE_S:0{_TIME_DIGITS}x}"
        return body + self._seal(body)

    def expiry(self, nonce: str) -> int | None:
        """When one of ours expires; None for any other."""
        body, seal = nonce[:-_SEAL_DIGITS], nonce[-_SEAL_DIGITS:]
        if len(body) != _RANDOM_DIGITS + _TIME_DIGITS or not _DIGITS.issuperset(nonce):
            return None
        if not hmac.compare_digest(seal, self._seal(body)):
            return None
        return int(body[_RANDOM_DIGITS:], 16)

    def _seal(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()[:_SEAL_DIGITS]
