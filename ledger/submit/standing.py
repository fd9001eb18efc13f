"""Whether an outbox is older than the ledger, because its database was restored from a backup.

A record is sent under a nonce that the outbox allocated before. So the outbox knows all of its key's transactions as
long as the chain has counted no more nonces than the outbox has allocated. If it has, the key's records in the index
tell whether one of them is unknown here. Then nothing may be recorded: requests that were answered after the backup
would be recorded again, and records that were waiting then would be refused, although they are on the ledger.

Not covered: records that a relay sent for the key, whose requests carry nonces of their own that execute only once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ledger.chain import BlockTransaction, Chain, read_calls
from ledger.errors import ChainUnreachableError, OutboxOlderError, RecordError
from ledger.records import Contract
from ledger.store import Store
from ledger.store.outbox_adoption import (
    AdoptedRecord,
    AdoptedTransaction,
    Adoption,
    adopt_transaction,
    find_unknown_records,
    has_records,
    indexed_block,
    next_nonce,
    raise_nonce,
)
from ledger.store.rows import RecordRow

__all__ = ["Standing", "adopt_records", "compare_outbox", "verify_outbox"]


class Standing(enum.Enum):
    """The result of a comparison."""

    CURRENT = "current"
    """The outbox knows all records that its key made."""
    UNDECIDED = "undecided"
    """The index has to reach the chain's head first."""
    OLDER = "older"
    """The key made records that the outbox does not know."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A transaction of the key, and the records that it made."""

    transaction: BlockTransaction
    rows: list[RecordRow]


def compare_outbox(chain: Chain, store: Store, signer: bytes) -> Standing:
    """Compare the outbox with what the key did on the ledger. Raises ChainError.

    The first use of an empty outbox is remembered: what the key did before is no concern of that outbox.
    """
    # The chain's count first: whatever this outbox allocates meanwhile only makes its own number greater.
    used, head = chain.node.transaction_count(signer), chain.head_number()
    with store.reading() as connection:
        known, is_used, indexed = next_nonce(connection, signer), has_records(connection), indexed_block(connection)
    if used <= (known or 0):
        return Standing.CURRENT
    if known is not None or is_used:
        if indexed < head:
            return Standing.UNDECIDED
        with store.reading() as connection:
            rows = find_unknown_records(connection, signer)
        if next(_find_unknown(chain, rows, signer, known or 0), None) is not None:
            return Standing.OLDER
    # The key was used elsewhere, for nothing that is a record, or before this outbox was made.
    with store.transaction() as connection:
        raise_nonce(connection, signer, used)
    return Standing.CURRENT


def verify_outbox(chain: Chain, store: Store, signer: bytes) -> bool:
    """Returns whether the outbox is current; False while that is undecided. Raises OutboxOlderError, ChainError."""
    found = compare_outbox(chain, store, signer)
    if found is Standing.OLDER:
        raise OutboxOlderError(
            f"the outbox is older than the ledger: key 0x{signer.hex()} made records that it does not know",
            hint=f"restore a newer backup, or have it take them in: `millmark outbox adopt 0x{signer.hex()}`",
        )
    return found is Standing.CURRENT


def adopt_records(chain: Chain, store: Store, signer: bytes) -> Adoption:
    """Have the outbox know all records that the key made, up to the last indexed block.

    Afterwards it is current, if the index is. Waiting records that are on the ledger are final. Idempotent. Raises
    ChainError, also while the block of such a record is not final: a reorganisation could still undo it.
    """
    final = chain.final_number()
    with store.reading() as connection:
        known, rows = next_nonce(connection, signer), find_unknown_records(connection, signer)
    found = sorted(_find_unknown(chain, rows, signer, known or 0), key=lambda one: one.transaction.nonce)
    latest = max((row.block_number for one in found for row in one.rows), default=final)
    if latest > final:
        raise ChainUnreachableError(
            f"block {latest} has records of 0x{signer.hex()} and is not final yet: the last final block is {final}",
            hint="repeat the command in a few blocks; nothing was changed",
        )
    adoption = Adoption()
    # In one transaction: a crash leaves the outbox as it was, and so still older.
    with store.transaction() as connection:
        for one in found:
            adopt_transaction(connection, _build(chain, signer, one), adoption)
    return adoption


def _find_unknown(chain: Chain, unknown: Sequence[RecordRow], signer: bytes, nonce: int) -> Iterator[_Found]:
    """The key's own transactions with at least this nonce that made these records, newest first."""
    blocks = groupby(unknown, key=lambda row: (row.block_number, row.block_hash))
    for (number, block_hash), rows in blocks:
        header, transactions = chain.node.transactions(number)
        if header.hash != block_hash:
            raise ChainUnreachableError(f"the node has another block {number} than the index", hint="try again")
        of_key = [one for one in transactions if one.nonce >= nonce and one.sender == signer]
        yield from _pair(reversed(of_key), list(rows))
        if not of_key and any(one.sender == signer for one in transactions):
            return  # a key's nonces ascend with the blocks, so all earlier ones are below


def _pair(transactions: Iterable[BlockTransaction], rows: list[RecordRow]) -> Iterator[_Found]:
    for transaction in transactions:
        made = [row for row in reversed(rows) if row.transaction_hash == transaction.hash]
        if made:
            yield _Found(transaction, made)


def _build(chain: Chain, signer: bytes, found: _Found) -> AdoptedTransaction:
    transaction, first = found.transaction, found.rows[0]
    return AdoptedTransaction(
        signer=signer,
        nonce=transaction.nonce,
        recipient=transaction.to,
        data=transaction.data,
        hash=transaction.hash,
        block_number=first.block_number,
        block_hash=first.block_hash,
        records=_records(chain, found),
    )


def _records(chain: Chain, found: _Found) -> list[AdoptedRecord]:
    """The records by the calls that made them; empty for a transaction in another form than the submitter's."""
    contract = next((one for one in Contract if chain.address(one) == found.transaction.to), None)
    rows = [row for row in found.rows if contract is not None and row.contract == contract.value]
    try:
        calls = () if contract is None else read_calls(contract, found.transaction.data)
    except RecordError:
        return []
    if len(calls) != len(rows):
        return []
    return [
        AdoptedRecord(row.contract, kind, payload, row.sequence)
        for (kind, payload), row in zip(calls, rows, strict=True)
    ]
