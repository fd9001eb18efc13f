"""Signing in: a message is handed out, comes back signed, and is worth a session once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from ledger.errors import NotFoundError
from ledger.signatures import Address
from ledger.store import Registry, Store
from services.access.credentials import SESSION_LIFE_S, CredentialKind, issue
from services.access.errors import SignInError
from services.access.principals import ALL_SCOPES
from services.access.repository import AccessRepository
from services.access.siwe import SignInMessage, parse_message, recover_signer
from services.access.tables import CredentialRow

__all__ = ["CLOCK_SKEW_S", "NONCE_LIFE_S", "Nonces", "Session", "SignIn"]

CLOCK_SKEW_S = 30
"""How far ahead of us a message's issue may lie."""
NONCE_LIFE_S = 300
_RANDOM_DIGITS, _TIME_DIGITS, _SEAL_DIGITS = 32, 10, 32
_DIGITS = frozenset("0123456789abcdef")
_STATEMENT = "Sign in to the Millmark gateway of this company."
_SIGNATURE = re.compile(r"0x[0-9a-f]{130}")
_HINT = "ask /v1/sign-in for a message, and sign it as it is"


@dataclass(frozen=True, slots=True)
class Session:
    """What a sign-in gives."""

    token: str
    row: CredentialRow
    roles: int


class Nonces:
    """Issues nonces and knows its own again, without remembering them until somebody signed in with one, so that asking
    for them fills no table: 16 random bytes, the second at which it expires, and a seal over both under a key that
    lives as long as this object. After a restart, those that were pending are refused."""

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


class SignIn:
    """One site's door. `origin` is its public URL, without a path."""

    def __init__(self, store: Store, origin: str) -> None:
        self._store = store
        self._domain, self._uri = urlsplit(origin).netloc, f"{origin}/v1/sessions"
        self._nonces = Nonces()

    def offer(self, address: Address, now_s: int) -> SignInMessage:
        """A message for that key to sign. Whether the key means anything is not said. Raises NotFoundError when no
        chain was followed yet."""
        with self._store.reading() as connection:
            chain_id = _chain_id(Registry(connection))
        return SignInMessage(
            domain=self._domain,
            address=address,
            statement=_STATEMENT,
            uri=self._uri,
            chain_id=chain_id,
            nonce=self._nonces.issue(now_s),
            issued_at=now_s,
            expires_at=now_s + NONCE_LIFE_S,
        )

    def accept(self, text: str, signature: str, now_s: int) -> Session:
        """A session for whoever signed the message, whose nonce is spent thereby.

        Raises SignInError for a message that is not of this site, chain and time, was used before, or whose key is not
        active for a participant that may act. A refused message spends nothing.
        """
        message = parse_message(text)
        if not _SIGNATURE.fullmatch(signature):
            raise SignInError("a signature is 0x and 130 lower-case hex digits", hint=_HINT)
        if recover_signer(text, bytes.fromhex(signature[2:])) != message.address:
            raise SignInError("the signature is not of the key that the message names", hint=_HINT)
        self._verify_meant(message, now_s)
        with self._store.transaction() as connection:
            return _open(Registry(connection), AccessRepository(connection), message, now_s)

    def _verify_meant(self, message: SignInMessage, now_s: int) -> None:
        """That it is for this site, of now, with a nonce of ours."""
        if (message.domain, message.uri, message.statement) != (self._domain, self._uri, _STATEMENT):
            raise SignInError("the message is for another site", hint=_HINT)
        if not now_s - NONCE_LIFE_S <= message.issued_at <= now_s + CLOCK_SKEW_S:
            raise SignInError("the message is not of now", hint=_HINT)
        if not message.issued_at <= message.expires_at <= message.issued_at + NONCE_LIFE_S:
            raise SignInError(f"the message does not expire within {NONCE_LIFE_S} s", hint=_HINT)
        expiry = self._nonces.expiry(message.nonce)
        if expiry is None or now_s >= min(expiry, message.expires_at):
            raise SignInError("the nonce is not one of ours, or has expired", hint=_HINT)


def _open(registry: Registry, access: AccessRepository, message: SignInMessage, now_s: int) -> Session:
    if message.chain_id != _chain_id(registry):
        raise SignInError("the message is for another chain", hint=_HINT)
    participant = registry.participant_of(message.address)
    if participant is None:
        raise SignInError("the key signs for no participant that may act", hint="see `millmark participants list`")
    if not access.spend_nonce(message.nonce, now_s + 2 * NONCE_LIFE_S, now_s):
        raise SignInError("the nonce was used before", hint=_HINT)
    access.forget_credentials(CredentialKind.SESSION.value, now_s - SESSION_LIFE_S)
    text, row = issue(
        access,
        CredentialKind.SESSION,
        participant.number,
        ALL_SCOPES,
        now_s=now_s,
        life_s=SESSION_LIFE_S,
        key=message.address,
    )
    return Session(text, row, participant.roles)


def _chain_id(registry: Registry) -> int:
    identity = registry.identity()
    if identity is None:
        raise NotFoundError("nothing is indexed yet", hint="follow the chain first")
    return identity.chain_id
