"""The outbox: what must get onto the ledger, and what was sent for it.

Two tables, because a record may be in several transactions over time. Every public method is one database transaction,
so a crash leaves either all of it or nothing:

    after enqueue        QUEUED    the record is durable; it may be acknowledged
    after allocate       NONCED    the nonce is spent on these records, whatever happens
    after store_signed   SIGNED    these very bytes go out, now and after any restart
    after mark_sent      SENT      a node has them; the receipt decides
    after mark_mined     MINED     in a block, with the expected events; the block may still be reorganised away
    after mark_final     FINAL     done

A record that the contract refuses is FAILED with the contract's error, kept for its owner. A transaction that was mined
without its records (it reverted, or lost its nonce) is FAILED, too, and its records are QUEUED again.

Every move names the state that it starts from, and raises SubmitError when another submitter made one in between: a
record that two of them work on would get onto the ledger twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, RowMapping, func, select, update

from ledger.errors import DuplicateRecordError, NotFoundError, StoreError, SubmitError
from ledger.store.database import Store
from ledger.store.outbox_tables import (
    Entry,
    OutboxState,
    QueuedRecord,
    SentTransaction,
    outbox_attempts,
    outbox_nonces,
    outbox_records,
    outbox_transactions,
)

__all__ = ["Entry", "Outbox", "OutboxState", "QueuedRecord", "SentTransaction"]


_UNMINED = (OutboxState.NONCED, OutboxState.SIGNED, OutboxState.SENT)
_OPEN = (*_UNMINED, OutboxState.MINED)
_MOST_KEY_CHARACTERS = 256


class Outbox:
    """Repository over one store. Times are wall-clock seconds and serve the operator only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def enqueue(self, signer: bytes, entries: Sequence[Entry]) -> list[int]:
        """Makes the entries durable, in order, with one commit; gives their ids. Known keys give the ids they had.

        Raises DuplicateRecordError when a key comes back with another record, SubmitError when one is no key; then
        nothing is queued.
        """
        with self._store.transaction() as connection:
            return [_enqueue(connection, signer, entry) for entry in entries]

    def queued(self, signer: bytes, most: int) -> list[QueuedRecord]:
        """The oldest records that wait for a transaction, all for the first one's contract."""
        query = (
            select(outbox_records)
            .where(outbox_records.c.signer == signer, outbox_records.c.state == OutboxState.QUEUED)
            .order_by(outbox_records.c.id)
            .limit(most)
        )
        with self._store.reading() as connection:
            found = [_record(row) for row in connection.execute(query).mappings()]
        upto = next((i for i, record in enumerate(found) if record.contract != found[0].contract), len(found))
        return found[:upto]

    def allocate(
        self,
        signer: bytes,
        chain_nonce: int,
        records: Sequence[QueuedRecord],
        recipient: bytes,
        data: bytes,
        gas_limit: int,
    ) -> SentTransaction:
        """Spends the signer's next nonce on `records`. `chain_nonce` counts only when this outbox knows none yet, or
        when the chain is ahead because the key was used elsewhere."""
        with self._store.transaction() as connection:
            nonce = _take_nonce(connection, signer, chain_nonce)
            row = {
                "signer": signer,
                "nonce": nonce,
                "recipient": recipient,
                "data": data,
                "gas_limit": gas_limit,
                "state": OutboxState.NONCED,
                "changed_at_s": time.time(),
            }
            result = connection.execute(outbox_transactions.insert().values(row))
            transaction_id = _new_id(result)
            attempts = [
                {"transaction_id": transaction_id, "position": position, "record_id": record.id}
                for position, record in enumerate(records)
            ]
            connection.execute(outbox_attempts.insert(), attempts)
            _set_records(connection, [record.id for record in records], OutboxState.QUEUED, OutboxState.NONCED)
            return _transaction(connection, transaction_id)

    def store_signed(self, transaction_id: int, raw: bytes, transaction_hash: bytes, max_fee_wei: int) -> None:
        """Stores the bytes that will be sent, before they are."""
        values = {"raw": raw, "hash": transaction_hash, "max_fee_wei": max_fee_wei}
        self._advance(transaction_id, OutboxState.NONCED, OutboxState.SIGNED, values)

    def mark_sent(self, transaction_id: int) -> None:
        self._advance(transaction_id, OutboxState.SIGNED, OutboxState.SENT)

    def mark_mined(
        self, transaction_id: int, block_number: int, block_hash: bytes, gas_used: int, sequences: Sequence[int]
    ) -> None:
        """`sequences`: of the records, in call order."""
        values = {"block_number": block_number, "block_hash": block_hash, "gas_used": gas_used}
        with self._store.transaction() as connection:
            _set_transaction(connection, transaction_id, OutboxState.SENT, OutboxState.MINED, values)
            for record_id, sequence in zip(_record_ids(connection, transaction_id), sequences, strict=True):
                _set_records(connection, [record_id], OutboxState.SENT, OutboxState.MINED, {"sequence": sequence})

    def mark_final(self, transaction_id: int) -> None:
        self._advance(transaction_id, OutboxState.MINED, OutboxState.FINAL)

    def mark_reorganised(self, transaction_id: int) -> None:
        """Back to SENT: its block is gone, the same bytes go out again."""
        values = {"block_number": None, "block_hash": None, "gas_used": None}
        with self._store.transaction() as connection:
            ids = _record_ids(connection, transaction_id)
            _set_transaction(connection, transaction_id, OutboxState.MINED, OutboxState.SENT, values)
            _set_records(connection, ids, OutboxState.MINED, OutboxState.SENT, {"sequence": None})

    def requeue(self, transaction_id: int, error: str) -> None:
        """The transaction came to nothing: its nonce is used up, its records wait again."""
        with self._store.transaction() as connection:
            ids = _record_ids(connection, transaction_id)
            _set_transaction(connection, transaction_id, OutboxState.SENT, OutboxState.FAILED, {"error": error})
            _set_records(connection, ids, OutboxState.SENT, OutboxState.QUEUED)

    def fail_record(self, record_id: int, error_name: str, error: str) -> None:
        """The contract refuses the record for good."""
        values = {"error_name": error_name, "error": error}
        with self._store.transaction() as connection:
            _set_records(connection, [record_id], OutboxState.QUEUED, OutboxState.FAILED, values)

    def open_transactions(self, signer: bytes) -> list[SentTransaction]:
        """Transactions whose fate is not final, by nonce."""
        query = (
            select(outbox_transactions.c.id)
            .where(outbox_transactions.c.signer == signer, outbox_transactions.c.state.in_(_OPEN))
            .order_by(outbox_transactions.c.nonce, outbox_transactions.c.id)
        )
        with self._store.reading() as connection:
            return [_transaction(connection, transaction_id) for transaction_id in connection.execute(query).scalars()]

    def count_unmined(self, signer: bytes) -> int:
        """Number of transactions that hold a nonce and are not in a block."""
        query = (
            select(func.count())
            .select_from(outbox_transactions)
            .where(outbox_transactions.c.signer == signer, outbox_transactions.c.state.in_(_UNMINED))
        )
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one()

    def record(self, record_id: int) -> QueuedRecord:
        """Raises NotFoundError when there is no such record."""
        with self._store.reading() as connection:
            query = select(outbox_records).where(outbox_records.c.id == record_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError(f"the outbox has no record {record_id}")
        return _record(row)

    def counts(self) -> Mapping[str, int]:
        """Number of records by state."""
        query = select(outbox_records.c.state, func.count()).group_by(outbox_records.c.state)
        with self._store.reading() as connection:
            return {str(state): int(count) for state, count in connection.execute(query)}

    def gas_by_kind(self) -> Mapping[str, tuple[int, int]]:
        """(records, gas) of each kind, over the final transactions that hold records of one kind only."""
        kinds = (
            select(
                outbox_transactions.c.id,
                func.min(outbox_records.c.kind).label("kind"),
                func.count().label("records"),
                func.max(outbox_transactions.c.gas_used).label("gas"),
            )
            .join(outbox_attempts, outbox_attempts.c.transaction_id == outbox_transactions.c.id)
            .join(outbox_records, outbox_records.c.id == outbox_attempts.c.record_id)
            .where(outbox_transactions.c.state == OutboxState.FINAL)
            .group_by(outbox_transactions.c.id)
            .having(func.count(func.distinct(outbox_records.c.kind)) == 1)
            .subquery()
        )
        query = select(kinds.c.kind, func.sum(kinds.c.records), func.sum(kinds.c.gas)).group_by(kinds.c.kind)
        with self._store.reading() as connection:
            return {str(kind): (int(records), int(gas)) for kind, records, gas in connection.execute(query)}

    def _advance(
        self, transaction_id: int, before: OutboxState, after: OutboxState, values: Mapping[str, object] | None = None
    ) -> None:
        with self._store.transaction() as connection:
            _set_transaction(connection, transaction_id, before, after, values or {})
            _set_records(connection, _record_ids(connection, transaction_id), before, after)


def _enqueue(connection: Connection, signer: bytes, entry: Entry) -> int:
    if not 0 < len(entry.idempotency_key) <= _MOST_KEY_CHARACTERS:
        raise SubmitError(f"an idempotency key has 1 to {_MOST_KEY_CHARACTERS} characters", mend="use a shorter one")
    digest = hashlib.sha256(entry.contract.encode() + b"\0" + signer + entry.payload).digest()
    query = select(outbox_records.c.id, outbox_records.c.payload_digest).where(
        outbox_records.c.idempotency_key == entry.idempotency_key
    )
    known = connection.execute(query).first()
    if known is not None:
        if known.payload_digest != digest:
            raise DuplicateRecordError(
                f"idempotency key {entry.idempotency_key!r} was used for another record", mend="use a new key"
            )
        return int(known.id)
    now = time.time()
    row = {
        "idempotency_key": entry.idempotency_key,
        "signer": signer,
        "contract": entry.contract,
        "kind": entry.kind,
        "payload": entry.payload,
        "payload_digest": digest,
        "state": OutboxState.QUEUED,
        "queued_at_s": now,
        "changed_at_s": now,
    }
    return _new_id(connection.execute(outbox_records.insert().values(row)))


def _new_id(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise StoreError("the database gave a new row no id", mend="report this, with the kind of database")
    return int(key[0])


def _take_nonce(connection: Connection, signer: bytes, chain_nonce: int) -> int:
    query = select(outbox_nonces.c.next_nonce).where(outbox_nonces.c.signer == signer)
    known = connection.execute(query).scalar_one_or_none()
    nonce = chain_nonce if known is None else max(known, chain_nonce)
    if known is None:
        connection.execute(outbox_nonces.insert().values(signer=signer, next_nonce=nonce + 1))
    else:
        connection.execute(update(outbox_nonces).where(outbox_nonces.c.signer == signer).values(next_nonce=nonce + 1))
    return nonce


def _record_ids(connection: Connection, transaction_id: int) -> list[int]:
    query = (
        select(outbox_attempts.c.record_id)
        .where(outbox_attempts.c.transaction_id == transaction_id)
        .order_by(outbox_attempts.c.position)
    )
    return list(connection.execute(query).scalars())


def _set_records(
    connection: Connection,
    ids: Sequence[int],
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object] | None = None,
) -> None:
    changed = {**(values or {}), "state": after, "changed_at_s": time.time()}
    those = update(outbox_records).where(outbox_records.c.id.in_(ids), outbox_records.c.state == before)
    _verify_moved(connection.execute(those.values(changed)), len(ids), before)


def _set_transaction(
    connection: Connection,
    transaction_id: int,
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object],
) -> None:
    changed = {**values, "state": after, "changed_at_s": time.time()}
    that = update(outbox_transactions).where(
        outbox_transactions.c.id == transaction_id, outbox_transactions.c.state == before
    )
    _verify_moved(connection.execute(that.values(changed)), 1, before)


def _verify_moved(result: CursorResult[Any], expected: int, before: OutboxState) -> None:
    if result.rowcount != expected:
        raise SubmitError(
            f"what was {before} in the outbox is not any more: another submitter works for the same key",
            mend="run one submitter for each key; nothing was lost",
        )


def _transaction(connection: Connection, transaction_id: int) -> SentTransaction:
    row = (
        connection.execute(select(outbox_transactions).where(outbox_transactions.c.id == transaction_id))
        .mappings()
        .one()
    )
    query = (
        select(outbox_records)
        .join(outbox_attempts, outbox_attempts.c.record_id == outbox_records.c.id)
        .where(outbox_attempts.c.transaction_id == transaction_id)
        .order_by(outbox_attempts.c.position)
    )
    records = tuple(_record(entry) for entry in connection.execute(query).mappings())
    fields = {name: row[name] for name in SentTransaction.__dataclass_fields__ if name not in ("records", "state")}
    return SentTransaction(**fields, state=OutboxState(row["state"]), records=records)


def _record(row: RowMapping) -> QueuedRecord:
    fields = {name: row[name] for name in QueuedRecord.__dataclass_fields__ if name != "state"}
    return QueuedRecord(**fields, state=OutboxState(row["state"]))
