"""Credentials and spent nonces: their tables, and all access to them. Times are seconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from millmark.ledger.store import Rows, schema_of


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
class PersonSessionRow:
    """Whose session a credential is, if a person opened it, and not a company's key."""

    id: str
    person: int


@dataclass(slots=True)
class SpentNonceRow:
    """A nonce that was used to sign in. It can be deleted once it would be refused as expired."""

    nonce: str
    expires_at: int


@dataclass(slots=True)
class ClockRow:
    """The newest time that any process on this database saw, in the one row with id 1."""

    id: int
    newest_s: int


_SCHEMA = schema_of("millmark.services")
credentials = _SCHEMA.table("credentials", CredentialRow, "id")
person_sessions = _SCHEMA.table("person_sessions", PersonSessionRow, "id", "person")
spent_nonces = _SCHEMA.table("spent_nonces", SpentNonceRow, "nonce")
clock = _SCHEMA.table("clock", ClockRow, "id")


class AccessRepository:
    """Reads and writes credentials and spent nonces in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def newest_time(self) -> int:
        """The newest time that was seen; 0 if none was."""
        row = self._rows.get(ClockRow, 1)
        return 0 if row is None else row.newest_s

    def see_time(self, now_s: int) -> int:
        """Remembers a time if it is the newest, and returns the newest."""
        newest_s = self.newest_time()
        if now_s <= newest_s:
            return newest_s
        if newest_s == 0:
            self._rows.insert([ClockRow(1, now_s)])
        else:
            self._connection.execute(update(clock).where(clock.c.id == 1).values(newest_s=now_s))
        return now_s

    def spend_nonce(self, nonce: str, expires_at: int, now_s: int) -> bool:
        """Marks a nonce as spent; False if it was spent before. Deletes spent nonces that have expired."""
        # With the deletion: a nonce that was forgotten at this time must not be judged by an older one.
        self.see_time(now_s)
        self._connection.execute(delete(spent_nonces).where(spent_nonces.c.expires_at < now_s))
        if self._rows.get(SpentNonceRow, nonce) is not None:
            return False
        # Write transactions are serialized, so nobody can have spent it since the check.
        self._rows.insert([SpentNonceRow(nonce, expires_at)])
        return True

    def add_credential(self, row: CredentialRow) -> None:
        """Stores a credential. Raises StoreError if its id exists already."""
        self._rows.insert([row])

    def credential(self, id_: str) -> CredentialRow | None:
        return self._rows.get(CredentialRow, id_)

    def credentials(self, kind: str) -> list[CredentialRow]:
        """All credentials of one kind, oldest first."""
        query = (
            select(credentials).where(credentials.c.kind == kind).order_by(credentials.c.issued_at, credentials.c.id)
        )
        return [CredentialRow(*row) for row in self._connection.execute(query)]

    def revoke_credential(self, id_: str, kind: str, now_s: int) -> bool:
        """Marks a credential as revoked. Returns False if no credential of that kind has the id, or if it is already
        revoked."""
        statement = (
            update(credentials)
            .where(credentials.c.id == id_, credentials.c.kind == kind, credentials.c.revoked_at == 0)
            .values(revoked_at=now_s)
        )
        return self._connection.execute(statement).rowcount == 1

    def add_person_session(self, id_: str, person: int) -> None:
        self._rows.insert([PersonSessionRow(id_, person)])

    def person_of(self, id_: str) -> int:
        """Whose session a credential is; 0 if no person opened it."""
        row = self._rows.get(PersonSessionRow, id_)
        return 0 if row is None else row.person

    def prolong(self, id_: str, expires_at: int) -> None:
        """Sets when a credential expires."""
        self._connection.execute(update(credentials).where(credentials.c.id == id_).values(expires_at=expires_at))

    def revoke_of_person(self, person: int, kind: str, now_s: int, but: str = "") -> None:
        """Marks a person's credentials as revoked, all but one."""
        theirs = select(person_sessions.c.id).where(person_sessions.c.person == person, person_sessions.c.id != but)
        of = (credentials.c.id.in_(theirs), credentials.c.kind == kind, credentials.c.revoked_at == 0)
        self._connection.execute(update(credentials).where(*of).values(revoked_at=now_s))

    def forget_credentials(self, kind: str, before_s: int) -> None:
        """Deletes credentials that expired before a time."""
        gone = (credentials.c.kind == kind, credentials.c.expires_at < before_s)
        ended = select(credentials.c.id).where(*gone)
        self._connection.execute(delete(person_sessions).where(person_sessions.c.id.in_(ended)))
        self._connection.execute(delete(credentials).where(*gone))
