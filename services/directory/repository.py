"""The directory that is in force, and the operator's drafts for the next one: their tables, and all access to them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sqlalchemy import Connection, delete

from millmark.ledger.store import Book, Rows, schema_of
from millmark.services.directory.document import Contact, DirectoryEntry, KeyStatement, SignedDirectory, parse_directory


class DirectoryState(enum.StrEnum):
    IN_FORCE = "in force"
    """Published on the ledger, and checked."""
    ISSUED = "issued"
    """Signed by this home, whose publication may not be final yet."""


@dataclass(slots=True)
class DirectoryRow:
    """A signed directory as it was published; one of each state."""

    state: str
    issued_at: int
    digest: bytes
    content: bytes


@dataclass(slots=True)
class DirectoryEntryRow:
    """A company of the directory in force. Empty text and bytes stand for what is not known."""

    participant: int
    name: str
    gln: str
    gateway: str
    public_key: bytes
    issued_at: int
    signature: bytes
    contact: str = ""
    """As `Contact.to_text`."""


@dataclass(slots=True)
class AdmissionRow:
    """What the operator knows of a company that it admits, by the company's first key."""

    address: bytes
    participant: int
    """0 until the ledger has assigned a number."""
    name: str
    gln: str
    gateway: str
    public_key: bytes
    issued_at: int
    signature: bytes
    contact: str = ""

    def to_entry(self) -> DirectoryEntry:
        return _entry(self)


_SCHEMA = schema_of("millmark.services")
directories = _SCHEMA.table("directories", DirectoryRow, "state")
directory_entries = _SCHEMA.table("directory_entries", DirectoryEntryRow, "participant")
admissions = _SCHEMA.table("admissions", AdmissionRow, "address")


class DirectoryRepository:
    """Reads and writes directories in the caller's transaction. Checks nothing; see
    millmark.services.directory.following."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def entry(self, participant: int) -> DirectoryEntry | None:
        """What the directory in force says of a company; None if it does not name it."""
        row = self._rows.get(DirectoryEntryRow, participant)
        return None if row is None else _entry(row)

    def entries(self) -> list[DirectoryEntry]:
        """The directory in force, by participant; empty without one."""
        return [_entry(row) for row in self._rows.find(DirectoryEntryRow)]

    def signed(self, state: DirectoryState = DirectoryState.IN_FORCE) -> SignedDirectory | None:
        row = self._rows.get(DirectoryRow, state.value)
        return None if row is None else parse_directory(row.content)

    def in_force_digest(self) -> bytes | None:
        """Digest of the directory in force; None without one."""
        row = self._rows.get(DirectoryRow, DirectoryState.IN_FORCE.value)
        return None if row is None else row.digest

    def put_issued(self, signed: SignedDirectory) -> None:
        self._rows.put(_document(DirectoryState.ISSUED, signed))

    def put_in_force(self, signed: SignedDirectory) -> None:
        """Replaces the directory in force, and the names by which everything is shown.

        Names of companies that are no longer in it stay: older records are theirs."""
        self._connection.execute(delete(directory_entries))
        self._rows.insert([DirectoryEntryRow(*_columns(entry)) for entry in signed.directory.entries])
        self._rows.put(_document(DirectoryState.IN_FORCE, signed))
        issued = self._rows.get(DirectoryRow, DirectoryState.ISSUED.value)
        if issued is not None and issued.issued_at <= signed.directory.issued_at:
            self._connection.execute(delete(directories).where(directories.c.state == DirectoryState.ISSUED.value))
        book = Book(self._connection)
        names = {**book.names(), **{entry.participant: entry.name for entry in signed.directory.entries}}
        if names != book.names():  # each change invalidates cached answers
            book.set_names(names)

    def put_admission(self, address: bytes, entry: DirectoryEntry) -> None:
        """Replaces what was known by this key, and by another key of the same company."""
        if entry.participant:
            self._connection.execute(delete(admissions).where(admissions.c.participant == entry.participant))
        self._rows.put(AdmissionRow(address, *_columns(entry)))

    def drop_admission(self, address: bytes) -> None:
        """Forgets what was known by this key."""
        self._connection.execute(delete(admissions).where(admissions.c.address == address))

    def drop_issued(self, digest: bytes) -> None:
        """Forgets the document that was signed here, if it is still this one."""
        issued = directories.c.state == DirectoryState.ISSUED.value
        self._connection.execute(delete(directories).where(issued, directories.c.digest == digest))

    def admission(self, address: bytes, participant: int = 0) -> AdmissionRow | None:
        """What is known of a company by its key, or by another one if its number is known."""
        found = self._rows.get(AdmissionRow, address)
        others = self._rows.find(AdmissionRow, participant=participant) if participant else []
        return found or (others[0] if others else None)

    def admissions(self) -> list[AdmissionRow]:
        return self._rows.find(AdmissionRow)


def _document(state: DirectoryState, signed: SignedDirectory) -> DirectoryRow:
    return DirectoryRow(state.value, signed.directory.issued_at, signed.digest, signed.to_bytes())


def _columns(entry: DirectoryEntry) -> tuple[int, str, str, str, bytes, int, bytes, str]:
    key = entry.recipient_key or KeyStatement(b"", 0, b"")
    contact = "" if entry.contact is None else entry.contact.to_text()
    stated = key.public_key, key.issued_at, key.signature
    return entry.participant, entry.name, entry.gln or "", entry.gateway or "", *stated, contact


def _entry(row: DirectoryEntryRow | AdmissionRow) -> DirectoryEntry:
    key = KeyStatement(row.public_key, row.issued_at, row.signature) if row.public_key else None
    return DirectoryEntry(
        row.participant, row.name, row.gln or None, row.gateway or None, key, Contact.from_text(row.contact)
    )
