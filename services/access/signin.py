"""Sign-in with Ethereum (EIP-4361): a message is issued, comes back signed, and opens a session once.

A browser keeps the session in a cookie. Times are those of a clock that never goes back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from millmark.ledger import errors, signatures
from millmark.ledger.store import Registry, Store
from millmark.services.access.credentials import SESSION_LIFE_S, CredentialKind, issue
from millmark.services.access.errors import Ground, SignInError
from millmark.services.access.repository import AccessRepository, CredentialRow
from millmark.services.access.rules import PersonRole
from millmark.services.access.siwe import SignInMessage, parse_message, recover_signer

CLOCK_SKEW_S = 30
"""How far in the future the issue time of a message may be."""
NONCE_LIFE_S = 300
_RANDOM_DIGITS, _TIME_DIGITS, _SEAL_DIGITS = 32, 10, 32
_DIGITS = frozenset("0123456789abcdef")
_STATEMENT = "Sign in to the Millmark gateway of this company."
_SIGNATURE = re.compile(r"0x[0-9a-f]{130}")
Key: TypeAlias = "Callable[[], bytes]"
_HINT = "get a message from /v1/sign-in, and sign it unchanged"


@dataclass(frozen=True, slots=True)
class Session:
    """The result of a sign-in."""

    token: str
    row: CredentialRow
    roles: int


class Nonces:
    """Issues and recognises nonces without storing them, so that requests for nonces cannot fill a table. Only spent
    nonces are stored.

    A nonce consists of 16 random bytes, its expiry in seconds, and a MAC over both. Objects with the same key recognise
    each other's."""

    def __init__(self, key: Key | None = None, life_s: int = NONCE_LIFE_S) -> None:
        """`key` returns the MAC's key; by default it is random. `life_s`: after how many seconds they expire."""
        own = secrets.token_bytes(32)
        self._key, self._life_s = key or (lambda: own), life_s

    def issue(self, now_s: int) -> str:
        body = f"{secrets.token_hex(_RANDOM_DIGITS // 2)}{now_s + self._life_s:0{_TIME_DIGITS}x}"
        return body + self._seal(body)

    def expiry(self, nonce: str) -> int | None:
        """When a nonce issued here expires, in seconds since 1970; None for any other."""
        body, seal = nonce[:-_SEAL_DIGITS], nonce[-_SEAL_DIGITS:]
        if len(body) != _RANDOM_DIGITS + _TIME_DIGITS or not _DIGITS.issuperset(nonce):
            return None
        if not hmac.compare_digest(seal, self._seal(body)):
            return None
        return int(body[_RANDOM_DIGITS:], 16)

    def _seal(self, body: str) -> str:
        return hmac.new(self._key(), body.encode(), hashlib.sha256).hexdigest()[:_SEAL_DIGITS]


class SignIn:
    """Sign-in to one site. `origin` is its public URL, without a path. `key` returns the key of the nonces, which all
    processes behind that URL share. `verify_fresh` raises an error while the index may lack suspensions and revoked
    keys."""

    def __init__(
        self, store: Store, origin: str, key: Key | None = None, verify_fresh: Callable[[], None] = lambda: None
    ) -> None:
        self._verify_fresh, self._store = verify_fresh, store
        self._domain, self._uri = urlsplit(origin).netloc, f"{origin}/v1/sessions"
        self._nonces = Nonces(key)

    def new_message(self, address: signatures.Address, now_s: int) -> SignInMessage:
        """A message for the key to sign. It does not reveal whether the key is registered. Raises NotFoundError if no
        chain was indexed yet."""
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
        """Opens a session for the signer of the message, and spends its nonce. Raises SignInError for a message that is
        for another site or chain, is outside its time, or was used before, and for a key that is not active or whose
        participant is suspended. A refused message does not spend its nonce."""
        self._verify_fresh()
        message = parse_message(text)
        if not _SIGNATURE.fullmatch(signature):
            raise SignInError(Ground.SIGNATURE.write(), hint=_HINT)
        if recover_signer(text, bytes.fromhex(signature[2:])) != message.address:
            raise SignInError(Ground.OTHER_KEY.write(), hint=_HINT)
        # All checks that need no database come first.
        self._verify_meant(message, now_s)
        with self._store.transaction() as connection:
            # By the newest time that any process saw: by an older one, a spent nonce may be forgotten, but not expired.
            self._verify_current(message, AccessRepository(connection).see_time(now_s))
            return _open(Registry(connection), AccessRepository(connection), message, now_s)

    def _verify_meant(self, message: SignInMessage, now_s: int) -> None:
        """Verifies that the message is for this site, current, and has a nonce issued here."""
        if (message.domain, message.uri, message.statement) != (self._domain, self._uri, _STATEMENT):
            raise SignInError(Ground.OTHER_SITE.write(), hint=_HINT)
        if not now_s - NONCE_LIFE_S <= message.issued_at <= now_s + CLOCK_SKEW_S:
            raise SignInError(Ground.OLD_MESSAGE.write(), hint=_HINT)
        if not message.issued_at <= message.expires_at <= message.issued_at + NONCE_LIFE_S:
            raise SignInError(Ground.MESSAGE_LIFE.write(seconds=NONCE_LIFE_S), hint=_HINT)
        self._verify_current(message, now_s)

    def _verify_current(self, message: SignInMessage, now_s: int) -> None:
        expiry = self._nonces.expiry(message.nonce)
        if expiry is None or now_s >= min(expiry, message.expires_at):
            raise SignInError(Ground.OLD_NONCE.write(), hint=_HINT)


def _open(registry: Registry, access: AccessRepository, message: SignInMessage, now_s: int) -> Session:
    if message.chain_id != _chain_id(registry):
        raise SignInError(Ground.OTHER_CHAIN.write(), hint=_HINT)
    participant = registry.participant_of(message.address)
    if participant is None:
        raise SignInError(Ground.NO_PARTICIPANT.write(), hint="see `millmark participants list`")
    # In the transaction that issues the session: two requests with one message cannot both get one.
    # Remembered beyond its expiry, in case the clock is set back.
    if not access.spend_nonce(message.nonce, now_s + 2 * NONCE_LIFE_S, now_s):
        raise SignInError(Ground.USED_NONCE.write(), hint=_HINT)
    # Deleted here, so that no background job is needed.
    access.forget_credentials(CredentialKind.SESSION.value, now_s - SESSION_LIFE_S)
    text, row = issue(
        access,
        CredentialKind.SESSION,
        participant.number,
        PersonRole.ADMINISTRATOR.scopes,
        now_s=now_s,
        life_s=SESSION_LIFE_S,
        key=message.address,
    )
    return Session(text, row, participant.roles)


def _chain_id(registry: Registry) -> int:
    identity = registry.identity()
    if identity is None:
        raise errors.NotFoundError(Ground.UNINDEXED.write(), hint="follow the chain first")
    return identity.chain_id


def session_cookie(origin: str) -> str:
    """Name of the cookie that holds a session's token at the gateway with this public URL."""
    return _cookie("session", origin)


def openid_cookie(origin: str) -> str:
    """Name of the cookie that ties the answer of the company's provider to the browser that asked for it."""
    return _cookie("openid", origin)


def form_cookie(origin: str) -> str:
    """Name of the cookie to which the tokens of forms are bound (CSRF protection)."""
    return _cookie("form", origin)


def is_secure(origin: str) -> bool:
    """Whether browsers reach this origin over https, and so may be told to send its cookies over nothing else."""
    return origin.startswith("https:")


def _cookie(what: str, origin: str) -> str:
    """Browsers tell the cookies of one host's ports apart by their names alone (RFC 6265, section 8.5), and several
    companies' gateways may run on one host. With the prefix `__Host-`, they accept a cookie only over https and only
    from this host, so that no sibling domain can plant one (RFC 6265bis, section 4.1.3.2)."""
    secure = is_secure(origin)
    port = urlsplit(origin).port or (443 if secure else 80)
    return f"{'__Host-' if secure else ''}millmark-{what}-{port}"


_STORED_EVERY_S: Final = 60


class SteadyClock:
    """Seconds since 1970, which never go back: nonces that were forgotten as expired could be spent again, and expired
    credentials would be accepted. Follows the system's clock forward; when that is set back, goes on at its own pace
    until it is overtaken. Thread-safe.

    The newest time is kept in the database, so that this holds after a restart and for every process on it; up to a
    minute may be missing, except after a sign-in."""

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises StoreError."""
        self._store, self._wall, self._monotonic = store, wall, monotonic
        with store.reading() as connection:
            self._stored_s = AccessRepository(connection).newest_time()
        # One tuple, replaced as a whole, so that threads need no lock.
        self._at: tuple[float, float] = (float(self._stored_s), monotonic())

    def __call__(self) -> int:
        newest_s, seen = self._at
        moment = self._monotonic()
        now_s = max(self._wall(), newest_s + moment - seen)
        self._at = now_s, moment
        if now_s - self._stored_s >= _STORED_EVERY_S:
            self._stored_s = int(now_s)  # even if it then fails: the next minute tries again
            # In a thread of its own, because the event loop asks for the time, and must not wait for a lock or a disk.
            threading.Thread(target=self._remember, args=(int(now_s),), name="millmark-clock", daemon=True).start()
        return int(now_s)

    def _remember(self, now_s: int) -> None:
        try:
            with self._store.transaction() as connection:
                newest_s = AccessRepository(connection).see_time(now_s)
        except errors.StoreError:
            return
        if newest_s > now_s:  # of another process
            self._at = float(newest_s), self._monotonic()
