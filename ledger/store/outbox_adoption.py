"""Own records on the ledger that an outbox does not know, since it was restored from an older backup.

Their transactions are stored with those of the outbox, as final. A waiting record that one of them made is final; the
others get a row under a key of their own (`ADOPTED`), until the request that made them is repeated. All functions work
in the caller's transaction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, select, update

from millmark.ledger.store.outbox_rows import free_dependants, new_id, payload_digest, release_records, set_records
from millmark.ledger.store.outbox_tables import (
    OutboxState,
    outbox_attempts,
    outbox_nonces,
    outbox_records,
    outbox_replaced,
    outbox_transactions,
)
from millmark.ledger.store.rows import CursorRow, RecordRow
from millmark.ledger.store.schema import TABLES

__all__ = [
    "ADOPTED",
    "AdoptedRecord",
    "AdoptedTransaction",
    "Adoption",
    "adopt_transaction",
    "claim_adopted",
    "find_unknown_records",
    "has_adopted",
    "has_records",
    "indexed_block",
    "next_nonce",
    "raise_nonce",
    "release_lost",
]

ADOPTED = "ledger:"
"""How the idempotency key of a record begins that was found on the ledger."""
# FAILED, too: after the backup was made, somebody may have had the record queued again.
_WAITING = (OutboxState.QUEUED, OutboxState.PAUSED, OutboxState.BLOCKED, OutboxState.FAILED)
_OPEN = (OutboxState.NONCED, OutboxState.SIGNED, OutboxState.SENT, OutboxState.MINED)
_CLEAR = {"error_name": None, "error": None, "error_values": None, "cancelling": False}


@dataclass(frozen=True, slots=True)
class AdoptedRecord:
    """A record that a transaction made."""

    contract: str
    kind: str
    payload: bytes
    sequence: int
    key: str | None = None
    """Its idempotency key, if it follows from the payload; otherwise it gets one of its own (`ADOPTED`)."""


@dataclass(frozen=True, slots=True)
class AdoptedTransaction:
    """A transaction of the key that the outbox does not know."""

    signer: bytes
    nonce: int
    recipient: bytes
    data: bytes
    gas_limit: int
    """For sending it again, should the chain lose its block."""
    hash: bytes
    block_number: int
    block_hash: bytes
    records: Sequence[AdoptedRecord]
    """In call order."""


@dataclass(slots=True)
class Adoption:
    """What was found on the ledger, and is known now."""

    transactions: int = 0
    waiting: int = 0
    """Records that were waiting, or failed, and are final."""
    unknown: int = 0
    """Records of which this database knew nothing; their names and claims are missing from the private book."""


def find_unknown_records(connection: Connection, signer: bytes, *, relay: bool = False) -> list[RecordRow]:
    """The indexed records of a key whose transaction the outbox does not know, newest first. A `relay` sends the
    records of others: those of all keys are searched, from the last final transaction of the signer on."""
    records = TABLES[RecordRow]
    made = records.c.block_number >= _last_final(connection, signer) if relay else records.c.key == signer
    known = (
        exists().where(outbox_transactions.c.hash == records.c.transaction_hash),
        exists().where(outbox_replaced.c.hash == records.c.transaction_hash),
        # Sent by a relay, in a transaction of its own.
        exists().where(
            outbox_records.c.signer == signer,
            outbox_records.c.contract == records.c.contract,
            outbox_records.c.sequence == records.c.sequence,
        ),
    )
    query = select(records).where(made, *(~one for one in known))
    newest = query.order_by(records.c.block_number.desc(), records.c.log_index.desc())
    return [RecordRow(*row) for row in connection.execute(newest)]


def _last_final(connection: Connection, signer: bytes) -> int:
    """The last block in which the outbox has a final transaction of the signer; -1 if there is none."""
    query = select(func.max(outbox_transactions.c.block_number)).where(
        outbox_transactions.c.signer == signer,
        outbox_transactions.c.relayed.is_(False),
        outbox_transactions.c.state == OutboxState.FINAL,
    )
    found = connection.execute(query).scalar_one()
    return -1 if found is None else int(found)


def indexed_block(connection: Connection) -> int:
    """The last indexed block; -1 if there is none."""
    found = connection.execute(select(TABLES[CursorRow].c.block_number)).scalar_one_or_none()
    return -1 if found is None else int(found)


def has_records(connection: Connection) -> bool:
    """Whether the outbox was ever used."""
    return connection.execute(select(func.count()).select_from(outbox_records)).scalar_one() > 0


def has_adopted(connection: Connection) -> bool:
    """Whether it has records that were found on the ledger, and that no request claimed yet."""
    query = select(outbox_records.c.id).where(outbox_records.c.idempotency_key.startswith(ADOPTED)).limit(1)
    return connection.execute(query).first() is not None


def next_nonce(connection: Connection, signer: bytes) -> int | None:
    """The nonce that the outbox would allocate next; None if it has allocated none."""
    query = select(outbox_nonces.c.next_nonce).where(outbox_nonces.c.signer == signer)
    return connection.execute(query).scalar_one_or_none()


def raise_nonce(connection: Connection, signer: bytes, nonce: int) -> None:
    """Have the outbox allocate `nonce` next, unless it is further already."""
    known = next_nonce(connection, signer)
    if known is None:
        connection.execute(outbox_nonces.insert().values(signer=signer, next_nonce=nonce))
    elif known < nonce:
        connection.execute(update(outbox_nonces).where(outbox_nonces.c.signer == signer).values(next_nonce=nonce))


def release_lost(connection: Connection, transaction_id: int) -> None:
    """Queue the records of a transaction again whose nonce was used without making them."""
    query = select(outbox_transactions.c.state).where(outbox_transactions.c.id == transaction_id)
    state = OutboxState(connection.execute(query).scalar_one())
    if state in _OPEN:  # otherwise somebody settled it meanwhile
        values = {"error": "its nonce was used without making its records"}
        release_records(connection, transaction_id, state, OutboxState.FAILED, values)


def adopt_transaction(connection: Connection, found: AdoptedTransaction, adoption: Adoption) -> None:
    """Store a transaction and its records as final, and count them; nothing if it was stored meanwhile."""
    if _is_known(connection, found.hash):
        return
    row = {
        "signer": found.signer,
        "nonce": found.nonce,
        "recipient": found.recipient,
        "data": found.data,
        "gas_limit": found.gas_limit,
        "hash": found.hash,
        "state": OutboxState.FINAL,
        "block_number": found.block_number,
        "block_hash": found.block_hash,
        "changed_at_s": time.time(),
    }
    transaction_id = new_id(connection.execute(outbox_transactions.insert().values(row)))
    adoption.transactions += 1
    for position, record in enumerate(found.records):
        record_id = _settle_waiting(connection, found.signer, record)
        if record_id is None:
            record_id = _insert(connection, found.signer, record)
            adoption.unknown += 1
        else:
            adoption.waiting += 1
        attempt = {"transaction_id": transaction_id, "position": position, "record_id": record_id}
        connection.execute(outbox_attempts.insert().values(attempt))
    # In the same transaction: a nonce that is known to be used must not be given to another transaction.
    raise_nonce(connection, found.signer, found.nonce + 1)


def claim_adopted(
    connection: Connection, signer: bytes, contract: str, payload: bytes, key: str, since_s: float | None = None
) -> int | None:
    """Give a record that was found on the ledger the idempotency key of the request that made it. Returns its id; None
    if there is no such record.

    Other requests may have the same payload. Each takes one record, the oldest first, of those that were adopted after
    `since_s` (seconds since 1970); None if no other request can have it.
    """
    digest = payload_digest(contract, signer, payload)
    query = select(outbox_records.c.id).where(
        outbox_records.c.idempotency_key.startswith(ADOPTED), outbox_records.c.payload_digest == digest
    )
    if since_s is not None:
        query = query.where(outbox_records.c.queued_at_s >= since_s)
    found = connection.execute(query.order_by(outbox_records.c.id)).scalars().first()
    if found is not None:
        connection.execute(update(outbox_records).where(outbox_records.c.id == found).values(idempotency_key=key))
    return found


def _is_known(connection: Connection, transaction_hash: bytes) -> bool:
    query = select(outbox_transactions.c.id).where(outbox_transactions.c.hash == transaction_hash)
    return connection.execute(query).first() is not None


def _settle_waiting(connection: Connection, signer: bytes, record: AdoptedRecord) -> int | None:
    """Mark the oldest waiting record with this payload as final. Returns its id; None if there is none."""
    digest = payload_digest(record.contract, signer, record.payload)
    query = (
        select(outbox_records.c.id, outbox_records.c.idempotency_key, outbox_records.c.state)
        .where(outbox_records.c.payload_digest == digest, outbox_records.c.state.in_(_WAITING))
        .order_by(outbox_records.c.id)
        .limit(1)
    )
    found = connection.execute(query).first()
    if found is None:
        return None
    values = {**_CLEAR, "sequence": record.sequence}
    set_records(connection, [found.id], OutboxState(found.state), OutboxState.FINAL, values)
    free_dependants(connection, found.idempotency_key)
    return int(found.id)


def _insert(connection: Connection, signer: bytes, record: AdoptedRecord) -> int:
    now = time.time()
    row = {
        "idempotency_key": record.key or f"{ADOPTED}{record.contract}:{record.sequence}",
        "signer": signer,
        "contract": record.contract,
        "kind": record.kind,
        "payload": record.payload,
        "payload_digest": payload_digest(record.contract, signer, record.payload),
        "state": OutboxState.FINAL,
        "sequence": record.sequence,
        "queued_at_s": now,
        "changed_at_s": now,
    }
    return new_id(connection.execute(outbox_records.insert().values(row)))
