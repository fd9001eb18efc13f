"""Companies that an operator admits, or whose entry in the directory changes: on the command line, or on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.errors import InputError
from millmark.ledger.records import Admit, Role
from millmark.ledger.signatures import Address, to_checksum
from millmark.ledger.store import Book, Connection, Registry, Rows, Store
from millmark.ledger.store.rows import KeyRow
from millmark.services.directory import DirectoryEntry
from millmark.services.directory.grounds import ConsortiumGround
from millmark.services.directory.issuing import keep_admission
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.home.admitted import find_admitted
from millmark.services.home.requests import AdmissionRequest


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
                ConsortiumGround.REQUEST_OF_REVOKED_KEY.write(name=request.entry.name),
                hint="have the company write it again with `millmark join --renew`, with its present key",
            )
        if identity is not None and (request.chain_id, request.ledger) != (identity.chain_id, identity.ledger):
            raise InputError(
                ConsortiumGround.REQUEST_OF_OTHER_LEDGER.write(
                    name=request.entry.name, chain=request.chain_id, ledger=to_checksum(request.ledger)
                ),
                hint="have the company join with your own consortium.json",
            )
    if len({request.key for request in requests}) != len(requests):
        raise InputError("two requests are for one key", hint="give each company's request once")


def keep_candidate(connection: Connection, candidate: Candidate) -> Admit:
    """Keeps the claims behind an admission, and returns its record."""
    claims = candidate.claims
    Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
    return Admit(int(candidate.roles), candidate.key, claims.root)


def keep_numbers(connection: Connection) -> int:
    """Completes kept admissions that wait for the ledger to give the company a number: where it has by now, keeps that
    number, and the company's name under it. Returns how many were completed."""
    names: dict[int, str] = {}
    for row in DirectoryRepository(connection).admissions():
        number = None if row.participant else find_admitted(connection, row.address)
        if number is not None:
            keep_admission(connection, row.address, replace(row.to_entry(), participant=number))
            names[number] = row.name
    add_names(connection, names)
    return len(names)


def add_names(connection: Connection, names: Mapping[int, str]) -> None:
    book = Book(connection)
    changed = {**book.names(), **names}
    if changed != book.names():  # each change invalidates cached answers
        book.set_names(changed)
