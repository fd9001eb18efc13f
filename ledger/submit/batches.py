"""Which records go out together.

A record fails for good only when the contract refuses it alone, on a state that has all that went before it: a batch
may be refused for its size, and a record for want of one that is still under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.errors import ContractRefusedError
from ledger.store.outbox import Outbox, OutboxWriter, QueuedRecord

__all__ = ["Batch", "Batches", "Calls"]

_MOST_REVERTS = 3
_MOST_SHAPES = 1000


class Calls(Protocol):
    """How records become one call: `ledger.submit.calls.ChainCalls` on an own node."""

    def together(self, records: Sequence[QueuedRecord]) -> int:
        """How many of them, from the first on, one call may carry."""

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:
        """Calldata and gas. `known_limit`: gas of a call of the same shape. Raises ContractRefusedError with the
        contract's own error."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that the contract takes together now."""

    records: list[QueuedRecord]
    data: bytes
    gas_limit: int


class Batches:
    """Builds batches of at most `size` records, and remembers which records came back."""

    def __init__(self, calls: Calls, outbox: Outbox, signer: bytes, size: int) -> None:
        self._calls = calls
        self._outbox = outbox
        self._signer = signer
        self._size = size
        self._reverts: Counter[int] = Counter()
        """By record: transactions that were mined without it."""
        self._limits: dict[tuple[object, ...], int] = {}
        """Gas limits by shape: contract, size, and how many records of each kind."""

    def build(self, desk: OutboxWriter) -> Batch | None:
        """The next records that the contract takes together; None when none waits, or the next one has to wait."""
        while records := self._outbox.queued(self._signer, self._size):
            records = records[: self._calls.together(records)]
            if self._reverts[records[0].id]:
                records = records[:1]  # alone, to tell who is to blame
            try:
                return self._simulated(records)
            except ContractRefusedError as error:
                refused = error
            if len(records) > 1:
                try:
                    return self._longest_accepted(records)
                except ContractRefusedError as error:
                    refused = error
            if self._outbox.count_unmined(self._signer):
                return None
            desk.fail_record(records[0].id, refused.name, str(refused), refused.values)
        return None

    def note_reverted(self, desk: OutboxWriter, records: Iterable[QueuedRecord]) -> None:
        """They were mined without effect. The next simulation tells which of them the contract refuses now, and why.
        One that reverts again and again though each simulation takes it must not spend gas for ever."""
        records = list(records)
        self._reverts.update(record.id for record in records)
        if len(records) == 1 and self._reverts[records[0].id] >= _MOST_REVERTS and not records[0].cancelling:
            times = self._reverts.pop(records[0].id)
            error = f"reverted in {times} transactions, though each simulation took it"
            desk.fail_record(records[0].id, "Reverted", error)

    def _simulated(self, records: list[QueuedRecord]) -> Batch:
        contract, kinds = records[0].contract, Counter(record.kind for record in records)
        shape = (contract, sum(len(record.payload) for record in records), *sorted(kinds.items()))
        data, limit = self._calls.prepare(records, self._signer, self._limits.get(shape))
        if len(self._limits) >= _MOST_SHAPES:
            self._limits.clear()
        self._limits[shape] = limit
        return Batch(records, data, limit)

    def _longest_accepted(self, records: list[QueuedRecord]) -> Batch:
        """Of records that are refused together, the longest accepted beginning, in log2(n) simulations. Raises
        ContractRefusedError when the very first is refused."""
        batch = self._simulated(records[:1])
        refused = len(records)
        while refused - len(batch.records) > 1:
            middle = (len(batch.records) + refused) // 2
            try:
                batch = self._simulated(records[:middle])
            except ContractRefusedError:
                refused = middle
        return batch
