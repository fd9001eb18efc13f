"""People, their passkeys and provider accounts, and invitations: their tables, and all access to them. Times are in
seconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from millmark.ledger.store import Rows, schema_of


@dataclass(slots=True)
class PersonRow:
    """A person. One who was removed stays, so that the audit log's numbers keep their names."""

    number: int
    handle: bytes
    """What authenticators know the person by: 32 random bytes, and nothing about the person."""
    name: str
    role: str
    added_at: int
    removed_at: int


@dataclass(slots=True)
class PasskeyRow:
    id: bytes
    person: int
    public_key: bytes
    uses: int
    """The authenticator's counter of signatures; 0 if it has none."""
    label: str
    added_at: int
    used_at: int


@dataclass(slots=True)
class OpenIdRow:
    """An account at the company's provider, which never gives a subject to another person (OpenID Connect Core, 8)."""

    issuer: str
    subject: str
    person: int
    added_at: int


@dataclass(slots=True)
class InvitationRow:
    """Only the SHA-256 of its code is stored, which has 256 random bits."""

    digest: bytes
    person: int
    """Whom it lets in again; 0 for somebody new."""
    name: str
    role: str
    invited_by: int
    """Person; 0 if a command or a company's key invited."""
    issued_at: int
    expires_at: int
    used_at: int


_SCHEMA = schema_of("millmark.services")
people = _SCHEMA.table("people", PersonRow, "number", "handle")
passkeys = _SCHEMA.table("passkeys", PasskeyRow, "id", "person")
openid_accounts = _SCHEMA.table("openid_accounts", OpenIdRow, "issuer subject", "person")
invitations = _SCHEMA.table("invitations", InvitationRow, "digest", "expires_at")


class PeopleRepository:
    """Reads and writes people in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def person(self, number: int) -> PersonRow | None:
        """A person, unless they were removed."""
        row = self._rows.get(PersonRow, number)
        return None if row is None or row.removed_at else row

    def people(self, *, removed: bool = False) -> list[PersonRow]:
        """All people in the order of their numbers, those who were removed only if asked for."""
        query = select(people).order_by(people.c.number)
        return [
            PersonRow(*row)
            for row in self._connection.execute(query if removed else query.where(people.c.removed_at == 0))
        ]

    def add_person(self, handle: bytes, name: str, role: str, now_s: int) -> PersonRow:
        # Write transactions are serialized, so nobody else takes the number.
        last = self._connection.execute(select(func.max(people.c.number))).scalar()
        row = PersonRow((last or 0) + 1, handle, name, role, now_s, 0)
        self._rows.insert([row])
        return row

    def change_role(self, number: int, role: str) -> None:
        self._connection.execute(update(people).where(people.c.number == number).values(role=role))

    def remove_person(self, number: int, now_s: int) -> None:
        """Marks a person as removed, and deletes every way in, also what the person gave to others."""
        self._connection.execute(update(people).where(people.c.number == number).values(removed_at=now_s))
        self.withdraw_invitations_by(number)
        self.remove_ways_in(number)

    def withdraw_invitations_by(self, number: int) -> None:
        self._connection.execute(delete(invitations).where(invitations.c.invited_by == number))

    def remove_ways_in(self, number: int) -> None:
        """Deletes a person's passkeys and accounts, and the invitations that would let the person in again."""
        self._connection.execute(delete(passkeys).where(passkeys.c.person == number))
        self._connection.execute(delete(openid_accounts).where(openid_accounts.c.person == number))
        self._connection.execute(delete(invitations).where(invitations.c.person == number))

    def passkey(self, id_: bytes) -> PasskeyRow | None:
        return self._rows.get(PasskeyRow, id_)

    def passkeys(self, person: int) -> list[PasskeyRow]:
        query = select(passkeys).where(passkeys.c.person == person).order_by(passkeys.c.added_at, passkeys.c.id)
        return [PasskeyRow(*row) for row in self._connection.execute(query)]

    def add_passkey(self, row: PasskeyRow) -> None:
        self._rows.insert([row])

    def use_passkey(self, id_: bytes, uses: int, now_s: int) -> None:
        self._connection.execute(update(passkeys).where(passkeys.c.id == id_).values(uses=uses, used_at=now_s))

    def remove_passkey(self, id_: bytes, person: int) -> bool:
        gone = delete(passkeys).where(passkeys.c.id == id_, passkeys.c.person == person)
        return self._connection.execute(gone).rowcount == 1

    def openid_account(self, issuer: str, subject: str) -> OpenIdRow | None:
        return self._rows.get(OpenIdRow, issuer, subject)

    def openid_accounts(self, person: int) -> list[OpenIdRow]:
        return self._rows.find(OpenIdRow, person=person)

    def add_openid_account(self, row: OpenIdRow) -> None:
        self._rows.insert([row])

    def add_invitation(self, row: InvitationRow, now_s: int) -> None:
        """Stores an invitation, and deletes those that expired."""
        self._connection.execute(delete(invitations).where(invitations.c.expires_at < now_s))
        self._rows.insert([row])

    def invitation(self, digest: bytes) -> InvitationRow | None:
        return self._rows.get(InvitationRow, digest)

    def open_invitations(self, now_s: int) -> list[InvitationRow]:
        query = select(invitations).where(invitations.c.used_at == 0, invitations.c.expires_at > now_s)
        return [InvitationRow(*row) for row in self._connection.execute(query.order_by(invitations.c.issued_at))]

    def withdraw_invitation(self, digest: bytes) -> bool:
        """Deletes an open invitation. Returns False if there is none."""
        gone = delete(invitations).where(invitations.c.digest == digest, invitations.c.used_at == 0)
        return self._connection.execute(gone).rowcount == 1

    def use_invitation(self, digest: bytes, now_s: int) -> bool:
        """Marks an invitation as used. Returns False if it was before."""
        once = update(invitations).where(invitations.c.digest == digest, invitations.c.used_at == 0)
        return self._connection.execute(once.values(used_at=now_s)).rowcount == 1
