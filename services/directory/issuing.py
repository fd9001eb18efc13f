"""The operator's side: what the next directory says, and which one is signed already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from millmark.ledger.errors import InputError, NotFoundError, TrustError
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Connection, Registry, Rows
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.directory.document import (
    Directory,
    DirectoryEntry,
    SignedDirectory,
    parse_directory,
    sign_directory,
    verify_each_once,
)
from millmark.services.directory.following import Operators
from millmark.services.directory.repository import AdmissionRow, DirectoryRepository, DirectoryState


def keep_admission(connection: Connection, key: bytes, entry: DirectoryEntry) -> None:
    """Keeps what the next directory says of a company, by its first key; `entry.participant` is 0 until it is known.

    A statement of a recipient key is never replaced by an earlier one, nor by none.
    """
    directories = DirectoryRepository(connection)
    before = directories.admission(key, entry.participant)
    stated = entry.recipient_key
    if before is not None and before.public_key and (stated is None or stated.issued_at < before.issued_at):
        stated = before.to_entry().recipient_key
    directories.put_admission(
        AdmissionRow(
            key,
            entry.participant or (0 if before is None else before.participant),
            entry.name,
            entry.gln or "",
            entry.gateway or "",
            b"" if stated is None else stated.public_key,
            0 if stated is None else stated.issued_at,
            b"" if stated is None else stated.signature,
            "" if entry.contact is None else entry.contact.to_text(),
        )
    )


def verify_admissible(connection: Connection, entries: dict[bytes, DirectoryEntry]) -> None:
    """Raises InputError if one of these companies, by key, has the name or GLN of another: a directory could not list
    both. To be called before anything is recorded, since nothing takes an admission back."""
    numbers = {number for entry in entries.values() if (number := entry.participant)}
    rows = DirectoryRepository(connection).admissions()
    known = {row.address: row.to_entry() for row in rows if row.participant not in numbers}  # it may have another key
    whole = {**known, **entries}
    taken = {number for entry in whole.values() if (number := entry.participant)}
    others = [entry for entry in draft_entries(connection) if entry.participant not in taken]
    numbered = [replace(entry, participant=place) for place, entry in enumerate([*others, *whole.values()], 1)]
    try:
        verify_each_once(numbered)
    except TrustError as error:
        raise InputError(
            error.cause, hint="tell the companies apart by their names and GLNs; nothing was recorded"
        ) from None


def draft_entries(connection: Connection) -> list[DirectoryEntry]:
    """What the next directory says: all companies with a name here that the ledger has, by number."""
    known = {row.number for row in Rows(connection).find(ParticipantRow)}
    found = {number: DirectoryEntry(number, name) for number, name in Book(connection).names().items()}
    found |= {row.participant: row.to_entry() for row in DirectoryRepository(connection).admissions()}
    return [found[number] for number in sorted(found) if number in known]


def issue_directory(
    connection: Connection, signer: Signer, operators: Operators, now_s: int
) -> tuple[SignedDirectory, bool]:
    """The directory with what is known now, and whether it is in force. Signs another one only if none that says
    the same is signed yet by an operator: an interrupted publication goes on with the same document, and so with the
    same digest. Nobody who joins believes a signer who was an operator once.

    Raises NotFoundError if nothing is indexed, DirectoryError for entries that cannot be listed together.
    """
    directories, registry = DirectoryRepository(connection), Registry(connection)
    identity = registry.identity()
    if identity is None:
        raise NotFoundError("nothing is indexed yet", hint="run the command again when the chain answers")
    entries = tuple(draft_entries(connection))
    known: Sequence[SignedDirectory | None] = [directories.signed(), directories.signed(DirectoryState.ISSUED)]
    for place, signed in enumerate(known):
        if signed is None or signed.directory.entries != entries:
            continue
        if operators.may_sign(registry, signed.recover_signer()):
            return signed, place == 0
    latest = max((signed.directory.issued_at for signed in known if signed is not None), default=0)
    issued_at = max(now_s, latest + 1)
    signed = sign_directory(Directory(identity.chain_id, identity.ledger, issued_at, entries), signer)
    directories.put_issued(signed)
    return parse_directory(signed.to_bytes()), False
