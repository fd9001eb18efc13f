"""How an operator admits companies and tells all of them who is who: what `participants admit` and `directory publish`
do. Each step looks at the ledger first, so that an interrupted command can simply be repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ledger.claims import Claims, build_claims
from ledger.errors import InputError, SettingsError
from ledger.keys import to_checksum
from ledger.records import Admit, PublicationKind, Publish, Role
from ledger.signatures import Address, Signer
from ledger.store import Book, Registry, Rows, Store
from ledger.store.rows import KeyRow
from services.commands.context import Context
from services.directory import DirectoryEntry, SignedDirectory, fetch_operators, take_directory
from services.directory.following import published_digest
from services.directory.issuing import issue_directory, keep_admission, verify_admissible
from services.home import AdmissionRequest, find_admitted

__all__ = ["Candidate", "admit_all", "candidate_of", "publish_directory", "verify_for_this_ledger"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A company to be admitted, or whose entry in the directory changes."""

    key: Address
    roles: Role
    entry: DirectoryEntry

    @property
    def claims(self) -> Claims:
        """The claims behind its admission; new salts each time."""
        gln = self.entry.gln
        return build_claims({"legal_name": self.entry.name, **({"gln": gln} if gln else {})})


def candidate_of(request: AdmissionRequest) -> Candidate:
    return Candidate(request.key, request.roles, request.entry)


def verify_for_this_ledger(store: Store, requests: Sequence[AdmissionRequest]) -> None:
    """Raises InputError for a request for another ledger or of a revoked key, or if two are for one key."""
    with store.reading() as connection:
        identity = Registry(connection).identity()
        keys = Rows(connection).among(KeyRow, "address", [request.key for request in requests])
    revoked = {key.address for key in keys if key.revoked_at}
    for request in requests:
        if request.key in revoked:
            raise InputError(
                f"the request of {request.entry.name} is signed with a revoked key",
                hint="have the company write it again with `millmark join --renew`, with its present key",
            )
        if identity is not None and (request.chain_id, request.ledger) != (identity.chain_id, identity.ledger):
            raise InputError(
                f"the request of {request.entry.name} is for chain {request.chain_id} and ledger "
                f"{to_checksum(request.ledger)}",
                hint="have the company join with your own consortium.json",
            )
    if len({request.key for request in requests}) != len(requests):
        raise InputError("two requests are for one key", hint="give each company's request once")


def admit_all(opened: Context, signer: Signer, candidates: Sequence[Candidate]) -> dict[Address, int]:
    """Admits those that are not admitted yet, keeps for the directory what is said of each, and returns their numbers.

    What an earlier run queued is sent first: what is then missing on the ledger was never queued, and is admitted now.
    """
    opened.settle(signer)
    with opened.store.transaction() as connection:
        numbers = {one.key: find_admitted(connection, one.key) or 0 for one in candidates}
        listed = {one.key: replace(one.entry, participant=numbers[one.key]) for one in candidates}
        verify_admissible(connection, listed)
        for key, entry in listed.items():  # first: a crash must not lose what the directory will say
            keep_admission(connection, key, entry)
    new = [one for one in candidates if not numbers[one.key]]
    if new:
        _admit(opened, signer, new)
    with opened.store.transaction() as connection:
        found = {one.key: find_admitted(connection, one.key) for one in candidates}
        names: dict[int, str] = {}
        for one in candidates:
            number = found[one.key]
            if number is None:
                raise InputError(f"{one.entry.name} was admitted, but the index does not show it", hint="try again")
            keep_admission(connection, one.key, replace(one.entry, participant=number))
            names[number] = one.entry.name
        _add_names(Book(connection), names)
    return {key: number for key, number in found.items() if number is not None}


def _admit(opened: Context, signer: Signer, new: Sequence[Candidate]) -> None:
    records = []
    with opened.store.transaction() as connection:  # first: a crash must not lose what the records commit to
        for one in new:
            claims = one.claims
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
            records.append(Admit(int(one.roles), one.key, claims.root))
    opened.record(signer, records)
    opened.follow()


def _add_names(book: Book, names: Mapping[int, str]) -> None:
    changed = {**book.names(), **names}
    if changed != book.names():  # each change invalidates cached answers
        book.set_names(changed)


def publish_directory(opened: Context, signer: Signer) -> tuple[SignedDirectory, bool]:
    """Signs the directory, publishes its digest on the ledger, and puts it in force here. Returns it, and whether it is
    another one than before.

    Raises SettingsError if the signer does not own the registry. A member of a council that owns it signs the directory
    only: the council publishes it by a motion, after which the command is repeated.
    """
    opened.settle(signer)
    operators = fetch_operators(opened.chain_at_hand())
    with opened.store.transaction() as connection:
        if not operators.may_sign(Registry(connection), signer.address):
            raise SettingsError("the key does not own the registry", hint="sign with the operator's key")
        signed, in_force = issue_directory(connection, signer, int(time.time()))
        is_published = published_digest(connection) == signed.digest
    if in_force and is_published:
        return signed, False
    if not is_published:
        if operators.owner != signer.address:
            raise SettingsError(
                "the directory is signed, and a council owns the registry",
                hint=f"run `millmark council propose publish 1 0x{signed.digest.hex()}`, then this again",
            )
        opened.record(signer, [Publish(PublicationKind.DIRECTORY, signed.digest)])
        opened.follow()
    with opened.store.transaction() as connection:
        take_directory(connection, signed, operators)
    return signed, True
