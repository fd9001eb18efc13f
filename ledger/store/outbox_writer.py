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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Table,
    Update,
    bindparam,
    delete,
    exists,
    false,
    func,
    select,
    update,
)

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import LeaseHeldError, SubmitError
from millmark.ledger.store.database import Store
from millmark.ledger.store.outbox_records import (
    OPEN,
    UNMINED,
    OutboxState,
    QueuedRecord,
    SentTransaction,
    block_dependants,
    free_dependants,
    new_id,
    outbox_attempts,
    outbox_leases,
    outbox_nonces,
    outbox_records,
    outbox_relay_nonces,
    outbox_replaced,
    outbox_transactions,
    payload_digest,
    read_record,
    read_transaction,
    record_ids,
    release_records,
    set_records,
    set_transaction,
    verify_moved,
)
from millmark.ledger.store.rows import CursorRow, RecordRow
from millmark.ledger.store.schema import TABLES

# Moves of many transactions at once: a few statements for all

_AT_ONCE = 400
"""Databases limit the number of parameters of a statement."""
_SIGNED = ("max_fee_wei", "priority_fee_wei", "raw", "hash")
_STORED = ("signer", "nonce", "recipient", "data", "gas_limit", "noop", *_SIGNED)
_MOVED_TRANSACTION = (
    update(outbox_transactions)
    .where(outbox_transactions.c.id == bindparam("moved"), outbox_transactions.c.state == bindparam("before"))
    .values({
        name: bindparam(f"new_{name}") for name in ("state", "block_number", "block_hash", "gas_used", "changed_at_s")
    })
)  # fmt: skip
_MOVED_RECORD = (
    update(outbox_records)
    .where(outbox_records.c.id == bindparam("moved"), outbox_records.c.state == bindparam("before"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "sequence", "changed_at_s")})
)


@dataclass(frozen=True, slots=True)
class FoundTransaction:
    """A transaction that was found in a block, where it made its records."""

    transaction: SentTransaction
    """As it is stored: SIGNED or SENT."""
    block_number: int
    block_hash: bytes
    gas_used: int
    sequences: Sequence[int]
    """The sequences of its records, in call order."""
    is_final: bool
    """Whether the block is final."""


def _choose_nonce(connection: Connection, nonces: Table, signer: bytes, chain_nonce: int) -> tuple[int, bool]:
    """The signer's next nonce, and whether it is the first one that this outbox allocates."""
    query = select(nonces.c.next_nonce).where(nonces.c.signer == signer)
    known = connection.execute(query).scalar_one_or_none()
    # The chain's count lacks what is on its way, ours what other programs sent: the greater one is free in both.
    return (chain_nonce, True) if known is None else (max(known, chain_nonce), False)


def set_nonce(connection: Connection, nonces: Table, signer: bytes, nonce: int, *, is_new: bool) -> None:
    """Store the signer's next nonce; `is_new` as `_choose_nonce` returned it."""
    if is_new:
        connection.execute(nonces.insert().values(signer=signer, next_nonce=nonce))
    else:
        connection.execute(update(nonces).where(nonces.c.signer == signer).values(next_nonce=nonce))


def insert_signed(connection: Connection, signed: Sequence[SentTransaction], *, relayed: bool) -> list[SentTransaction]:
    """Store signed transactions, and their records, which must be QUEUED, as SIGNED; returns them with their ids.
    Raises SubmitError if a record is in another state."""
    now = time.time()
    state = {"relayed": relayed, "state": OutboxState.SIGNED, "changed_at_s": now}
    connection.execute(
        outbox_transactions.insert(),
        [{**{name: getattr(one, name) for name in _STORED}, **state} for one in signed],
    )
    ids = _find_ids(connection, [one.hash or b"" for one in signed])
    started = [
        replace(
            one,
            id=ids[one.hash or b""],
            state=OutboxState.SIGNED,
            records=tuple(replace(record, state=OutboxState.SIGNED) for record in one.records),
        )
        for one in signed
    ]
    attempts = [
        {"transaction_id": one.id, "position": position, "record_id": record.id}
        for one in started
        for position, record in enumerate(one.records)
    ]
    connection.execute(outbox_attempts.insert(), attempts)
    records = [record.id for one in signed for record in one.records]
    for part in _parts(records):
        # Raises, and rolls back all, if the operator paused or cancelled one of them meanwhile.
        set_records(connection, part, OutboxState.QUEUED, OutboxState.SIGNED)
    return started


def _find_ids(connection: Connection, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """The ids of transactions by their hashes: databases differ in whether they tell the ids of several new rows."""
    columns = outbox_transactions.c.hash, outbox_transactions.c.id
    return {
        bytes(found): int(number)
        for part in _parts(hashes)
        for found, number in connection.execute(select(*columns).where(columns[0].in_(part)))
    }


def settle_found(connection: Connection, found: Sequence[FoundTransaction]) -> None:
    """Move transactions, and their records, to MINED or FINAL. Raises SubmitError if one is not in the state in which
    it was passed."""
    now = time.time()
    states = [OutboxState.FINAL if one.is_final else OutboxState.MINED for one in found]
    transactions = [
        {
            "moved": one.transaction.id,
            "before": one.transaction.state,
            "new_state": after,
            "new_block_number": one.block_number,
            "new_block_hash": one.block_hash,
            "new_gas_used": one.gas_used,
            "new_changed_at_s": now,
        }
        for one, after in zip(found, states, strict=True)
    ]
    records = [
        {
            "moved": record.id,
            "before": one.transaction.state,
            "new_state": after,
            "new_sequence": sequence,
            "new_changed_at_s": now,
        }
        for one, after in zip(found, states, strict=True)
        for record, sequence in zip(one.transaction.records, one.sequences, strict=True)
    ]
    _move_each(connection, _MOVED_TRANSACTION, transactions)
    _move_each(connection, _MOVED_RECORD, records)


def _move_each(connection: Connection, statement: Update, rows: Sequence[Mapping[str, Any]]) -> None:
    if connection.dialect.supports_sane_multi_rowcount:
        moved = connection.execute(statement, rows).rowcount
    else:  # the driver does not count what a statement with several rows of parameters changed
        moved = sum(connection.execute(statement, row).rowcount for row in rows)
    verify_moved(moved, len(rows), rows[0]["before"] if rows else OutboxState.SENT)


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


# What a submitter reads in every step

_CHANGING = ("state", "hash", "noop", "block_number", "block_hash", "gas_used")
"""What a transaction's progress changes, beside its versions, which change with the hash."""


class Work:
    """The queued records and open transactions of a key that sends transactions itself.

    Remembers what it has read. Signed bytes and records of a transaction never change, so that for a transaction that
    is known only its progress is read again.
    """

    def __init__(self, store: Store, signer: bytes) -> None:
        self._store = store
        self._signer = signer
        self._known: dict[int, SentTransaction] = {}

    def queued(self, most: int) -> list[QueuedRecord]:
        """The oldest queued records, at most `most`."""
        query = (
            select(outbox_records)
            .where(outbox_records.c.signer == self._signer, outbox_records.c.state == OutboxState.QUEUED)
            .order_by(outbox_records.c.id)
            .limit(most)
        )
        with self._store.reading() as connection:
            return [read_record(row) for row in connection.execute(query).mappings()]

    def open_transactions(self) -> list[SentTransaction]:
        """Like `Outbox.open_transactions`. Of their records, the states may be earlier ones."""
        columns = (outbox_transactions.c[name] for name in ("id", *_CHANGING))
        query = select(*columns).where(
            outbox_transactions.c.signer == self._signer,
            outbox_transactions.c.relayed == false(),
            outbox_transactions.c.state.in_(OPEN),
        )
        with self._store.reading() as connection:
            rows = connection.execute(query).mappings().all()
            cancelling = self._cancelling(connection) if rows else set()
            found = [self._read(connection, row, row["id"] in cancelling) for row in rows]
        # Sorted here: asked for the order, SQLite reads all transactions of the key in it, final ones too.
        found.sort(key=lambda transaction: (transaction.nonce, transaction.id))
        self._known = {transaction.id: transaction for transaction in found}
        return found

    def remember(self, transactions: Iterable[SentTransaction]) -> None:
        """Transactions as they were stored a moment ago, which need not be read again."""
        self._known |= {transaction.id: transaction for transaction in transactions}

    def _cancelling(self, connection: Connection) -> set[int]:
        """The transactions with a record that the operator cancelled meanwhile."""
        query = (
            select(outbox_attempts.c.transaction_id)
            .join(outbox_records, outbox_records.c.id == outbox_attempts.c.record_id)
            .where(
                outbox_records.c.signer == self._signer,
                outbox_records.c.state.in_(UNMINED),
                outbox_records.c.cancelling,
            )
        )
        return set(connection.execute(query).scalars())

    def _read(self, connection: Connection, row: RowMapping, cancelling: bool) -> SentTransaction:
        known = self._known.get(row["id"])
        if known is None or known.hash != row["hash"] or cancelling:
            return read_transaction(connection, row["id"])
        if known.state == row["state"] and known.block_hash == row["block_hash"]:
            return known
        return replace(known, **{**row, "state": OutboxState(row["state"])})


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
        Send nothing meanwhile: what is sent must be durable first."""
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
            first, is_new = _choose_nonce(connection, nonces, self._signer, chain_nonce)
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
        """Reserve the signer's next nonce for `records`, which must be QUEUED. `chain_nonce` is used only if this
        outbox has allocated none yet, or if the chain is ahead, since the key was used elsewhere."""
        with self._transaction() as connection:
            # Nonce and records in one transaction: a crash in between would leave a gap that holds up all later ones.
            nonces = outbox_relay_nonces if self._relayed else outbox_nonces
            nonce, is_new = _choose_nonce(connection, nonces, self._signer, chain_nonce)
            set_nonce(connection, nonces, self._signer, nonce + 1, is_new=is_new)
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
            return _choose_nonce(connection, nonces, self._signer, chain_nonce)[0]

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
        harmless."""
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
        with self._transaction() as connection:
            ids = record_ids(connection, transaction_id)
            set_transaction(connection, transaction_id, OutboxState.MINED, OutboxState.SENT, _GONE)
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
        """Mark a record that the contract refuses, with the name and values of the contract's error. Records that
        depend on it are blocked until the operator resumes or cancels it."""
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


# Transactions that were final, in blocks that the chain lost: it was set back by its validators, or restored.
#
# Their records are sent again as they were, with the same nonces, and where possible the same bytes: should a block
# have them after all, they are found there, and nothing is made twice. All functions work in the caller's transaction.

_GONE = {"block_number": None, "block_hash": None, "gas_used": None}


@dataclass(frozen=True, slots=True)
class FinalTransaction:
    """A final transaction, and the block that it was in."""

    id: int
    nonce: int
    block_number: int
    block_hash: bytes


def final_transactions(connection: Connection, signer: bytes, below: int | None, most: int) -> list[FinalTransaction]:
    """The final transactions of a signer with the highest nonces; only those `below` a nonce, if it is not None."""
    columns = outbox_transactions.c
    query = select(columns.id, columns.nonce, columns.block_number, columns.block_hash)
    query = query.where(*_sent_by(signer), columns.state == OutboxState.FINAL, columns.block_hash.is_not(None))
    if below is not None:
        query = query.where(columns.nonce < below)
    return [FinalTransaction(*row) for row in connection.execute(query.order_by(columns.nonce.desc()).limit(most))]


def reopen(connection: Connection, transaction_id: int) -> int:
    """Have a final transaction sent again. Returns the number of its records. Raises SubmitError if it is not final any
    more."""
    ids = record_ids(connection, transaction_id)
    if not ids:  # taken in from the ledger, in another form than the submitter's: nobody here can make its records
        set_transaction(connection, transaction_id, OutboxState.FINAL, OutboxState.FAILED, _GONE)
        return 0
    query = select(outbox_transactions.c.raw).where(outbox_transactions.c.id == transaction_id)
    # One that was taken in from the ledger has no bytes here: the same call is signed again.
    has_bytes = connection.execute(query).scalar_one() is not None
    after, gone = (OutboxState.SENT, _GONE) if has_bytes else (OutboxState.NONCED, {**_GONE, "hash": None})
    set_transaction(connection, transaction_id, OutboxState.FINAL, after, gone)
    set_records(connection, ids, OutboxState.FINAL, after, {"sequence": None})
    return len(ids)


def forget_unused(connection: Connection, signer: bytes, first: int) -> None:
    """Forget the closed transactions that made no records, from nonce `first` on, which is unused now: what fills these
    nonces is signed anew."""
    closed = (OutboxState.REPLACED, OutboxState.FAILED)
    those = select(outbox_transactions.c.id).where(
        *_sent_by(signer), outbox_transactions.c.state.in_(closed), outbox_transactions.c.nonce >= first
    )
    ids = list(connection.execute(those).scalars())
    for table in (outbox_attempts, outbox_replaced):
        connection.execute(delete(table).where(table.c.transaction_id.in_(ids)))
    connection.execute(delete(outbox_transactions).where(outbox_transactions.c.id.in_(ids)))


def _sent_by(signer: bytes) -> tuple[ColumnElement[bool], ...]:
    return outbox_transactions.c.signer == signer, outbox_transactions.c.relayed.is_(False)


# Own records on the ledger that an outbox does not know, since it was restored from an older backup.
#
# Their transactions are stored with those of the outbox, as final. A waiting record that one of them made is final; the
# others get a row under a key of their own (`ADOPTED`), until the request that made them is repeated. All functions
# work in the caller's transaction.

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
    final = outbox_transactions.c.state == OutboxState.FINAL
    query = select(func.max(outbox_transactions.c.block_number)).where(*_sent_by(signer), final)
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
    if known is None or known < nonce:
        set_nonce(connection, outbox_nonces, signer, nonce, is_new=known is None)


def release_lost(connection: Connection, transaction_id: int) -> None:
    """Queue the records of a transaction again whose nonce was used without making them."""
    query = select(outbox_transactions.c.state).where(outbox_transactions.c.id == transaction_id)
    state = OutboxState(connection.execute(query).scalar_one())
    if state in _OPEN:  # otherwise somebody settled it meanwhile
        values = {"error": "its nonce was used without making its records"}
        release_records(connection, transaction_id, state, OutboxState.FAILED, values)


def adopt_transaction(connection: Connection, found: AdoptedTransaction, adoption: Adoption) -> None:
    """Store a transaction and its records as final, and count them; nothing if it was stored meanwhile."""
    query = select(outbox_transactions.c.id).where(outbox_transactions.c.hash == found.hash)
    if connection.execute(query).first() is not None:
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
            record_id = _insert_adopted(connection, found.signer, record)
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


def _insert_adopted(connection: Connection, signer: bytes, record: AdoptedRecord) -> int:
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
