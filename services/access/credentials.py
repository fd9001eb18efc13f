"""Bearer credentials: session tokens, issued at sign-in, and API keys for machines.

    mms_ID_SECRET    session
    mmk_ID_SECRET    API key

ID is 12 hexadecimal digits, SECRET is 256 random bits in base64url without padding. The database stores only the
SHA-256 of the whole text. Both kinds are opaque: unlike a JWT there is no algorithm to confuse, and revocation is
immediate.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from millmark.ledger.errors import InputError, NotFoundError, StoreError
from millmark.ledger.store import Connection, Registry, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access.errors import Ground, UnauthenticatedError
from millmark.services.access.people.repository import PeopleRepository
from millmark.services.access.repository import AccessRepository, CredentialRow
from millmark.services.access.rules import ANY_ROLE, OPERATOR, PersonRole, Principal, Scope

SESSION_LIFE_S = 900
MAX_API_KEY_LIFE_S = 366 * 86_400
MAX_LABEL_CHARACTERS = 80

_FORM = re.compile(r"(mms|mmk)_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class CredentialKind(enum.StrEnum):
    SESSION = "session"
    API_KEY = "api-key"


_PREFIXES = {CredentialKind.SESSION: "mms", CredentialKind.API_KEY: "mmk"}


def issue(
    access: AccessRepository,
    kind: CredentialKind,
    participant: int,
    scopes: Iterable[Scope],
    *,
    now_s: int,
    life_s: int,
    key: bytes = b"",
    label: str = "",
    person: int = 0,
    seed: bytes | None = None,
) -> tuple[str, CredentialRow]:
    """Issues a credential. `seed`: 32 secret bytes from which its text is made; by default they are random. Returns the
    text, which is stored nowhere, and its row."""
    id_, text = _text_of(kind, seed or secrets.token_bytes(32))
    row = CredentialRow(
        id=id_,
        kind=kind.value,
        digest=_digest(text),
        participant=participant,
        key=key,
        scopes=" ".join(sorted(scopes)),
        label=label,
        issued_at=now_s,
        expires_at=now_s + life_s,
        revoked_at=0,
    )
    access.add_credential(row)
    if person:
        access.add_person_session(id_, person)
    return text, row


def new_api_key(
    store: Store,
    participant: int,
    scopes: Iterable[Scope],
    label: str,
    *,
    now_s: int,
    life_s: int,
    seed: bytes | None = None,
    within: Connection | None = None,
) -> tuple[str, CredentialRow]:
    """Issues an API key for an indexed participant; `seed` as of `issue`. `within`: a transaction of the caller's to do
    it in. Raises InputError for an invalid lifetime or label or an empty set of scopes, and NotFoundError if the
    participant is unknown or suspended."""
    wanted = frozenset(scopes)
    if not wanted:
        raise InputError(Ground.NO_SCOPE.write(), hint=f"give one of {', '.join(Scope)}")
    if not 0 < life_s <= MAX_API_KEY_LIFE_S:
        raise InputError(
            Ground.KEY_LIFE.write(value=MAX_API_KEY_LIFE_S // 86_400), hint="create a new one before it expires"
        )
    if len(label) > MAX_LABEL_CHARACTERS or not label.isprintable() or not label.strip():
        raise InputError(Ground.LABEL.write(value=MAX_LABEL_CHARACTERS), hint="describe who uses the key")
    with store.joining(within) as connection:
        if Registry(connection).participant(participant) is None:
            raise NotFoundError(
                Ground.NO_COMPANY.write(value=participant),
                hint="see `millmark participants list`; `millmark join` accepts the company's key",
            )
        access, kind = AccessRepository(connection), CredentialKind.API_KEY
        return issue(access, kind, participant, wanted, now_s=now_s, life_s=life_s, label=label.strip(), seed=seed)


def find_api_key(store: Store, seed: bytes, now_s: int) -> str:
    """The text of the API key that was made from a seed, if it is still valid; otherwise an empty text."""
    id_, text = _text_of(CredentialKind.API_KEY, seed)
    with store.reading() as connection:
        row = AccessRepository(connection).credential(id_)
    made = row is not None and hmac.compare_digest(row.digest, _digest(text))
    return text if row is not None and made and not row.revoked_at and now_s < row.expires_at else ""


def authenticate(store: Store, text: str, *, now_s: int, owner: int | None, passive: bool = False) -> Principal:
    """The principal with this credential. `owner` is the participant that the gateway belongs to. A `passive` request
    does not prolong a person's session. Raises UnauthenticatedError, with the same text for every cause. Roles, and
    whether participant and signing key are active, are those in the index now, not those at issue."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise build_refusal()
    with store.reading() as connection:
        access = AccessRepository(connection)
        row = access.credential(match[2])
        # The id finds the row; the comparison with the digest takes constant time.
        if row is None or not hmac.compare_digest(row.digest, _digest(text)):
            raise build_refusal()
        number = access.person_of(row.id) if row.kind == CredentialKind.SESSION else 0
        roles = _find_roles(Registry(connection), row, number, owner)
        person = PeopleRepository(connection).person(number) if number else None
    if row.revoked_at or now_s >= row.expires_at or roles is None or (number and person is None):
        raise build_refusal()
    # A person's role as it is now: one who may no longer record stops at once.
    scopes = frozenset(map(Scope, row.scopes.split())) if person is None else PersonRole(person.role).scopes
    return Principal(
        participant=None if row.participant == OPERATOR else row.participant,
        roles=roles,
        scopes=scopes,
        credential=row.id,
        owner=row.participant == owner,
        expires_at=_prolong(store, row, now_s) if number and not passive else row.expires_at,
        person=number,
        name="" if person is None else person.name,
    )


def _prolong(store: Store, row: CredentialRow, now_s: int) -> int:
    """A session that a person uses lasts on, for a working day. Returns its expiry."""
    expires_at = slide(row.issued_at, row.expires_at, now_s)
    if expires_at == row.expires_at:
        return expires_at
    try:
        with store.transaction() as connection:
            AccessRepository(connection).prolong(row.id, expires_at)
    except StoreError:
        # Reading must go on while nothing can be written: the session then ends when it would have.
        return row.expires_at
    return expires_at


def end_sessions(access: AccessRepository, person: int, now_s: int, but: str = "") -> None:
    """Ends all sessions of a person, but one if its credential is given."""
    access.revoke_of_person(person, CredentialKind.SESSION.value, now_s, but)


def revoke(store: Store, id_: str, kind: CredentialKind, *, now_s: int) -> None:
    """Revokes a credential. Raises NotFoundError if no credential of that kind has the id, or if it is already
    revoked."""
    with store.transaction() as connection:
        if not AccessRepository(connection).revoke_credential(id_, kind.value, now_s):
            raise NotFoundError(f"no active {kind.value} {id_[:60]!a} to revoke", hint="see `millmark apikeys list`")


def _find_roles(registry: Registry, row: CredentialRow, person: int, owner: int | None) -> int | None:
    """The participant's roles; None if it is not active. People of the operator may read what each role may."""
    if row.participant == OPERATOR:
        return ANY_ROLE if person and owner == OPERATOR else None
    found = _find_active(registry, row, person)
    return None if found is None else found.roles


def _find_active(registry: Registry, row: CredentialRow, person: int) -> ParticipantRow | None:
    """The participant, if it is active and, for the session of a key, still owns that key; None otherwise."""
    if row.kind == CredentialKind.API_KEY or person:
        return registry.participant(row.participant)
    # Revoking a key ends its sessions, although the participant stays active.
    found = registry.participant_of(row.key)
    return found if found is not None and found.number == row.participant else None


def _text_of(kind: CredentialKind, seed: bytes) -> tuple[str, str]:
    """The public part and the whole text of a credential that is made from a seed."""
    # The public part is in the database and in logs: it must not tell anything of the seed.
    id_ = hashlib.sha256(b"millmark.credential-id.v1\0" + seed).hexdigest()[:12]
    return id_, f"{_PREFIXES[kind]}_{id_}_{urlsafe_b64encode(seed).decode().rstrip('=')}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def build_refusal() -> UnauthenticatedError:
    """The error for every credential that is refused. It does not reveal the cause."""
    return UnauthenticatedError("the credential is not valid", hint="sign in again, or ask the operator for a new key")


# How long sessions last.
#
# A company's key opens a session for 15 minutes: it can record, and programs sign in again by themselves. A person's
# session lasts a working day, and is over earlier when nobody used it for a while.

PERSON_LIFE_S = 12 * 3600
"""After this time since the sign-in, a person signs in again in any case."""
PERSON_IDLE_S = 2 * 3600
"""After this time without a request, a person signs in again."""
SLIDE_S = 300
"""A session is prolonged at most this often, so that not every request writes."""


def slide(issued_at: int, expires_at: int, now_s: int) -> int:
    """Until when a session lasts that a person uses now; the same as before if it is not worth writing down."""
    longest = min(now_s + PERSON_IDLE_S, issued_at + PERSON_LIFE_S)
    return longest if longest >= expires_at + SLIDE_S else expires_at
