"""Follows the chain into the store, one batch of blocks per transaction, from the deployment's block to the latest.

Changes made by a block that is not final yet are logged in the same transaction, and undone if the chain later replaces
the block. What must not happen on a final chain (another chain behind the same URL, a changed block, a missing
or repeated record, a record about something unknown) halts the follower and leaves the index as it was. Rolling back
there would hide the one event that an operator has to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from millmark.ledger.canonical import keccak256, to_hex
from millmark.ledger.errors import IndexHaltedError, MillmarkError, StoreBusyError, WrongChainError, WrongContractError
from millmark.ledger.events import Event, Header, Recorded
from millmark.ledger.index.state import ONLY, State
from millmark.ledger.index.writer import Block, start_digest, write_block
from millmark.ledger.slots import start_of
from millmark.ledger.store import Rows, Store, values_of
from millmark.ledger.store.repository import Change, Undo
from millmark.ledger.store.rows import ChainIdentityRow, CursorRow

# Whether a block may hold logs of a contract (Ethereum yellow paper, section 4.3.1).


def may_contain(bloom: bytes, value: bytes) -> bool:
    """Whether the block may have a log with `value`, an address or a topic. False is certain, True proves nothing.
    `bloom` is 256 bytes, a number of 2048 bits, most significant first."""
    digest = keccak256(value)
    bits = (int.from_bytes(digest[start : start + 2], "big") % 2048 for start in (0, 2, 4))
    return all(bloom[255 - bit // 8] >> bit % 8 & 1 for bit in bits)


_BATCH_BLOCKS = 256
_BATCH_RECORDS = 2_000
"""A batch ends at whichever limit comes first: few commits, and little to fetch again after a crash."""
_AHEAD = 64
"""Number of blocks that are asked for at once, at most."""
_AHEAD_RECORDS = 256
"""Number of records, nearly, that are asked for at once."""
_STEP = 4
"""How many times as many blocks are asked for after a success, at most, and how many times fewer after an error."""
_HINT_CHANGED = "find out why a final block changed; if the chain is right: `millmark rebuild`, then start again"
_OVERTAKEN = 8
"""How often in one call another follower may be first, before it is left to do the rest."""
_ANY = 2**63 - 1
"""Above every block number."""


class ChainReader(Protocol):
    """The part of a chain that the follower reads."""

    @property
    def chain_id(self) -> int: ...
    @property
    def registry(self) -> bytes: ...
    @property
    def ledger(self) -> bytes: ...
    @property
    def ledger_id(self) -> bytes: ...
    @property
    def first_block(self) -> int:
        """The block of the deployment; earlier blocks hold no records."""

    def genesis_hash(self) -> bytes: ...
    def head_number(self) -> int:
        """The latest block."""

    def final_number(self) -> int:
        """The highest block that is final by the engine's profile; -1 if there is none."""

    @property
    def finality_depth(self) -> int:
        """Number of later blocks after which a block is final, as of the last call of `final_number`."""

    def header(self, number: int) -> Header: ...
    def headers_of(self, numbers: Sequence[int]) -> Iterator[Header]:
        """Headers of several blocks, which cost little more than one. Raises in the place of one that fails."""

    def recorded_in_each(self, headers: Sequence[Header]) -> Iterator[tuple[Recorded[Event], ...]]:
        """Both contracts' records in each of the blocks with these headers' hashes, in log order. Raises in the place
        of one that fails."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one call of `follow` did."""

    block_number: int
    """The last indexed block; -1 if there is none."""
    final_number: int
    """The chain's last final block when the call began; -1 if there is none. Blocks above it may still be undone."""
    blocks: int
    """Number of blocks that were indexed."""
    records: int
    """Number of records in them."""
    undone: int
    """Number of blocks that were undone first, because the chain has others in their place."""


@dataclass(slots=True)
class _Done:
    """The numbers of a `Progress`, over all attempts of one call."""

    blocks: int = 0
    records: int = 0
    undone: int = 0


class _OvertakenError(Exception):
    """Another follower has committed in between; nothing was written."""


class Follower:
    """Writes an index. Several may write one, such as a gateway's and a command's: who commits second has written
    nothing, and goes on from where the other one is."""

    def __init__(self, chain: ChainReader, store: Store, ahead: int = _AHEAD) -> None:
        """`ahead`: number of blocks that are asked for at once, at most."""
        self._chain = chain
        self._store = store
        self._ahead = ahead
        self._stride = 1
        """Number of blocks whose records are asked for at once: the more, the fewer are in each."""

    def follow(self, limit: int | None = None) -> Progress:
        """Index at most `limit` new blocks; stops early at the latest block, or if the chain is reorganised meanwhile.

        Raises WrongChainError or WrongContractError if the store belongs to another ledger, IndexHaltedError for what
        must not happen on a final chain. Then all blocks before the offending one are indexed, and nothing of that
        one. Raises StoreBusyError if other followers are first again and again.
        """
        progress = self._try(limit)
        if progress is None:
            raise StoreBusyError(
                "another process is indexing the same blocks",
                hint="try again when it has caught up: `millmark status` shows how far the index is",
            )
        return progress

    def _try(self, limit: int | None) -> Progress | None:
        """What `follow` does; None if other followers were first again and again."""
        done = _Done()
        for _ in range(_OVERTAKEN):
            with suppress(_OvertakenError):
                return self._follow(limit, done)
        return None

    def _follow(self, limit: int | None, done: _Done) -> Progress:
        cursor = self._open()
        # The final number first: a block that becomes final in between is merely logged for undoing once too often.
        final, head = self._chain.final_number(), self._chain.head_number()
        cursor = self._take_back(cursor, head, done)
        last = head if limit is None else min(head, cursor.block_number + limit - done.blocks)
        is_new = False
        while cursor.block_number < last and (batch := self._fetch(cursor, last, final)):
            cursor = self._write(cursor, batch, self._proven(batch[-1].header.number, final))
            is_new = True
            done.blocks += len(batch)
            done.records += sum(len(block.records) for block in batch)
        if not is_new and cursor.block_number <= head:
            self._settle(cursor, self._proven(cursor.block_number, final))
        return Progress(cursor.block_number, final, done.blocks, done.records, done.undone)

    def rebuild(self) -> Progress:
        """Delete everything that is derived from the chain, and index it again from the first block.

        Readers see the index grow meanwhile. The private book and the outbox stay. Raises as `follow` does; after
        StoreBusyError, another follower does the rest.
        """
        self._open()
        with self._store.transaction() as connection:
            Rows(connection).clear_index()
            # The log refers to rows that no longer exist.
            Undo(connection).forget(_ANY)
        progress = self._try(None)
        if progress is None:
            raise StoreBusyError(
                "the index was deleted, and another process builds it",
                hint="wait until it has: `millmark status` shows how far the index is",
            )
        return progress

    def _open(self) -> CursorRow:
        """The cursor of this chain's index, created by the first call. Raises WrongChainError or WrongContractError."""
        chain = self._chain
        # A rebuild deletes the cursor and keeps the identity, so one may be there without the other.
        identity = ChainIdentityRow(
            ONLY, chain.chain_id, chain.genesis_hash(), chain.registry, chain.ledger, chain.ledger_id
        )
        with self._store.transaction() as connection:
            rows = Rows(connection)
            stored = rows.get(ChainIdentityRow, ONLY)
            if stored is None:
                rows.insert([identity])
            else:
                _verify_identity(identity, stored)
            cursor = rows.get(CursorRow, ONLY)
            if cursor is None:
                cursor = CursorRow(ONLY, chain.first_block - 1, bytes(32), 0, 0, 0, start_digest(identity))
                rows.insert([cursor])
        return cursor

    def _take_back(self, cursor: CursorRow, head: int, done: _Done) -> CursorRow:
        """Undo blocks until the cursor is at one that the chain still has; returns that cursor. Nothing is undone while
        the node is behind the index."""
        # One block per transaction: a crash in between leaves an index that ends at a whole, if orphaned, block.
        while self._chain.first_block <= cursor.block_number <= head:
            now = self._chain.header(cursor.block_number).hash
            if now == cursor.block_hash:
                break
            with self._store.transaction() as connection:
                rows = Rows(connection)
                _verify_alone(rows, cursor)
                if not Undo(connection).take_back(cursor.block_number):
                    # Nothing was logged for it, so it was final when it was indexed.
                    raise _changed(cursor.block_number, now, cursor.block_hash)
                before = rows.get(CursorRow, ONLY)
            if before is None:
                raise IndexHaltedError("the index lost its cursor", hint="rebuild the index")
            done.undone += 1
            cursor = before
        return cursor

    def _proven(self, last: int, final: int) -> int:
        """The last block that is final, if `last` is the last of those that are linked by hashes.

        The number of the chain's latest block does not suffice: behind one address, it may be of another node than the
        blocks, which may be those of a fork.
        """
        return min(final, last - self._chain.finality_depth)

    def _settle(self, cursor: CursorRow, final: int) -> None:
        """Forget how to undo blocks that have become final since they were indexed, without waiting for another block:
        on a chain that makes one with a record alone, none may come. The cursor's block is on the chain, and so are all
        before it."""
        with self._store.reading() as connection:
            first = Undo(connection).first()
        if first is not None and first <= final:
            with self._store.transaction() as connection:
                _verify_alone(Rows(connection), cursor)  # what another follower wrote meanwhile may be of a fork
                Undo(connection).forget(final)

    def _fetch(self, cursor: CursorRow, last: int, final: int) -> list[Block]:
        """The next blocks, as many as are linked by their parents' hashes. Runs outside of any transaction, since a
        slow node must not hold the write lock."""
        batch: list[Block] = []
        records = 0
        try:
            for block in self._blocks(cursor, last, final):
                batch.append(block)
                records += len(block.records)
                if len(batch) == _BATCH_BLOCKS or records >= _BATCH_RECORDS:
                    break
        except MillmarkError:
            # Fewer the next time: a node may fail because an answer as large takes it too long, or is refused here.
            # Otherwise each fetch would ask for the same group again, and never get past it.
            self._stride = max(1, self._stride // _STEP)
            # The blocks before the error are good: they are committed, then the next fetch raises it, if it lasts.
            if not batch:
                raise
        return batch

    def _blocks(self, cursor: CursorRow, last: int, final: int) -> Iterator[Block]:
        """Yield linked blocks. Ends early at a reorganisation above the final block, which the next `follow` undoes."""
        for group in self._groups(cursor, last, final):
            yield from self._complete(group)

    def _groups(self, cursor: CursorRow, last: int, final: int) -> Iterator[list[Header]]:
        """Yield the headers of linked blocks, in groups whose records are asked for at once.

        A generator of its own, so that an error in completing a group cannot be taken for one in the headers after it:
        then the group would be completed twice, and its first blocks come twice.
        """
        group: list[Header] = []
        try:
            for header in self._linked(cursor, last, final):
                group.append(header)
                if len(group) >= self._stride:
                    yield group
                    group = []
        except MillmarkError:
            # The blocks before the error are good.
            yield group
            raise
        yield group

    def _linked(self, cursor: CursorRow, last: int, final: int) -> Iterator[Header]:
        """Yield the headers of linked blocks."""
        # The first block has no indexed parent; only the genesis block's own hash is known in advance.
        parent = cursor.block_hash if cursor.block_number >= self._chain.first_block else None
        numbers = range(cursor.block_number + 1, last + 1)
        for number, header in zip(numbers, self._headers(numbers), strict=True):
            found = header.parent_hash if number else header.hash
            expected = parent if number else self._chain.genesis_hash()
            if header.number != number or (expected is not None and found != expected):
                # Only the parent can have changed, so it is the parent that must not be final. Whether an indexed one
                # was, the next `follow` finds; of others, nothing is known.
                if number - 1 > self._proven(cursor.block_number, final):
                    return
                raise _changed(max(number - 1, 0), found, expected or b"")
            parent = header.hash
            yield header

    def _headers(self, numbers: range) -> Iterator[Header]:
        while numbers:
            # Fewer where blocks are full: a batch ends after so many records, and the rest would be asked for again.
            size = min(self._ahead, _STEP * self._stride)
            yield from self._chain.headers_of(numbers[:size])
            numbers = numbers[size:]

    def _complete(self, headers: Sequence[Header]) -> Iterator[Block]:
        """Yield the blocks of these headers, with their records."""
        addresses = (self._chain.registry, self._chain.ledger)
        # A header is authenticated by its hash, so its bloom filter saves a query for most blocks, and hides nothing.
        asked = [one for one in headers if any(may_contain(one.logs_bloom, address) for address in addresses)]
        found = self._chain.recorded_in_each(asked)
        places, records = {one.number for one in asked}, 0
        for header in headers:
            block = Block(header, next(found) if header.number in places else ())
            records += len(block.records)
            yield block
        if headers:
            fitting = _AHEAD_RECORDS * len(headers) // max(records, 1)
            # No faster than it falls after an error: else every group that succeeds is followed by one that fails.
            self._stride = max(1, min(self._ahead, _STEP * self._stride, fitting))

    def _write(self, cursor: CursorRow, batch: Sequence[Block], final: int) -> CursorRow:
        """Commit a batch; if it halts, commit block by block, so that the index ends right before the bad one."""
        try:
            return self._commit(cursor, batch, final)
        # The batch was rolled back as a whole, its good blocks included.
        except IndexHaltedError:
            if len(batch) == 1:
                raise
        for block in batch:
            cursor = self._commit(cursor, [block], final)
        return cursor

    def _start_of(self, subject: bytes) -> bytes:
        return start_of(self._chain.chain_id, self._chain.ledger, self._chain.ledger_id, subject)

    def _commit(self, cursor: CursorRow, batch: Sequence[Block], final: int) -> CursorRow:
        with self._store.transaction() as connection:
            rows, undo = Rows(connection), Undo(connection)
            _verify_alone(rows, cursor)
            state = State(rows)
            for block in batch:
                before = cursor
                _verify_next(block.header.number, before.block_number)
                if block.header.number > final:
                    state.flush()  # first writes what final blocks changed, which is never undone, so it is not logged
                cursor = write_block(block, state, cursor, self._start_of)
                if block.header.number > final:
                    moved = Change(CursorRow, (ONLY,), values_of(before))
                    # With the rows that they undo in one transaction: a crash leaves both or neither.
                    undo.note(block.header.number, [moved, *state.flush()])
            state.flush()
            # With the blocks in one transaction: after a crash, the cursor stands exactly where the rows end.
            rows.update([cursor])
            undo.forget(final)
        return cursor


def _verify_alone(rows: Rows, cursor: CursorRow) -> None:
    # Checked under the write lock. A lease would need renewing; the cursor itself shows that nobody else has written.
    if rows.get(CursorRow, ONLY) != cursor:
        raise _OvertakenError


def _verify_next(number: int, before: int) -> None:
    # A block without records would pass every other check, and set the cursor back, or over blocks with records.
    if number != before + 1:
        raise IndexHaltedError(
            f"block {number} cannot be indexed after block {before}",
            hint="start again; if it halts here again: `millmark rebuild`",
        )


def _verify_identity(identity: ChainIdentityRow, stored: ChainIdentityRow) -> None:
    """Verify that an index is of this ledger. Raises WrongChainError or WrongContractError."""
    hint = "use a node of that chain, or another database"
    if identity.chain_id != stored.chain_id:
        raise WrongChainError(
            f"the index follows chain {stored.chain_id}, but the node serves chain {identity.chain_id}", hint=hint
        )
    if identity.genesis_hash != stored.genesis_hash:
        raise WrongChainError(
            f"the index follows the chain with genesis block {to_hex(stored.genesis_hash)}, but the node serves "
            f"that with {to_hex(identity.genesis_hash)}",
            hint=hint,
        )
    for name in ("registry", "ledger"):
        ours, theirs = getattr(stored, name), getattr(identity, name)
        if ours != theirs:
            raise WrongContractError(
                f"the index follows the {name} at {to_hex(ours)}, not at {to_hex(theirs)}",
                hint="use the addresses of that ledger, or another database",
            )
    if identity.ledger_id != stored.ledger_id:
        raise WrongContractError(
            f"the index is of the ledger with the id {to_hex(stored.ledger_id)}, not {to_hex(identity.ledger_id)}",
            hint="the chain was made anew: use another database",
        )


def _changed(number: int, found: bytes, expected: bytes) -> IndexHaltedError:
    return IndexHaltedError(
        f"final block {number} changed: it was {to_hex(expected)}, the chain now has {to_hex(found)}",
        hint=_HINT_CHANGED,
    )
