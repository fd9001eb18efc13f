"""Who may sign in at the gateway: invitations, roles, removal, and the sessions of people and of their programs."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.store import Connection, Registry, Store
from millmark.services.access.credentials import PERSON_IDLE_S, CredentialKind, end_sessions, issue
from millmark.services.access.errors import Ground, SignInError
from millmark.services.access.people.repository import InvitationRow, PeopleRepository, PersonRow
from millmark.services.access.repository import AccessRepository
from millmark.services.access.rules import OPERATOR, PersonRole, Principal
from millmark.services.access.signin import Nonces

INVITATION_LIFE_S = 7 * 86_400
MAX_NAME_CHARACTERS = 80
_CODE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation. Whoever has its code becomes the person."""

    code: str
    name: str
    role: PersonRole
    expires_at: int


@dataclass(frozen=True, slots=True)
class Entered:
    """The result of a person's sign-in."""

    token: str
    person: PersonRow
    participant: int
    """Number of the person's company."""

    @property
    def principal(self) -> Principal:
        """Who entered, for the audit log; it may do nothing."""
        credential = self.token.split("_")[1]
        return Principal(
            self.participant, 0, frozenset(), credential, True, 0, person=self.person.number, name=self.person.name
        )


class People:
    """The people of one company, or of the consortium's operator. `owner` is its number; None if the settings do not
    say which company it is."""

    def __init__(self, store: Store, owner: int | None, verify_fresh: Callable[[], None] = lambda: None) -> None:
        """`verify_fresh` raises an error while the index may lack that the company was suspended."""
        self._store, self._owner, self._verify_fresh = store, owner, verify_fresh

    def listed(self) -> list[PersonRow]:
        """Everybody who may sign in, in the order of their numbers."""
        with self._store.reading() as connection:
            return PeopleRepository(connection).people()

    def names(self) -> dict[int, str]:
        """The names of all people by number, also of those who were removed, for the audit log."""
        with self._store.reading() as connection:
            return {row.number: row.name for row in PeopleRepository(connection).people(removed=True)}

    def invite(
        self,
        name: str,
        role: PersonRole,
        *,
        now_s: int,
        invited_by: int | None = None,
        person: int | None = None,
        seed: bytes | None = None,
        within: Connection | None = None,
    ) -> Invitation:
        """Invites somebody new, or lets `person` in again who lost every way in. `seed`: 32 secret bytes from which
        the code is made; by default they are random. `within`: a transaction of the caller's to do it in. Raises
        InputError, NotFoundError."""
        name = " ".join(name.split())
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            raise InputError(Ground.NAME.write(value=MAX_NAME_CHARACTERS), hint="shorten it")
        code, expires_at = code_of(seed or secrets.token_bytes(32)), now_s + INVITATION_LIFE_S
        row = InvitationRow(_digest(code), person or 0, name, role.value, invited_by or 0, now_s, expires_at, 0)
        with self._store.joining(within) as connection:
            found = PeopleRepository(connection)
            if person is not None:
                # Somebody who comes back is who they were, whatever else was asked for.
                known = need_person(found, person)
                row.name, row.role = known.name, known.role
            found.add_invitation(row, now_s)
        return Invitation(code, row.name, PersonRole(row.role), expires_at)

    def withdraw(self, digest: bytes) -> None:
        """Makes an open invitation worthless. Raises NotFoundError."""
        with self._store.transaction() as connection:
            if not PeopleRepository(connection).withdraw_invitation(digest):
                raise NotFoundError(Ground.NOT_OPEN.write(), hint="load the page again")

    def invitation(self, code: str, now_s: int) -> InvitationRow:
        """The open invitation with a code. Raises SignInError, with the same text for every cause."""
        with self._store.reading() as connection:
            return find_invitation(PeopleRepository(connection), code, now_s)

    def open_invitations(self, now_s: int) -> list[InvitationRow]:
        with self._store.reading() as connection:
            return PeopleRepository(connection).open_invitations(now_s)

    def change_role(self, number: int, role: PersonRole) -> None:
        """Raises NotFoundError, or InputError if nobody could invite any more."""
        with self._store.transaction() as connection:
            people = PeopleRepository(connection)
            need_person(people, number)
            if role is not PersonRole.ADMINISTRATOR:
                _keep_an_administrator(people, number)
                people.withdraw_invitations_by(number)
            people.change_role(number, role.value)

    def remove(self, number: int, now_s: int) -> None:
        """Removes a person, their ways in and their sessions. Raises as `change_role` does."""
        with self._store.transaction() as connection:
            people = PeopleRepository(connection)
            need_person(people, number)
            _keep_an_administrator(people, number)
            people.remove_person(number, now_s)
            end_sessions(AccessRepository(connection), number, now_s)

    def enter(self, connection: Connection, person: PersonRow, now_s: int) -> Entered:
        """Opens a session for a person who proved to be that person, in the transaction that spent the proof. Raises
        SignInError if their company is not active."""
        self._verify_fresh()
        if not self._is_active(connection):
            raise SignInError(
                Ground.SUSPENDED.write(),
                hint="set gateway_participant; see `millmark participants list`",
            )
        access = AccessRepository(connection)
        access.forget_credentials(CredentialKind.SESSION.value, now_s - PERSON_IDLE_S)
        text, _ = issue(
            access,
            CredentialKind.SESSION,
            self._owner or OPERATOR,
            PersonRole(person.role).scopes,
            now_s=now_s,
            life_s=PERSON_IDLE_S,
            person=person.number,
        )
        return Entered(text, person, self._owner or OPERATOR)

    def _is_active(self, connection: Connection) -> bool:
        """Whether the gateway's company may act. The operator is not a participant, so nothing suspends it."""
        if self._owner is None:
            return False
        return self._owner == OPERATOR or Registry(connection).participant(self._owner) is not None

    def welcome(self, connection: Connection, code: str, now_s: int) -> PersonRow:
        """Uses an invitation: the person that it makes, or lets in again, then without the earlier ways in. Raises
        SignInError."""
        people = PeopleRepository(connection)
        row = find_invitation(people, code, now_s)
        # Whoever marks it as used has it: of two requests with one code that both found it open, one is refused here.
        if not people.use_invitation(row.digest, now_s):
            raise _no_invitation()
        if row.person:
            # Who lost a phone may have lost it to somebody: nothing that was on it counts from now on.
            person = need_person(people, row.person)
            people.remove_ways_in(person.number)
            end_sessions(AccessRepository(connection), person.number, now_s)
            return person
        return people.add_person(handle_of(code), row.name, row.role, now_s)


def code_of(seed: bytes) -> str:
    """The code of an invitation that is made from these 32 bytes."""
    return urlsafe_b64encode(seed).decode().rstrip("=")


def handle_of(code: str) -> bytes:
    """What authenticators will know the person by whom an invitation lets in: 32 bytes that tell nothing."""
    return hashlib.sha256(b"millmark.person.v1\0" + code.encode()).digest()


def find_invitation(people: PeopleRepository, code: str, now_s: int) -> InvitationRow:
    """The open invitation with a code. Raises SignInError, with the same text for every cause."""
    row = people.invitation(_digest(code)) if _CODE.fullmatch(code) else None
    if row is None or row.used_at or now_s >= row.expires_at:
        raise _no_invitation()
    return row


def _no_invitation() -> SignInError:
    return SignInError(Ground.INVITATION.write(), hint="ask an administrator of your company for an invitation")


def need_person(people: PeopleRepository, number: int) -> PersonRow:
    """Raises NotFoundError unless there is such a person, who was not removed."""
    row = people.person(number)
    if row is None:
        raise NotFoundError(Ground.NO_PERSON.write(value=number), hint="see `millmark people list`")
    return row


def _keep_an_administrator(people: PeopleRepository, number: int) -> None:
    others = [one for one in people.people() if one.number != number and one.role == PersonRole.ADMINISTRATOR]
    here = people.person(number)
    if here is not None and here.role == PersonRole.ADMINISTRATOR and not others:
        raise InputError(
            Ground.LAST_ADMINISTRATOR.write(),
            hint="make somebody else an administrator first: `millmark people invite NAME --role administrator`",
        )


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


# Sign-in of a person's programs: the person, signed in at the browser, lets one program on their machine in.
#
# The program makes a verifier, 32 random bytes, and opens a page with its SHA-256, the challenge. Both show the same
# few digits of it. The person agrees on the page, whose answer holds a code; only who has the verifier can use that
# code, once and within five minutes. Nothing is stored until then.

CHALLENGE = r"[A-Za-z0-9_-]{43}"
CODE = re.compile(r"([0-9a-f]{1,8})\.([0-9a-f]{40,128})\.([0-9a-f]{64})")
"""A code of `Pairing.approve`."""


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
    return SignInError("the code was used, has expired, or is of another program", hint="start again: `millmark login`")


def accepts_passkeys(origin: str) -> bool:
    """Whether browsers offer passkeys at an origin: at a name by https, or at `localhost`.

    WebAuthn Level 3, 5.1.3 step 8 and 13.4.9: the effective domain has to be a domain, and the context secure."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return parts.scheme == "https" and bool(host)
    return False
