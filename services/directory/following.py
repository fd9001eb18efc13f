"""Takes a directory over, after it was checked, and says why not otherwise; and, for the operator, what the next one
says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from millmark.ledger import errors, records, signatures
from millmark.ledger.chain import Chain
from millmark.ledger.chain.council import Council
from millmark.ledger.store import Book, Connection, Registry, Rows
from millmark.ledger.store.rows import KeyRow, ParticipantRow, PublicationRow
from millmark.services.directory import document
from millmark.services.directory.repository import DirectoryRepository, DirectoryState

_AGAIN = "get the directory again from the operator's gateway"
_LATER = "run the command again when the index has followed the chain"


@dataclass(frozen=True, slots=True)
class Operators:
    """Who may sign the directory: the registry's owner or, if a council owns it, each of its members."""

    owner: bytes
    """Address of a key, or of a council."""
    members: tuple[int, ...] = ()
    """Participants; empty without a council."""

    def may_sign(self, registry: Registry, address: bytes) -> bool:
        if address == self.owner:
            return True
        found = registry.participant_of(address)
        return found is not None and found.number in self.members


def fetch_operators(chain: Chain) -> Operators:
    """The operators as the chain names them now. Raises ChainError."""
    owner = cast(bytes, chain.read(records.Contract.REGISTRY, "owner")[0])
    return Operators(owner, Council(chain, owner).members if chain.node.code(owner) else ())


def published_digest(connection: Connection) -> bytes | None:
    """Digest of the directory that the operator published last, according to the index; None if it published none."""
    row = Rows(connection).get(PublicationRow, int(records.PublicationKind.DIRECTORY))
    return None if row is None else row.digest


def take_directory(connection: Connection, signed: document.SignedDirectory, operators: Operators) -> bool:
    """Replaces the directory in force by a later one, in the caller's transaction. Returns whether it was new. Raises
    DirectoryError, and keeps nothing, for a directory for another ledger, signed by somebody else than the operators,
    older than the one in force, other than the one published on the ledger, or with a recipient key that its company
    did not sign."""
    directories = DirectoryRepository(connection)
    _verify_signer(Registry(connection), signed, operators)
    known = directories.signed()
    if known is not None and known.digest == signed.digest:
        return False
    if known is not None and known.directory.issued_at >= signed.directory.issued_at:
        raise document.DirectoryError("the directory is older than the one that is known here", hint=_AGAIN)
    if published_digest(connection) != signed.digest:
        raise document.DirectoryError(
            "the directory is not the one whose digest is published on the ledger",
            hint=f"{_LATER}, or {_AGAIN}",
        )
    _verify_entries(connection, signed.directory)
    directories.put_in_force(signed)
    return True


def verify_publishable(connection: Connection, signed: document.SignedDirectory, operators: Operators) -> None:
    """Raises DirectoryError for a directory that nobody could take over if its digest were published."""
    _verify_signer(Registry(connection), signed, operators)
    _verify_entries(connection, signed.directory)


def _verify_signer(registry: Registry, signed: document.SignedDirectory, operators: Operators) -> None:
    identity, directory = registry.identity(), signed.directory
    if identity is None:
        raise document.DirectoryError("the directory cannot be checked: nothing is indexed yet", hint=_LATER)
    if (directory.chain_id, directory.ledger) != (identity.chain_id, identity.ledger):
        raise document.DirectoryError(
            f"the directory is of chain {directory.chain_id} and ledger {signatures.to_checksum(directory.ledger)}",
            hint="get the one of your own consortium",
        )
    signer = signed.recover_signer()
    if not operators.may_sign(registry, signer):
        raise document.DirectoryError(
            f"the directory is signed by {signatures.to_checksum(signer)}, not by the operator", hint=_AGAIN
        )


def _verify_entries(connection: Connection, directory: document.Directory) -> None:
    rows = Rows(connection)
    numbers = [entry.participant for entry in directory.entries]
    known = rows.values(ParticipantRow, "number", "number", numbers)
    owners = {key.address: key.participant for key in rows.find(KeyRow)}
    for entry in directory.entries:
        if entry.participant not in known:
            raise document.DirectoryError(
                f"the directory names participant {entry.participant}, which does not exist", hint=_AGAIN
            )
        _verify_recipient_key(directory, entry, owners)


def _verify_recipient_key(
    directory: document.Directory, entry: document.DirectoryEntry, owners: dict[bytes, int]
) -> None:
    """Raises DirectoryError if a company did not sign the key that is called its own.

    The signing key may be revoked meanwhile, which ends the recipient key but not the directory; and a company that has
    just been admitted may have accepted no key yet. Neither is used: `verify_statement` is called at every use."""
    if entry.recipient_key is None:
        return
    try:
        signer = entry.recipient_key.recover_signer(directory.chain_id, directory.ledger)
    except document.RecipientKeyError as error:
        raise document.DirectoryError(f"participant {entry.participant}: {error.cause}", hint=_AGAIN) from None
    has_key = entry.participant in owners.values()
    if owners.get(signer, 0 if has_key else entry.participant) != entry.participant:
        raise document.DirectoryError(
            f"the recipient key of participant {entry.participant} is not signed by a key of it",
            hint="the company makes a new statement, and the operator publishes the directory again",
        )


def keep_admission(connection: Connection, key: bytes, entry: document.DirectoryEntry) -> None:
    """Keeps what the next directory says of a company, by its first key; `entry.participant` is 0 until it is known.

    A statement of a recipient key is never replaced by an earlier one, nor by none."""
    directories = DirectoryRepository(connection)
    before = directories.admission(key, entry.participant)
    stated = entry.recipient_key
    if before is not None and before.public_key and (stated is None or stated.issued_at < before.issued_at):
        stated = before.to_entry().recipient_key
    number = entry.participant or (0 if before is None else before.participant)
    directories.put_admission(key, replace(entry, participant=number, recipient_key=stated))


def verify_admissible(connection: Connection, entries: dict[bytes, document.DirectoryEntry]) -> None:
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
        document.verify_each_once(numbered)
    except errors.TrustError as error:
        raise errors.InputError(
            error.cause, hint="tell the companies apart by their names and GLNs; nothing was recorded"
        ) from None


def draft_entries(connection: Connection) -> list[document.DirectoryEntry]:
    """What the next directory says: all companies with a name here that the ledger has, by number."""
    known = {row.number for row in Rows(connection).find(ParticipantRow)}
    found = {number: document.DirectoryEntry(number, name) for number, name in Book(connection).names().items()}
    found |= {row.participant: row.to_entry() for row in DirectoryRepository(connection).admissions()}
    return [found[number] for number in sorted(found) if number in known]


def issue_directory(
    connection: Connection, signer: signatures.Signer, operators: Operators, now_s: int
) -> tuple[document.SignedDirectory, bool]:
    """The directory with what is known now, and whether it is in force. Signs another one only if none that says the
    same is signed yet by an operator: an interrupted publication goes on with the same document, and so with the same
    digest. Nobody who joins believes a signer who was an operator once. Raises NotFoundError if nothing is indexed,
    DirectoryError for entries that cannot be listed together."""
    directories, registry = DirectoryRepository(connection), Registry(connection)
    identity = registry.identity()
    if identity is None:
        raise errors.NotFoundError("nothing is indexed yet", hint="run the command again when the chain answers")
    entries = tuple(draft_entries(connection))
    known: Sequence[document.SignedDirectory | None] = [directories.signed(), directories.signed(DirectoryState.ISSUED)]
    for place, signed in enumerate(known):
        if signed is None or signed.directory.entries != entries:
            continue
        if operators.may_sign(registry, signed.recover_signer()):
            return signed, place == 0
    latest = max((signed.directory.issued_at for signed in known if signed is not None), default=0)
    issued_at = max(now_s, latest + 1)
    signed = document.sign_directory(document.Directory(identity.chain_id, identity.ledger, issued_at, entries), signer)
    directories.put_issued(signed)
    return document.parse_directory(signed.to_bytes()), False
