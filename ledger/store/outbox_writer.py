"""The submitter's half of the outbox. Every method is one database transaction, so a crash leaves all of it or nothing:

    after enqueue           QUEUED    the record is durable and may be acknowledged
    after start             SIGNED    nonces are reserved for these records, and exactly these bytes are sent
    after allocate          NONCED    the nonce is reserved for these records, whatever happens
    after store_signed      SIGNED    exactly these bytes are sent, now and after any restart
    after replace_signed    SIGNED    these bytes are sent instead; earlier ones are kept, as they may still be mined
    after mark_sent         SENT      a node has the bytes; the receipt decides
    after settle            MINED     in a block, with the expected events, or FINAL if that block is final
    after mark_mined        MINED     in a block, with the expected events; the block may still be reorganised away
    after mark_final        FINAL     done
    after mark_reorganised  SENT      the block is gone; the same bytes are sent again
    after give_back         FAILED    a forward request expired; its records are QUEUED again, its nonce is free
    after requeue           FAILED    mined without its records, or its nonce was lost; the records are QUEUED again
    after mark_replaced     REPLACED  a zero-value transfer took the nonce; the records are CANCELLED, or QUEUED again
    after fail_record       -         FAILED: the contract refuses the record
    after fill              NONCED    a nonce that nothing else will use is reserved for a zero-value transfer

`start` and `settle` move many transactions with a few statements; `allocate`, `mark_mined` and those after them move
one, as forward requests are made and followed one by one. Where nothing is sent in between, a submitter makes several
moves in one transaction (`together`).

Every move names the state that it starts from, and every method first checks that the writer's lease is the latest one:
a record that two submitters send would get onto the ledger twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection, Table, bindparam, select, update

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import LeaseHeldError, SubmitError
from millmark.ledger.store.database import Store
from millmark.ledger.store.outbox_moves import FoundTransaction, insert_signed, next_nonce, set_nonce, settle_found
from millmark.ledger.store.outbox_rows import (
    block_dependants,
    new_id,
    read_transaction,
    record_ids,
    release_records,
    set_records,
    set_transaction,
)
from millmark.ledger.store.outbox_tables import (
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

__all__ = ["OutboxWriter"]


class OutboxWriter:
    """Writes the outbox for the only submitter of a key. `relayed` is as for Outbox.

    Every method raises LeaseHeldError if another submitter has taken the lease, and SubmitError if a record or
    transaction is not in the expected state; then nothing is changed.
    """

    def __init__(self, store: Store, signer: bytes, fence: int, *, relayed: bool = False) -> None:
        self._store = store
        self._signer = signer
        self._relayed = relayed
        self._joint: Connection | None = None
        self.fence = fence

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make the calls within it one database transaction, with a single fsync; a crash leaves all or none of them.

        Send nothing meanwhile: what is sent must be durable first.
        """
        with self._transaction() as connection:
            # The methods called meanwhile find it in `_transaction`.
            self._joint = connection
            try:
                yield
            finally:
                self._joint = None

    def start(self, chain_nonce: int, signed: Sequence[SentTransaction]) -> list[SentTransaction] | None:
        """Reserve the signer's next nonces for transactions that were signed with them, in this order, and store them;
        their records must be QUEUED. Of what is passed, ids and states do not count.

        Returns them as they are stored, SIGNED, or None, and changes nothing, if the next nonce is another one:
        `chain_nonce` counts as for `allocate`.
        """
        with self._transaction() as connection:
            nonces = outbox_relay_nonces if self._relayed else outbox_nonces
            first, is_new = next_nonce(connection, nonces, self._signer, chain_nonce)
            if [one.nonce for one in signed] != list(range(first, first + len(signed))):
                return None
            set_nonce(connection, nonces, self._signer, first + len(signed), is_new=is_new)
            return insert_signed(connection, signed, relayed=self._relayed)

    def settle(self, found: Sequence[FoundTransaction]) -> None:
        """Store what became of transactions that are in blocks with the expected events, and that were not MINED: as
        MINED or FINAL, with the sequences of their records."""
        with self._transaction() as connection:
            settle_found(connection, found)

    def allocate(
        self,
        chain_nonce: int,
        records: Sequence[QueuedRecord],
        recipient: bytes,
        data: bytes,
        gas_limit: int,
    ) -> SentTransaction:
        """Reserve the signer's next nonce for `records`, which must be QUEUED.

        `chain_nonce` is used only if this outbox has allocated none yet, or if the chain is ahead, since the key was
        used elsewhere.
        """
        with self._transaction() as connection:
            # Nonce and records in one transaction: a crash in between would leave a gap that holds up all later ones.
            nonces = outbox_relay_nonces if self._relayed else outbox_nonces
            nonce = _take_nonce(connection, nonces, self._signer, chain_nonce)
            relayed = self._relayed
            transaction_id = _insert(connection, self._signer, nonce, recipient, data, gas_limit, relayed=relayed)
            attempts = [
                {"transaction_id": transaction_id, "position": position, "record_id": record.id}
                for position, record in enumerate(records)
            ]
            connection.execute(outbox_attempts.insert(), attempts)
            # Raises, and rolls back the nonce, if the operator paused or cancelled one of them meanwhile.
            set_records(connection, [record.id for record in records], OutboxState.QUEUED, OutboxState.NONCED)
            held = tuple(replace(record, state=OutboxState.NONCED) for record in records)
            return SentTransaction(
                id=transaction_id,
                signer=self._signer,
                nonce=nonce,
                recipient=recipient,
                data=data,
                gas_limit=gas_limit,
                max_fee_wei=None,
                priority_fee_wei=None,
                noop=False,
                raw=None,
                hash=None,
                state=OutboxState.NONCED,
                block_number=None,
                block_hash=None,
                gas_used=None,
                records=held,
                replaced=(),
            )

    def next_nonce(self, chain_nonce: int) -> int:
        """The nonce that `allocate` would reserve now."""
        with self._store.reading() as connection:
            nonces = outbox_relay_nonces if self._relayed else outbox_nonces
            return next_nonce(connection, nonces, self._signer, chain_nonce)[0]

    def fill(self, nonce: int, gas_limit: int) -> SentTransaction:
        """Reserve a nonce below those in use for a zero-value transfer to the signer, which closes the gap."""
        with self._transaction() as connection:
            transaction_id = _insert(connection, self._signer, nonce, self._signer, b"", gas_limit, noop=True)
            return read_transaction(connection, transaction_id)

    def store_signed(
        self, transaction_id: int, raw: bytes, transaction_hash: bytes, max_fee_wei: int, priority_fee_wei: int
    ) -> SentTransaction:
        """Store the signed bytes. Call it before they are sent: after a crash, no others may be sent for this nonce."""
        values = _signed_values(raw, transaction_hash, max_fee_wei, priority_fee_wei)
        with self._transaction() as connection:
            _advance(connection, transaction_id, OutboxState.NONCED, OutboxState.SIGNED, values)
            return read_transaction(connection, transaction_id)

    def replace_signed(
        self,
        transaction: SentTransaction,
        raw: bytes,
        transaction_hash: bytes,
        max_fee_wei: int,
        priority_fee_wei: int,
        noop: bool,
    ) -> SentTransaction:
        """Store other signed bytes for the same nonce, before they are sent, and keep the earlier ones."""
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
            # Nodes have the earlier bytes: without their hash, their receipt could not be found if they are mined.
            connection.execute(outbox_replaced.insert().values(earlier))
            _advance(connection, transaction.id, transaction.state, OutboxState.SIGNED, values)
            return read_transaction(connection, transaction.id)

    def mark_sent(self, transaction_id: int) -> None:
        """Call it after a node has accepted the bytes. After a crash before the call, they are sent again, which is
        harmless.
        """
        self._advance(transaction_id, OutboxState.SIGNED, OutboxState.SENT)

    def mark_mined(
        self, transaction_id: int, block_number: int, block_hash: bytes, gas_used: int, sequences: Sequence[int]
    ) -> None:
        """Store the block, and the sequences of the transaction's records, in call order."""
        values = {"block_number": block_number, "block_hash": block_hash, "gas_used": gas_used}
        with self._transaction() as connection:
            set_transaction(connection, transaction_id, OutboxState.SENT, OutboxState.MINED, values)
            ids = record_ids(connection, transaction_id)
            set_records(connection, ids, OutboxState.SENT, OutboxState.MINED)
            # Records of one transaction differ only in their sequences, which therefore have a statement of their own.
            numbered = [{"record": each, "sequence": one} for each, one in zip(ids, sequences, strict=True)]
            connection.execute(update(outbox_records).where(outbox_records.c.id == bindparam("record")), numbered)

    def mark_final(self, transaction_id: int) -> None:
        self._advance(transaction_id, OutboxState.MINED, OutboxState.FINAL)

    def mark_reorganised(self, transaction_id: int) -> None:
        """Move a transaction back to SENT, since its block was reorganised away; the same bytes are sent again."""
        values = {"block_number": None, "block_hash": None, "gas_used": None}
        with self._transaction() as connection:
            ids = record_ids(connection, transaction_id)
            set_transaction(connection, transaction_id, OutboxState.MINED, OutboxState.SENT, values)
            set_records(connection, ids, OutboxState.MINED, OutboxState.SENT, {"sequence": None})

    def requeue(self, transaction_id: int, error: str) -> None:
        """Queue the records again whose transaction failed or lost its nonce; the nonce stays used up."""
        self._release(transaction_id, OutboxState.FAILED, {"error": error})

    def give_back(self, transaction: SentTransaction, error: str) -> None:
        """Queue the records of an expired forward request again, and free its nonce, which must be the latest
        allocated one.

        Only for relayed transactions, which can no longer be executed once expired; other transactions use up their
        nonces.
        """
        with self._transaction() as connection:
            that = update(outbox_relay_nonces).where(
                outbox_relay_nonces.c.signer == self._signer, outbox_relay_nonces.c.next_nonce == transaction.nonce + 1
            )
            # Freeing any but the latest nonce would leave a gap below those in use.
            if connection.execute(that.values(next_nonce=transaction.nonce)).rowcount != 1:
                raise SubmitError(f"forward request {transaction.nonce} is not the latest one", hint="report this")
            release_records(connection, transaction.id, OutboxState.SENT, OutboxState.FAILED, {"error": error})

    def mark_replaced(self, transaction_id: int, block_number: int, block_hash: bytes) -> None:
        """Mark that a zero-value transfer was mined with its nonce: its records are queued again or, if the operator
        cancelled them, finished."""
        self._release(transaction_id, OutboxState.REPLACED, {"block_number": block_number, "block_hash": block_hash})

    def fail_record(
        self, record_id: int, error_name: str, error: str, values: Mapping[str, object] | None = None
    ) -> None:
        """Mark a record that the contract refuses, with the name and values of the contract's error.

        Records that depend on it are blocked until the operator resumes or cancels it.
        """
        # Beside the text: programs read the values, people the text.
        shown = json.dumps(values or {}, default=_as_json)
        values = {"error_name": error_name, "error": error, "error_values": shown}
        with self._transaction() as connection:
            set_records(connection, [record_id], OutboxState.QUEUED, OutboxState.FAILED, values)
            query = select(outbox_records.c.idempotency_key).where(outbox_records.c.id == record_id)
            block_dependants(connection, connection.execute(query).scalar_one())

    def _release(self, transaction_id: int, after: OutboxState, values: Mapping[str, object]) -> None:
        with self._transaction() as connection:
            release_records(connection, transaction_id, OutboxState.SENT, after, values)

    def _advance(self, transaction_id: int, before: OutboxState, after: OutboxState) -> None:
        with self._transaction() as connection:
            _advance(connection, transaction_id, before, after, {})

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._joint is not None:
            yield self._joint  # `together` has checked the lease, under the write lock that it still holds
            return
        with self._store.transaction() as connection:
            # Checked under the write lock, so that no other process can take the lease between check and commit.
            query = select(outbox_leases.c.holder, outbox_leases.c.fence).where(outbox_leases.c.signer == self._signer)
            lease = connection.execute(query).first()
            if lease is None or lease.fence != self.fence:
                raise LeaseHeldError("nobody" if lease is None else lease.holder)
            yield connection


def _as_json(value: object) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)


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
    nonce, is_new = next_nonce(connection, nonces, signer, chain_nonce)
    set_nonce(connection, nonces, signer, nonce + 1, is_new=is_new)
    return nonce
