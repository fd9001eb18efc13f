"""Sign-in of a person's programs: the person, signed in at the browser, lets one program on their machine in.

The program makes a verifier, 32 random bytes, and opens a page with its SHA-256, the challenge. Both show the same few
digits of it. The person agrees on the page, whose answer holds a code; only who has the verifier can use that code,
once and within five minutes. Nothing is stored until then.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable

from millmark.ledger.errors import NotFoundError
from millmark.ledger.store import Store
from millmark.services.access.errors import SignInError
from millmark.services.access.people.people import Entered, People, need_person
from millmark.services.access.people.repository import PeopleRepository
from millmark.services.access.repository import AccessRepository
from millmark.services.access.signin import Nonces

CHALLENGE = r"[A-Za-z0-9_-]{43}"
CODE = re.compile(r"([0-9a-f]{1,8})\.([0-9a-f]{40,128})\.([0-9a-f]{64})")
"""A code of `Pairing.approve`."""
_HINT = "start again: `millmark login`"


def new_verifier() -> str:
    return secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def digits_of(challenge: str) -> str:
    """What the program and the page show, so that a person sees that they belong together."""
    text = hashlib.sha256(b"millmark.pairing.v1\0" + challenge.encode()).hexdigest()[:8].upper()
    return f"{text[:4]}-{text[4:]}"


class Pairing:
    """`key` returns the key of codes, which all processes behind one URL share."""

    def __init__(self, store: Store, people: People, key: Callable[[], bytes]) -> None:
        self._store, self._people, self._key, self._nonces = store, people, key, Nonces(key)

    def approve(self, person: int, challenge: str, now_s: int) -> str:
        """The code with which the program that has the challenge's verifier signs in as the person. Raises
        NotFoundError if there is no such person."""
        with self._store.reading() as connection:
            need_person(PeopleRepository(connection), person)
        nonce = self._nonces.issue(now_s)
        return f"{person:x}.{nonce}.{self._seal(person, nonce, challenge)}"

    def redeem(self, code: str, verifier: str, now_s: int) -> Entered:
        """Opens a session of the person. Raises SignInError, with the same text for every cause."""
        match = CODE.fullmatch(code)
        person, nonce, seal = (int(match[1], 16), match[2], match[3]) if match else (0, "", "")
        expires_at = self._nonces.expiry(nonce)
        fits = hmac.compare_digest(seal, self._seal(person, nonce, challenge_of(verifier)))
        if expires_at is None or not fits:
            raise _refusal()
        with self._store.transaction() as connection:
            access = AccessRepository(connection)
            if (
                now_s >= expires_at
                or access.newest_time() >= expires_at
                or not access.spend_nonce(nonce, expires_at, now_s)
            ):
                raise _refusal()
            try:
                row = need_person(PeopleRepository(connection), person)
            except NotFoundError:  # removed since
                raise _refusal() from None
            return self._people.enter(connection, row, now_s)

    def _seal(self, person: int, nonce: str, challenge: str) -> str:
        text = f"millmark.pairing.v1|{person}|{nonce}|{challenge}"
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()


def _refusal() -> SignInError:
    return SignInError("the code was used, has expired, or is of another program", hint=_HINT)
