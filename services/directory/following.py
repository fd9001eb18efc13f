"""Takes a directory over, after it was checked; and says why not otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from millmark.ledger.chain import Chain
from millmark.ledger.chain.council import Council
from millmark.ledger.records import Contract, PublicationKind
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Connection, Registry, Rows
from millmark.ledger.store.rows import KeyRow, ParticipantRow, PublicationRow
from millmark.services.directory.document import Directory, DirectoryEntry, SignedDirectory
from millmark.services.directory.errors import DirectoryError, RecipientKeyError
from millmark.services.directory.repository import DirectoryRepository

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
    owner = cast(bytes, chain.read(Contract.REGISTRY, "owner")[0])
    return Operators(owner, Council(chain, owner).members if chain.node.code(owner) else ())


def published_digest(connection: Connection) -> bytes | None:
    """Digest of the directory that the operator published last, according to the index; None if it published none."""
    row = Rows(connection).get(PublicationRow, int(PublicationKind.DIRECTORY))
    return None if row is None else row.digest


def take_directory(connection: Connection, signed: SignedDirectory, operators: Operators) -> bool:
    """Replaces the directory in force by a later one, in the caller's transaction. Returns whether it was new.

    Raises DirectoryError, and keeps nothing, for a directory for another ledger, signed by somebody else than the
    operators, older than the one in force, other than the one published on the ledger, or with a recipient key that its
    company did not sign.
    """
    directories = DirectoryRepository(connection)
    _verify_signer(Registry(connection), signed, operators)
    known = directories.signed()
    if known is not None and known.digest == signed.digest:
        return False
    if known is not None and known.directory.issued_at >= signed.directory.issued_at:
        raise DirectoryError("the directory is older than the one that is known here", hint=_AGAIN)
    if published_digest(connection) != signed.digest:
        raise DirectoryError(
            "the directory is not the one whose digest is published on the ledger",
            hint=f"{_LATER}, or {_AGAIN}",
        )
    _verify_entries(connection, signed.directory)
    directories.put_in_force(signed)
    return True


def verify_publishable(connection: Connection, signed: SignedDirectory, operators: Operators) -> None:
    """Raises DirectoryError for a directory that nobody could take over if its digest were published."""
    _verify_signer(Registry(connection), signed, operators)
    _verify_entries(connection, signed.directory)


def _verify_signer(registry: Registry, signed: SignedDirectory, operators: Operators) -> None:
    identity, directory = registry.identity(), signed.directory
    if identity is None:
        raise DirectoryError("the directory cannot be checked: nothing is indexed yet", hint=_LATER)
    if (directory.chain_id, directory.ledger) != (identity.chain_id, identity.ledger):
        raise DirectoryError(
            f"the directory is of chain {directory.chain_id} and ledger {to_checksum(directory.ledger)}",
            hint="get the one of your own consortium",
        )
    signer = signed.recover_signer()
    if not operators.may_sign(registry, signer):
        raise DirectoryError(f"the directory is signed by {to_checksum(signer)}, not by the operator", hint=_AGAIN)


def _verify_entries(connection: Connection, directory: Directory) -> None:
    rows = Rows(connection)
    numbers = [entry.participant for entry in directory.entries]
    known = rows.values(ParticipantRow, "number", "number", numbers)
    owners = {key.address: key.participant for key in rows.find(KeyRow)}
    for entry in directory.entries:
        if entry.participant not in known:
            raise DirectoryError(
                f"the directory names participant {entry.participant}, which does not exist", hint=_AGAIN
            )
        _verify_recipient_key(directory, entry, owners)


def _verify_recipient_key(directory: Directory, entry: DirectoryEntry, owners: dict[bytes, int]) -> None:
    """Raises DirectoryError if a company did not sign the key that is called its own.

    The signing key may be revoked meanwhile, which ends the recipient key but not the directory; and a company that has
    just been admitted may have accepted no key yet. Neither is used: `verify_statement` is called at every use.
    """
    if entry.recipient_key is None:
        return
    try:
        signer = entry.recipient_key.recover_signer(directory.chain_id, directory.ledger)
    except RecipientKeyError as error:
        raise DirectoryError(f"participant {entry.participant}: {error.cause}", hint=_AGAIN) from None
    has_key = entry.participant in owners.values()
    if owners.get(signer, 0 if has_key else entry.participant) != entry.participant:
        raise DirectoryError(
            f"the recipient key of participant {entry.participant} is not signed by a key of it",
            hint="the company makes a new statement, and the operator publishes the directory again",
        )
