"""Passkeys (WebAuthn Level 3): a person registers one with an invitation, and signs in with it from then on.

The challenge is a nonce that this gateway recognises without storing it, so that requests for challenges fill no table.
It is spent by the sign-in, in the transaction that opens the session.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from millmark.ledger.errors import NotFoundError
from millmark.ledger.store import Connection, Store
from millmark.services.access import credentials, repository, signin
from millmark.services.access.errors import Ground, SignInError
from millmark.services.access.people import people as persons
from millmark.services.access.people.repository import PasskeyRow, PeopleRepository, PersonRow

if TYPE_CHECKING:
    from webauthn.helpers.structs import RegistrationCredential
    from webauthn.registration.verify_registration_response import VerifiedRegistration

    from millmark.services.access.people.ceremonies import Ceremonies

MAX_CREDENTIAL_CHARACTERS = 16_384
_MAX_PASSKEYS = 10
_MAX_ID_BYTES = 1023
"""WebAuthn Level 3, 7.1 step 25."""
_HINT = "load the page again, and use a passkey of this gateway"


class Passkeys:
    """The passkeys of one gateway's people. `origin` is its public URL: passkeys work at that host alone. `company`:
    whose gateway it is, by which people tell its passkey from those of other gateways at the same host."""

    def __init__(
        self,
        store: Store,
        people: persons.People,
        origin: str,
        key: signin.Key | None = None,
        company: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._store, self._people, self._origin, self._company = store, people, origin, company
        self._host = urlsplit(origin).hostname or ""
        self._nonces = signin.Nonces(key)

    @property
    def possible(self) -> bool:
        """Whether browsers offer passkeys at this address."""
        return persons.accepts_passkeys(self._origin)

    @cached_property
    def _ceremonies(self) -> Ceremonies:
        from millmark.services.access.people.ceremonies import Ceremonies  # noqa: PLC0415 - several megabytes, see there

        return Ceremonies(self._host, self._origin, _HINT)

    # Offering

    def ask_sign_in(self, now_s: int) -> str:
        """The options of `navigator.credentials.get`, as JSON. They name no person and no passkey."""
        return self._ceremonies.build_authentication_options(self._nonces.issue(now_s))

    def ask_invited(self, code: str, now_s: int) -> str:
        """The options of `navigator.credentials.create`, as JSON, for whom an invitation is. Raises SignInError."""
        with self._store.reading() as connection:
            people = PeopleRepository(connection)
            row = persons.find_invitation(people, code, now_s)
            person = people.person(row.person) if row.person else None
        return self._ask(row.name, persons.handle_of(code) if person is None else person.handle, [], now_s)

    def ask_further(self, number: int, now_s: int) -> str:
        """The same for a further passkey of a person who is signed in. Raises NotFoundError."""
        with self._store.reading() as connection:
            people = PeopleRepository(connection)
            person = persons.need_person(people, number)
            return self._ask(person.name, person.handle, people.passkeys(number), now_s)

    def _ask(self, name: str, handle: bytes, known: list[PasskeyRow], now_s: int) -> str:
        ids, company = [one.id for one in known], self._company()
        label = name if company is None else f"{name}, {company}"
        return self._ceremonies.build_registration_options(self._nonces.issue(now_s), label, handle, ids)

    # Accepting

    def register(self, code: str, answer: str, now_s: int) -> persons.Entered:
        """Takes an invitation with a new passkey, and signs in. Raises SignInError."""
        credential = self._ceremonies.parse_registration(_bounded(answer))
        verified = self._verify_registration(credential, now_s)
        with self._store.transaction() as connection:
            self._spend(connection, self._ceremonies.challenge_of(credential), now_s)
            person = self._people.welcome(connection, code, now_s)
            self._add(connection, person, verified, now_s)
            return self._people.enter(connection, person, now_s)

    def add(self, number: int, answer: str, now_s: int) -> None:
        """Adds a passkey to those of a person who is signed in. Raises SignInError, NotFoundError."""
        credential = self._ceremonies.parse_registration(_bounded(answer))
        verified = self._verify_registration(credential, now_s)
        with self._store.transaction() as connection:
            self._spend(connection, self._ceremonies.challenge_of(credential), now_s)
            self._add(connection, persons.need_person(PeopleRepository(connection), number), verified, now_s)

    def remove(self, number: int, id_: bytes, now_s: int, here: str = "") -> None:
        """Removes one of a person's own passkeys, and ends the person's sessions but the one `here`. Raises
        NotFoundError, SignInError for the last way in."""
        with self._store.transaction() as connection:
            people = PeopleRepository(connection)
            if len(people.passkeys(number)) + len(people.openid_accounts(number)) < 2:
                raise SignInError(Ground.LAST_WAY.write(), hint="add another passkey first")
            if not people.remove_passkey(id_, number):
                raise NotFoundError(Ground.NO_PASSKEY.write(), hint="load the page again")
            # Who removes a passkey may have lost the device, on which a session is open.
            credentials.end_sessions(repository.AccessRepository(connection), number, now_s, but=here)

    def listed(self, number: int) -> list[PasskeyRow]:
        with self._store.reading() as connection:
            return PeopleRepository(connection).passkeys(number)

    def sign_in(self, answer: str, now_s: int) -> persons.Entered:
        """Opens a session for the person whose passkey signed. Raises SignInError, with the same text for an unknown
        passkey and for one of somebody who was removed."""
        credential = self._ceremonies.parse_authentication(_bounded(answer))
        with self._store.transaction() as connection:
            people = PeopleRepository(connection)
            row = people.passkey(credential.raw_id)
            person = None if row is None else people.person(row.person)
            # The authenticator names the account that it signs for (WebAuthn, 7.2 step 6); it must be the key's.
            if row is None or person is None or credential.response.user_handle != person.handle:
                raise SignInError(Ground.UNKNOWN.write(), hint=_HINT)
            # The counter is compared with the stored one within the transaction: a copy cannot sign in beside it.
            self._verify_current(self._ceremonies.challenge_of(credential), now_s)
            verified = self._ceremonies.verify_authentication(credential, row.public_key, row.uses)
            self._spend(connection, self._ceremonies.challenge_of(credential), now_s)
            people.use_passkey(row.id, verified.new_sign_count, now_s)
            return self._people.enter(connection, person, now_s)

    def _add(self, connection: Connection, person: PersonRow, verified: VerifiedRegistration, now_s: int) -> None:
        people = PeopleRepository(connection)
        if len(verified.credential_id) > _MAX_ID_BYTES:
            raise SignInError(Ground.PASSKEY_ID.write(), hint=_HINT)
        if len(people.passkeys(person.number)) >= _MAX_PASSKEYS:
            raise SignInError(Ground.MANY.write(value=_MAX_PASSKEYS), hint="remove one first")
        if people.passkey(verified.credential_id) is not None:
            raise SignInError(Ground.REGISTERED.write(), hint=_HINT)
        label = "synced" if verified.credential_backed_up else "on one device"
        row = PasskeyRow(
            verified.credential_id,
            person.number,
            verified.credential_public_key,
            verified.sign_count,
            label,
            now_s,
            0,
        )
        people.add_passkey(row)

    def _verify_registration(self, credential: RegistrationCredential, now_s: int) -> VerifiedRegistration:
        self._verify_current(self._ceremonies.challenge_of(credential), now_s)
        return self._ceremonies.verify_registration(credential)

    def _verify_current(self, challenge: str, now_s: int) -> None:
        expiry = self._nonces.expiry(challenge)
        if expiry is None or now_s >= expiry:
            raise SignInError(Ground.STALE.write(), hint=_HINT)

    def _spend(self, connection: Connection, challenge: str, now_s: int) -> None:
        access = repository.AccessRepository(connection)
        # By the newest time that any process saw, as for the messages that keys sign.
        self._verify_current(challenge, access.see_time(now_s))
        if not access.spend_nonce(challenge, now_s + 2 * signin.NONCE_LIFE_S, now_s):
            raise SignInError(Ground.REPEATED.write(), hint=_HINT)


def _bounded(answer: str) -> str:
    if len(answer) > MAX_CREDENTIAL_CHARACTERS:
        raise SignInError(Ground.LONG.write(), hint=_HINT)
    return answer
