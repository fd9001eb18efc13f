"""Follows the chain into the store, one batch of final blocks a transaction.

Only final blocks are read, so nothing is ever undone. What must not happen on a final chain (another chain behind the
same address, a changed block, a record missing or repeated, a record that cannot be placed) halts the follower with
the index as it was: rolling back there would hide the one event that an operator has to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.errors import IndexHaltedError, MillmarkError, WrongChainError, WrongContractError
from ledger.index.bloom import may_contain
from ledger.index.digest import start_digest
from ledger.index.state import State
from ledger.index.writer import Block, write_block
from ledger.records import Header, Recorded
from ledger.store import Rows, Store
from ledger.store.rows import ChainIdentityRow, CursorRow

_BATCH_BLOCKS = 256
_BATCH_RECORDS = 2_000
"""A batch ends at whichever comes first: few commits, and little to fetch again after a crash."""
_MEND_CHANGED = "find out why a final block changed; if the chain is right, rebuild the index"
_ONLY = 1
"""Key of tables with one row."""


class ChainReader(Protocol):
    """What the follower asks of a chain."""

    @property
    def chain_id(self) -> int: ...
    @property
    def registry(self) -> bytes: ...
    @property
    def ledger(self) -> bytes: ...
    def genesis_hash(self) -> bytes: ...
    def final_number(self) -> int:
        """The highest block that is final by the engine's profile; -1 for none."""

    def header(self, number: int) -> Header: ...
    def recorded(self, header: Header) -> tuple[Recorded, ...]:
        """Both contracts' records in that very block, in log order."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one call of `follow` did."""

    block_number: int
    """The last block that is in the index; -1 for none."""
    final_number: int
    """The last final block of the chain, when last asked. Below `block_number` when the node is behind the index."""
    blocks: int
    records: int


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How far the index is."""

    chain_id: int
    registry: bytes
    ledger: bytes
    block_number: int
    block_hash: bytes
    block_time: int
    """Seconds since 1970; 0 before the first block."""
    registry_sequence: int
    ledger_sequence: int
    digest: bytes
    """Equal for two indexes that saw the same records in the same order."""


class Follower:
    """The one writer of an index. A second one on the same store is noticed, and stops."""

    def __init__(self, chain: ChainReader, store: Store) -> None:
        self._chain = chain
        self._store = store

    def follow(self, limit: int | None = None) -> Progress:
        """Indexes final blocks, at most `limit`, and returns when there are no more.

        Raises WrongChainError or WrongContractError when the store is about another ledger, IndexHaltedError when the
        chain shows what must not be passed over. Blocks before the offending one are in the index, nothing of it is.
        """
        cursor = self._open()
        final = self._chain.final_number()
        last = final if limit is None else min(final, cursor.block_number + limit)
        self._verify_unchanged(cursor, final)
        blocks = records = 0
        while cursor.block_number < last:
            batch = self._fetch(cursor, last)
            cursor = self._write(cursor, batch)
            blocks += len(batch)
            records += sum(len(block.records) for block in batch)
        return Progress(cursor.block_number, final, blocks, records)

    def rebuild(self) -> Progress:
        """Throws away what follows from the chain, and follows it again from the genesis block. Readers see the index
        grow meanwhile; the private book stays."""
        self._open()
        with self._store.transaction() as connection:
            Rows(connection).clear_index()
        return self.follow()

    def _open(self) -> CursorRow:
        """The cursor of an index that is about this chain; made at the first call."""
        chain = self._chain
        identity = ChainIdentityRow(_ONLY, chain.chain_id, chain.genesis_hash(), chain.registry, chain.ledger)
        with self._store.transaction() as connection:
            rows = Rows(connection)
            stored = rows.get(ChainIdentityRow, _ONLY)
            if stored is None:
                rows.insert([identity])
            else:
                _verify_identity(identity, stored)
            cursor = rows.get(CursorRow, _ONLY)
            if cursor is None:
                cursor = _start(identity)
                rows.insert([cursor])
        return cursor

    def _verify_unchanged(self, cursor: CursorRow, final: int) -> None:
        if not 0 <= cursor.block_number <= final:
            return
        now = self._chain.header(cursor.block_number).hash
        if now != cursor.block_hash:
            raise _changed(cursor.block_number, now, cursor.block_hash)

    def _fetch(self, cursor: CursorRow, last: int) -> list[Block]:
        """The next blocks, as many as are linked. Outside of any transaction: a slow node must not hold the lock."""
        batch: list[Block] = []
        records = 0
        try:
            for block in self._blocks(cursor, last):
                batch.append(block)
                records += len(block.records)
                if len(batch) == _BATCH_BLOCKS or records >= _BATCH_RECORDS:
                    break
        except MillmarkError:
            if not batch:
                raise
        return batch

    def _blocks(self, cursor: CursorRow, last: int) -> Iterator[Block]:
        parent = cursor.block_hash
        for number in range(cursor.block_number + 1, last + 1):
            header = self._chain.header(number)
            expected, found = (parent, header.parent_hash) if number else (self._chain.genesis_hash(), header.hash)
            if header.number != number or found != expected:
                raise _changed(number - 1 if number else 0, found, expected)
            parent = header.hash
            yield Block(header, self._records(header))

    def _records(self, header: Header) -> tuple[Recorded, ...]:
        addresses = (self._chain.registry, self._chain.ledger)
        if not any(may_contain(header.logs_bloom, address) for address in addresses):
            return ()
        return self._chain.recorded(header)

    def _write(self, cursor: CursorRow, batch: Sequence[Block]) -> CursorRow:
        """Commits a batch; when it does not go through, the blocks one by one, to stop right before the bad one."""
        try:
            return self._commit(cursor, batch)
        except IndexHaltedError:
            if len(batch) == 1:
                raise
        for block in batch:
            cursor = self._commit(cursor, [block])
        return cursor

    def _commit(self, expected: CursorRow, batch: Sequence[Block]) -> CursorRow:
        with self._store.transaction() as connection:
            rows = Rows(connection)
            cursor = rows.get(CursorRow, _ONLY)
            if cursor != expected:
                raise IndexHaltedError("another follower writes this index", mend="run one follower for each store")
            state = State(rows)
            for block in batch:
                cursor = write_block(block, state, cursor, self._chain.chain_id, self._chain.ledger)
            state.flush()
            rows.update([cursor])
        return cursor


def fetch_status(store: Store) -> IndexStatus | None:
    """How far the index is; None when no chain was followed yet."""
    with store.reading() as connection:
        rows = Rows(connection)
        identity, cursor = rows.get(ChainIdentityRow, _ONLY), rows.get(CursorRow, _ONLY)
    if identity is None or cursor is None:
        return None
    return IndexStatus(
        chain_id=identity.chain_id,
        registry=identity.registry,
        ledger=identity.ledger,
        block_number=cursor.block_number,
        block_hash=cursor.block_hash,
        block_time=cursor.block_time,
        registry_sequence=cursor.registry_sequence,
        ledger_sequence=cursor.ledger_sequence,
        digest=cursor.digest,
    )


def _start(identity: ChainIdentityRow) -> CursorRow:
    digest = start_digest(identity.chain_id, identity.genesis_hash, identity.registry, identity.ledger)
    return CursorRow(_ONLY, -1, bytes(32), 0, 0, 0, digest)


def _verify_identity(identity: ChainIdentityRow, stored: ChainIdentityRow) -> None:
    mend = "give the node of that chain, or another database"
    if identity.chain_id != stored.chain_id:
        raise WrongChainError(f"the index is of chain {stored.chain_id}, the node of {identity.chain_id}", mend=mend)
    if identity.genesis_hash != stored.genesis_hash:
        raise WrongChainError(
            f"the index begins at genesis block 0x{stored.genesis_hash.hex()}, the node at "
            f"0x{identity.genesis_hash.hex()}",
            mend=mend,
        )
    for name in ("registry", "ledger"):
        ours, theirs = getattr(stored, name), getattr(identity, name)
        if ours != theirs:
            raise WrongContractError(
                f"the index is of the {name} at 0x{ours.hex()}, not at 0x{theirs.hex()}",
                mend="give the addresses of that ledger, or another database",
            )


def _changed(number: int, found: bytes, expected: bytes) -> IndexHaltedError:
    return IndexHaltedError(
        f"final block {number} changed: it was 0x{expected.hex()}, the chain now has 0x{found.hex()}",
        mend=_MEND_CHANGED,
    )
