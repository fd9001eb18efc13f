"""Decides which queued records go into the same transaction, and which have failed.

A record fails for good only if the contract refuses it on its own, when all earlier records are in a block, and the
refusal is final (millmark.ledger.submit.lookout). Otherwise the cause may be the size of the batch, an earlier record
that the chain does not have yet, or a node that is behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from millmark.ledger.errors import ContractRefusedError
from millmark.ledger.store.outbox import Outbox, OutboxWriter, QueuedRecord
from millmark.ledger.submit.lookout import Refusals

__all__ = ["Batch", "Batches", "Calls"]

_MAX_REVERTS = 3
_MAX_SHAPES = 1000
_MAX_BYTES = 96 * 1024
"""Calldata of a batch: engines refuse transactions of more than 128 KiB."""


class Calls(Protocol):
    """Converts records to a contract call: `millmark.ledger.submit.calls.ChainCalls` with a node, another class with a
    relay."""

    def together(self, records: Sequence[QueuedRecord]) -> int:
        """Return how many of the records, from the first on, a single call can make."""

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:
        """Return calldata and gas limit. `known_limit` is the gas limit of an earlier call of the same shape.

        Raises ContractRefusedError with the contract's own error.
        """

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        """Like `prepare` for records of several calls with known gas limits; None for a call that needs another look.

        Each is looked at by itself: none as if those before it were made.
        """


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that the contract accepts in a single call now."""

    records: list[QueuedRecord]
    data: bytes
    gas_limit: int


class Batches:
    """Builds batches for one key, and remembers which records reverted. `work` reads what is queued."""

    def __init__(self, calls: Calls, outbox: Outbox, signer: bytes, refusals: Refusals) -> None:
        self._calls = calls
        self._refusals = refusals
        self._outbox = outbox
        self._work = outbox.work(signer)
        self._signer = signer
        self._reverts: Counter[int] = Counter()
        """Number of transactions that reverted with a record, by the record's outbox id."""
        self._limits: dict[tuple[object, ...], int] = {}
        """Gas limits by shape of the call: contract, bytes of calldata, and the number of records of each kind."""

    def build(self, writer: OutboxWriter, size: int) -> Batch | None:
        """Return the next batch, of at most `size` records; None if no record is queued, or the next one has to wait
        for earlier transactions or for another block.

        Marks records as failed that the contract refuses for good.
        """
        while groups := self._groups(size, 1):
            records = groups[0]
            found = self._try(records)
            if isinstance(found, Batch):
                self._refusals.forget_all()
                return found
            if self._outbox.count_unmined(self._signer):
                return None  # it may depend on a record in one of these
            refused = self._refusals.confirm(records[0], self._signer, found)
            if refused is None:
                return None
            if not self._refusals.is_final(records[0].id):
                self._note_refused(records)
                return None
            # Refused on its own, and nothing is pending that could change that. Continue with the records after it.
            self._refusals.forget(records[0].id)
            writer.fail_record(records[0].id, refused.name, str(refused), refused.values)
        return None

    def forget_limits(self) -> None:
        """The gas limits found so far no longer hold: a block's limit is lower than before."""
        self._limits.clear()

    def build_all(self, writer: OutboxWriter, size: int, most: int) -> list[Batch]:
        """Like `build`, for up to `most` batches, which the contract accepts one without the other.

        Ends before the first one that needs another look, unless that is the only one.
        """
        batches = self._accepted(self._groups(size, most))
        if batches:
            self._refusals.forget_all()
            return batches
        batch = self.build(writer, size)
        return [] if batch is None else [batch]

    def _groups(self, size: int, most: int) -> list[list[QueuedRecord]]:
        """The oldest queued records, in groups that could be made in a call each."""
        queued, groups = self._work.queued(size * most), list[list[QueuedRecord]]()
        while queued and len(groups) < most:
            group = queued[: self._length(queued[:size])]
            groups.append(group)
            queued = queued[len(group) :]
        return groups

    def _length(self, queued: Sequence[QueuedRecord]) -> int:
        if self._reverts[queued[0].id]:
            return 1  # alone, so that a revert can only be its own fault
        contract, left = queued[0].contract, _MAX_BYTES
        for place, record in enumerate(queued):
            left -= len(record.payload)
            if record.contract != contract or (place and left < 0):
                return self._calls.together(queued[:place])
        return self._calls.together(queued)

    def _accepted(self, groups: Sequence[list[QueuedRecord]]) -> list[Batch]:
        """The batches of the first groups, up to the first one that is refused or of a new shape."""
        known: list[tuple[list[QueuedRecord], int]] = []
        for records in groups:
            limit = self._limits.get(_shape(records))
            if limit is None or self._reverts[records[0].id]:
                break
            known.append((records, limit))
        batches: list[Batch] = []
        for (records, _), prepared in zip(known, self._calls.prepare_all(known, self._signer), strict=True):
            if prepared is None:
                break
            batches.append(Batch(records, *prepared))
        return batches

    def note_reverted(self, writer: OutboxWriter, records: Iterable[QueuedRecord]) -> None:
        """Count a revert of these records, which are queued again.

        The next simulation finds out which of them the contract refuses, and why. A record that reverts repeatedly
        although every simulation accepts it fails here: it must not spend gas forever.
        """
        records = list(records)
        self._reverts.update(record.id for record in records)
        if len(records) == 1 and self._reverts[records[0].id] >= _MAX_REVERTS and not records[0].cancelling:
            times = self._reverts.pop(records[0].id)
            error = f"reverted in {times} transactions, although every simulation accepted it"
            writer.fail_record(records[0].id, "Reverted", error)

    def _try(self, records: list[QueuedRecord]) -> Batch | ContractRefusedError:
        """Return the longest accepted prefix of records, or why the first one is refused on its own."""
        try:
            return self._simulated(records)
        except ContractRefusedError as error:
            refused = error
        if len(records) > 1:
            try:
                return self._longest_accepted(records)
            except ContractRefusedError as error:
                refused = error
        return refused

    def _note_refused(self, records: Sequence[QueuedRecord]) -> None:
        """Note the first record's refusal, and those of the records right after it, so that they all become final
        with the same block. A record behind one that is accepted is not looked at: it could need that one."""
        self._refusals.note(records[0].id)
        for record in records[1:]:
            if self._refusals.confirm(record, self._signer, None) is None:
                return
            self._refusals.note(record.id)

    def _simulated(self, records: list[QueuedRecord]) -> Batch:
        shape = _shape(records)
        data, limit = self._calls.prepare(records, self._signer, self._limits.get(shape))
        if len(self._limits) >= _MAX_SHAPES:
            self._limits.clear()  # bounds the memory; costs one estimate per shape
        self._limits[shape] = limit
        return Batch(records, data, limit)

    def _longest_accepted(self, records: list[QueuedRecord]) -> Batch:
        """Return the longest accepted prefix of records that are refused together, by binary search.

        Raises ContractRefusedError when the first record alone is refused.
        """
        batch = self._simulated(records[:1])
        refused = len(records)
        while refused - len(batch.records) > 1:
            middle = (len(batch.records) + refused) // 2
            try:
                batch = self._simulated(records[:middle])
            except ContractRefusedError:
                refused = middle
        return batch


def _shape(records: Sequence[QueuedRecord]) -> tuple[object, ...]:
    kinds = Counter(record.kind for record in records)
    return (records[0].contract, sum(len(record.payload) for record in records), *sorted(kinds.items()))
