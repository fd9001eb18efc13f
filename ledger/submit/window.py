"""How many transactions of a key may be pending, and how many records may be in one.

A block takes as many transactions as its gas suffices for. With two blocks' worth pending, the next block is full
however long it takes, and however long blocks take to be final: what is in a block does not count. But engines' pools
keep only so many transactions of one sender, and say so or drop the others.
"""

from __future__ import annotations

from millmark.ledger.chain import Head

__all__ = ["MAX_PENDING", "Window"]

MAX_PENDING = 64
"""Geth keeps as many of a sender as long as its pool has room, Besu 200 beyond the next nonce."""
_MIN_PENDING = 16
"""Geth keeps these of each sender even if its pool is full."""
_BLOCKS = 2
_BATCH = 50
_MAX_BATCH = 250
_BLOCK_SHARE = 4
"""A transaction needs at most this share of a block's gas: a larger one has to wait until a block has room for it."""


class Window:
    """The numbers for one key, adapted to the chain's blocks and to what its node takes.

    `most` is the largest number of pending transactions; `batch_size` that of records in a transaction, or None to have
    it adapted.
    """

    def __init__(self, most: int = MAX_PENDING, batch_size: int | None = None) -> None:
        self._most = most
        self._fixed_size = batch_size
        self._allowed = most
        self._seen = -1
        self._full_at = -1
        self._gas = 0
        """Gas limit of the latest transaction."""
        self._gas_of_record = 0

    def note_started(self, gas_limit: int, records: int) -> None:
        """A transaction was signed."""
        self._gas, self._gas_of_record = gas_limit, max(gas_limit // records, 1)

    def note_full(self, head: Head, pending: int) -> None:
        """The node refused a transaction for want of room, when so many were pending."""
        if self._full_at != head.number:
            self._allowed = max(min(self._allowed, pending) // 2, 1)
        self._full_at = head.number

    def is_full(self, head: Head) -> bool:
        """Whether the node had no room since this block."""
        return self._full_at == head.number

    def room(self, head: Head, pending: int) -> int:
        """How many transactions may be started now."""
        if head.number > self._seen:
            # One more with each block, so that a pool that was full for a moment is used again.
            self._allowed = min(self._allowed + (not self.is_full(head)), self._most)
            self._seen = head.number
        if self.is_full(head):
            return 0
        wanted = -(-_BLOCKS * head.gas_limit // self._gas) if self._gas else _MIN_PENDING
        return max(min(max(wanted, _MIN_PENDING), self._allowed) - pending, 0)

    def batch_size(self, head: Head) -> int:
        """How many records may be in a transaction: more than usual where the pending ones would not fill two blocks,
        less where one would not fit into a block."""
        if self._fixed_size is not None:
            return self._fixed_size
        if not self._gas_of_record:
            return _BATCH
        filling = _BLOCKS * head.gas_limit // (self._allowed * self._gas_of_record)
        fitting = head.gas_limit // (_BLOCK_SHARE * self._gas_of_record)
        return max(min(max(_BATCH, filling), fitting, _MAX_BATCH), 1)
