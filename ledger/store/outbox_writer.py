"""The submitter's half of the outbox. Every method is one database transaction, so a crash leaves all of it or nothing:

    after enqueue           QUEUED    the record is durable; it may be acknowledged
    after allocate          NONCED    the nonce is spent on these records, whatever happens
    after store_signed      SIGNED    these very bytes go out, now and after any restart
    after replace_signed    SIGNED    so do these, instead; the earlier ones are kept, for they may still be mined
    after mark_sent         SENT      a node has them; the receipt decides
    after mark_mined        MINED     in a block, with the expected events; the block may still be reorganised away
    after mark_final        FINAL     done
    after mark_reorganised  SENT      the block is gone; the same bytes go out again
    after give_back         FAILED    a request that ran out; its records are QUEUED again, its nonce is free
    after requeue           FAILED    mined without its records, or its nonce was lost; the records are QUEUED again
    after mark_replaced     REPLACED  a transfer of nothing has the nonce; records are CANCELLED, or QUEUED again
    after fail_record       -         FAILED: the contract refuses the record
    after fill              NONCED    a nonce that nothing else will use is spent on a transfer of nothing

A submitter makes several of these moves in one transaction (`together`) where nothing goes out in between: records get
a nonce and their signed bytes at once, and what is in a final block already is SENT, MINED and FINAL at once.

Every move names the state that it starts from, and every method first checks that the desk's lease is the latest one:
a record that two submitters work on would get onto the ledger twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Table, bindparam, select, update

from ledger.errors import LeaseHeldError, SubmitError
from ledger.store.database import Store
from ledger.store.outbox_rows import (
    block_dependants,
    new_id,
    read_transaction,
    record_ids,
    set_records,
    set_transaction,
    waiting_state,
)
from ledger.store.outbox_tables import (
    OutboxState,
    QueuedRecord,
    SentTransaction,
    outbox_attempts,
    outbox_leases,
    outbox_nonces,
    outbox_records,
    outbox_relay_nonces,
    outbox_replaced,
    outbox_transactions,
)

__all__ = ["CRASH_POINTS", "OutboxWriter"]

CRASH_POINTS = (
    "together",
    "allocate",
    "store_signed",
    "replace_signed",
    "mark_sent",
    "mark_mined",
    "mark_final",
    "mark_reorganised",
    "requeue",
    "mark_replaced",
    "fail_record",
    "fill",
)
"""Methods of OutboxWriter before and after which a submitter may die; the fault lab and the tests kill it at each."""


class OutboxWriter:
    """Where the one submitter of a key works. Every method raises LeaseHeldError, and changes nothing, when another
    submitter has taken over. `relayed`: as for Outbox."""

    def __init__(self, store: Store, signer: bytes, fence: int, *, relayed: bool = False) -> None:
        self._store = store
        self._signer = signer
        self._relayed = relayed
        self._joint: Connection | None = None
        self.fence = fence

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done meanwhile is one database transaction, with one synchronisation; a crash leaves all or nothing
        of it. Nothing may be sent meanwhile."""
        with self._transaction() as connection:
            self._joint = connection
            try:
                yield
            finally:
                self._joint = None

    def allocate(
        self,
        chain_nonce: int,
        records: Sequence[QueuedRecord],
        recipient: bytes,
        data: bytes,
        gas_limit: int,
    ) -> SentTransaction:
        """Spends the signer's next nonce on `records`. `chain_nonce` counts only when this outbox knows none yet, or
        when the chain is ahead because the key was used elsewhere."""
        with self._transaction() as connection:
            nonces = outbox_relay_nonces if self._relayed else outbox_nonces
            nonce = _take_nonce(connection, nonces, self._signer, chain_nonce)
            relayed = self._relayed
            transaction_id = _insert(connection, self._signer, nonce, recipient, data, gas_limit, relayed=relayed)
            attempts = [
                {"transaction_id": transaction_id, "position": position, "record_id": record.id}
                for position, record in enumerate(records)
            ]
            connection.execute(outbox_attempts.insert(), attempts)
            set_records(connection, [record.id for record in records], OutboxState.QUEUED, OutboxState.NONCED)
            return read_transaction(connection, transaction_id)

    def fill(self, nonce: int, gas_limit: int) -> SentTransaction:
        """Spends a nonce below those in use on a transfer of nothing to the signer."""
        with self._transaction() as connection:
            transaction_id = _insert(connection, self._signer, nonce, self._signer, b"", gas_limit, noop=True)
            return read_transaction(connection, transaction_id)

    def store_signed(
        self, transaction_id: int, raw: bytes, transaction_hash: bytes, max_fee_wei: int, priority_fee_wei: int
    ) -> SentTransaction:
        """Stores the bytes that will be sent, before they are."""
        values = _signed_values(raw, transaction_hash, max_fee_wei, priority_fee_wei)
        return self._advance(transaction_id, OutboxState.NONCED, OutboxState.SIGNED, values)

    def replace_signed(
        self,
        transaction: SentTransaction,
        raw: bytes,
        transaction_hash: bytes,
        max_fee_wei: int,
        priority_fee_wei: int,
        noop: bool,
    ) -> SentTransaction:
        """Stores other bytes for the same nonce, before they are sent, and keeps the earlier ones."""
        values = {**_signed_values(raw, transaction_hash, max_fee_wei, priority_fee_wei), "noop": noop}
        earlier = {
            "hash": transaction.hash,
            "transaction_id": transaction.id,
            "raw": transaction.raw,
            "max_fee_wei": transaction.max_fee_wei,
            "noop": transaction.noop,
            "replaced_at_s": time.time(),
        }
        with self._transaction() as connection:
            connection.execute(outbox_replaced.insert().values(earlier))
            _advance(connection, transaction.id, transaction.state, OutboxState.SIGNED, values)
            return read_transaction(connection, transaction.id)

    def mark_sent(self, transaction_id: int) -> SentTransaction:
        return self._advance(transaction_id, OutboxState.SIGNED, OutboxState.SENT)

    def mark_mined(
        self, transaction_id: int, block_number: int, block_hash: bytes, gas_used: int, sequences: Sequence[int]
    ) -> None:
        """`sequences`: of the records, in call order."""
        values = {"block_number": block_number, "block_hash": block_hash, "gas_used": gas_used}
        with self._transaction() as connection:
            set_transaction(connection, transaction_id, OutboxState.SENT, OutboxState.MINED, values)
            ids = record_ids(connection, transaction_id)
            set_records(connection, ids, OutboxState.SENT, OutboxState.MINED)
            numbered = [{"record": each, "sequence": one} for each, one in zip(ids, sequences, strict=True)]
            connection.execute(update(outbox_records).where(outbox_records.c.id == bindparam("record")), numbered)

    def mark_final(self, transaction_id: int) -> None:
        self._advance(transaction_id, OutboxState.MINED, OutboxState.FINAL)

    def mark_reorganised(self, transaction_id: int) -> None:
        """Back to SENT: its block is gone, the same bytes go out again."""
        values = {"block_number": None, "block_hash": None, "gas_used": None}
        with self._transaction() as connection:
            ids = record_ids(connection, transaction_id)
            set_transaction(connection, transaction_id, OutboxState.MINED, OutboxState.SENT, values)
            set_records(connection, ids, OutboxState.MINED, OutboxState.SENT, {"sequence": None})

    def requeue(self, transaction_id: int, error: str) -> None:
        """The transaction came to nothing: its nonce is used up, its records wait again."""
        self._release(transaction_id, OutboxState.FAILED, {"error": error})

    def give_back(self, transaction: SentTransaction, error: str) -> None:
        """The request came to nothing and can not be executed any more: its records wait again, and its nonce, which
        must be the latest one, is free. Of relayed transactions alone: any other one spends its nonce."""
        with self._transaction() as connection:
            that = update(outbox_relay_nonces).where(
                outbox_relay_nonces.c.signer == self._signer, outbox_relay_nonces.c.next_nonce == transaction.nonce + 1
            )
            if connection.execute(that.values(next_nonce=transaction.nonce)).rowcount != 1:
                raise SubmitError(f"request {transaction.nonce} is not the latest one", hint="report this")
            _release(connection, transaction.id, OutboxState.FAILED, {"error": error})

    def mark_replaced(self, transaction_id: int, block_number: int, block_hash: bytes) -> None:
        """A transfer of nothing was mined in its place: its records wait again, those given up are over."""
        self._release(transaction_id, OutboxState.REPLACED, {"block_number": block_number, "block_hash": block_hash})

    def fail_record(
        self, record_id: int, error_name: str, error: str, values: Mapping[str, object] | None = None
    ) -> None:
        """The contract refuses the record with an error of that name and those values; what depends on it waits for
        what the operator does about it."""
        shown = json.dumps(values or {}, default=_as_json)
        values = {"error_name": error_name, "error": error, "error_values": shown}
        with self._transaction() as connection:
            set_records(connection, [record_id], OutboxState.QUEUED, OutboxState.FAILED, values)
            query = select(outbox_records.c.idempotency_key).where(outbox_records.c.id == record_id)
            block_dependants(connection, connection.execute(query).scalar_one())

    def _release(self, transaction_id: int, after: OutboxState, values: Mapping[str, object]) -> None:
        with self._transaction() as connection:
            _release(connection, transaction_id, after, values)

    def _advance(
        self, transaction_id: int, before: OutboxState, after: OutboxState, values: Mapping[str, object] | None = None
    ) -> SentTransaction:
        with self._transaction() as connection:
            _advance(connection, transaction_id, before, after, values or {})
            return read_transaction(connection, transaction_id)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._joint is not None:
            yield self._joint
            return
        with self._store.transaction() as connection:
            query = select(outbox_leases.c.holder, outbox_leases.c.fence).where(outbox_leases.c.signer == self._signer)
            lease = connection.execute(query).first()
            if lease is None or lease.fence != self.fence:
                raise LeaseHeldError("nobody" if lease is None else lease.holder)
            yield connection


def _as_json(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _advance(
    connection: Connection, transaction_id: int, before: OutboxState, after: OutboxState, values: Mapping[str, object]
) -> None:
    set_transaction(connection, transaction_id, before, after, values)
    set_records(connection, record_ids(connection, transaction_id), before, after)


def _signed_values(raw: bytes, transaction_hash: bytes, max_fee_wei: int, priority_fee_wei: int) -> dict[str, object]:
    return {
        "raw": raw,
        "hash": transaction_hash,
        "max_fee_wei": max_fee_wei,
        "priority_fee_wei": priority_fee_wei,
    }


def _release(connection: Connection, transaction_id: int, after: OutboxState, values: Mapping[str, object]) -> None:
    set_transaction(connection, transaction_id, OutboxState.SENT, after, values)
    for record in read_transaction(connection, transaction_id).records:
        state = OutboxState.CANCELLED if record.cancelling else waiting_state(connection, record.depends_on)
        set_records(connection, [record.id], OutboxState.SENT, state, {"cancelling": False})
        if state is not OutboxState.QUEUED:
            block_dependants(connection, record.idempotency_key)


def _insert(
    connection: Connection,
    signer: bytes,
    nonce: int,
    recipient: bytes,
    data: bytes,
    gas_limit: int,
    *,
    noop: bool = False,
    relayed: bool = False,
) -> int:
    row = {
        "signer": signer,
        "nonce": nonce,
        "recipient": recipient,
        "data": data,
        "gas_limit": gas_limit,
        "noop": noop,
        "relayed": relayed,
        "state": OutboxState.NONCED,
        "changed_at_s": time.time(),
    }
    return new_id(connection.execute(outbox_transactions.insert().values(row)))


def _take_nonce(connection: Connection, nonces: Table, signer: bytes, chain_nonce: int) -> int:
    query = select(nonces.c.next_nonce).where(nonces.c.signer == signer)
    known = connection.execute(query).scalar_one_or_none()
    nonce = chain_nonce if known is None else max(known, chain_nonce)
    if known is None:
        connection.execute(nonces.insert().values(signer=signer, next_nonce=nonce + 1))
    else:
        connection.execute(update(nonces).where(nonces.c.signer == signer).values(next_nonce=nonce + 1))
    return nonce
