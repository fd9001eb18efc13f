"""Admissions in the outbox: nothing takes one back, so each key is admitted once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from millmark.ledger.chain.codec import read_function
from millmark.ledger.errors import InputError
from millmark.ledger.records import Admit, Contract
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord
from millmark.services.directory.grounds import ConsortiumGround
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.home.requests import AdmissionRequest

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
