"""Admissions of companies: the candidates of an operator, and their admissions in the outbox and on the ledger. Nothing
takes an admission back, so each key is admitted once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from millmark.ledger.chain.codec import read_function
from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.errors import InputError
from millmark.ledger.events.registry import ParticipantAdmitted
from millmark.ledger.records import Admit, Contract, Role
from millmark.ledger.signatures import Address, to_checksum
from millmark.ledger.store import Book, Connection, Registry, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord
from millmark.ledger.store.rows import KeyRow, ParticipantRow, RecordRow
from millmark.services.directory import DirectoryEntry
from millmark.services.directory.document import ConsortiumGround
from millmark.services.directory.following import keep_admission
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.home.joining_files import AdmissionRequest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A company to be admitted, or whose entry in the directory changes: on the command line, or on a page."""

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


ENDED = (OutboxState.FAILED, OutboxState.CANCELLED)
"""States of records that are not on the ledger, and will not be."""


def find_admissions(store: Store) -> dict[bytes, QueuedRecord]:
    """The latest admission in the outbox by first key, whoever queued it; an ended one only if there is no other."""
    found: dict[bytes, QueuedRecord] = {}
    for record in Outbox(store).of_kind(Admit.__name__):
        _, key = _read(record)
        if key not in found or found[key].state in ENDED:
            found[key] = record
    return found


def find_admission(store: Store, key: bytes) -> QueuedRecord | None:
    """The admission of a key that is on its way, or on the ledger; None if there is none."""
    record = find_admissions(store).get(key)
    return None if record is None or record.state in ENDED else record


def name_admission(store: Store, key: bytes) -> str:
    """The idempotency key under which the admission of a first key is queued next, by whoever is first: who admits it
    on the page at the same moment has the same one, and the outbox takes one record for it. Those before it ended."""
    return name_act(store, f"admit:0x{key.hex()}")


def name_act(store: Store, act: str, by: str = "operator") -> str:
    """The idempotency key under which an act is queued next that is done once: the first one whose record has not ended
    without being on the ledger."""
    outbox = Outbox(store)
    for name in names_of(act, by):
        found = outbox.find([name]).get(name)
        if found is None or found.state not in ENDED:
            return name
    raise AssertionError("there is no last name")


def names_of(act: str, by: str = "operator") -> Iterator[str]:
    """The idempotency keys of an act: of the first attempt, and of each that follows one that ended."""
    yield f"{by}:{act}"
    for attempt in count(2):
        yield f"{by}:{act}:{attempt}"


def cancel_failed(store: Store, key: bytes) -> None:
    """Cancels failed admissions of a key: one that is resumed beside a new one would admit the company twice."""
    found = [one for one in Outbox(store).of_kind(Admit.__name__) if _read(one)[1] == key]
    Outbox(store).cancel([one.idempotency_key for one in found if one.state is OutboxState.FAILED])


def verify_admitter(store: Store, key: bytes, signer: bytes) -> None:
    """Raises InputError if the admission of a key waits for another signer, which may be gone: only that one can send
    it."""
    found = find_admission(store, key)
    if found is not None and found.signer != signer:
        raise InputError(
            f"the admission of 0x{key.hex()} is queued for another key, 0x{found.signer.hex()}",
            hint=f"run `millmark outbox cancel {found.idempotency_key}` if that key is lost, then this again",
        )


def verify_same_admission(store: Store, record: QueuedRecord, request: AdmissionRequest) -> None:
    """Raises InputError unless the admission on its way is what the request asks for."""
    with store.reading() as connection:
        kept = DirectoryRepository(connection).admission(request.key)
    roles, _ = _read(record)
    entry = None if kept is None else replace(kept.to_entry(), participant=request.entry.participant)
    if entry != request.entry or roles != int(request.roles):
        raise InputError(
            ConsortiumGround.OTHER_ADMISSION.write(),
            hint="wait until the company is listed; what the directory says of it can be changed then",
        )


def _read(record: QueuedRecord) -> tuple[int, bytes]:
    """Roles and first key."""
    read = read_function(Contract.REGISTRY, record.payload)
    if read is None:
        raise AssertionError(f"record {record.id} is not an admission")
    roles, key = read[1][:2]
    if not isinstance(roles, int) or not isinstance(key, bytes):
        raise AssertionError(f"record {record.id} has no roles and key")
    return roles, key


# Which participant a key was admitted for, also before it accepts.


def find_admitted(connection: Connection, key: bytes) -> int | None:
    """The participant whose key it is or was, or for which it was admitted as first key; None if there is none."""
    found = Rows(connection).get(KeyRow, key)
    if found is not None:
        return found.participant
    return next((number for number, first in find_unaccepted(connection).items() if first == key), None)


def find_unaccepted(connection: Connection) -> dict[int, bytes]:
    """The first keys of participants that have not accepted any key yet, by participant."""
    rows = Rows(connection)
    found: dict[int, bytes] = {}
    for company in rows.find(ParticipantRow, keys=0):
        record = rows.get(RecordRow, Contract.REGISTRY.value, company.sequence)
        event = None if record is None else record.event()
        if isinstance(event, ParticipantAdmitted) and not rows.find(KeyRow, participant=company.number):
            found[company.number] = event.first_key
    return found
