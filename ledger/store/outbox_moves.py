"""Moves of many of the outbox's transactions at once, within one database transaction: a few statements for all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, Update, bindparam, select, update

from millmark.ledger.store.outbox_rows import set_records, verify_moved
from millmark.ledger.store.outbox_tables import (
    OutboxState,
    SentTransaction,
    outbox_attempts,
    outbox_records,
    outbox_transactions,
)

__all__ = ["FoundTransaction", "insert_signed", "next_nonce", "set_nonce", "settle_found"]

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


def next_nonce(connection: Connection, nonces: Table, signer: bytes, chain_nonce: int) -> tuple[int, bool]:
    """The signer's next nonce, and whether it is the first one that this outbox allocates."""
    query = select(nonces.c.next_nonce).where(nonces.c.signer == signer)
    known = connection.execute(query).scalar_one_or_none()
    # The chain's count lacks what is on its way, ours what other programs sent: the greater one is free in both.
    return (chain_nonce, True) if known is None else (max(known, chain_nonce), False)


def set_nonce(connection: Connection, nonces: Table, signer: bytes, nonce: int, *, is_new: bool) -> None:
    """Store the signer's next nonce; `is_new` as `next_nonce` returned it."""
    if is_new:
        connection.execute(nonces.insert().values(signer=signer, next_nonce=nonce))
    else:
        connection.execute(update(nonces).where(nonces.c.signer == signer).values(next_nonce=nonce))


def insert_signed(connection: Connection, signed: Sequence[SentTransaction], *, relayed: bool) -> list[SentTransaction]:
    """Store signed transactions, and their records, which must be QUEUED, as SIGNED; returns them with their ids.

    Raises SubmitError if a record is in another state.
    """
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
