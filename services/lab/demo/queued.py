"""Records that a company of the demonstration queued together, and what becomes of them.

A record may name another one by the sequence that the ledger gave it. In a reorganisation, the records of several keys
may come into another order, and so get other sequences. The contracts refuse a record that names another one than it
should: it is built again then, from the sequences of final blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from millmark.ledger.chain import call_data
from millmark.ledger.errors import SubmitError
from millmark.ledger.records import Record
from millmark.ledger.store.outbox import UNMINED, Outbox, OutboxState, QueuedRecord
from millmark.services.lab.demo.company import Company

__all__ = ["Queued"]

_AT_ONCE = 500
"""Records in one question to the outbox."""
_WAITING = (OutboxState.QUEUED, *UNMINED)
_DONE = (OutboxState.MINED, OutboxState.FINAL)


@dataclass(slots=True, eq=False)
class Queued:
    """Records of one company, in the order in which they were queued."""

    company: Company
    ids: list[int]
    """In the company's outbox."""
    _build: Callable[[], Sequence[Record]] | None = None
    """Builds records that name others, from what these are now; None if they name none."""

    def records(self) -> list[QueuedRecord]:
        """As the outbox has them now."""
        outbox, found = Outbox(self.company.store), dict[int, QueuedRecord]()
        for start in range(0, len(self.ids), _AT_ONCE):
            found |= outbox.among(self.ids[start : start + _AT_ONCE])
        return [found[number] for number in self.ids]

    def sequences(self) -> list[int]:
        """Those that the ledger gave them, final if their blocks are. Raises SubmitError naming the first record that
        is in no block."""
        sequences = []
        for one in self.records():
            if one.state not in _DONE or one.sequence is None:
                raise SubmitError(f"{self.company.name}: {one.kind} is {one.state}: {one.error}")
            sequences.append(one.sequence)
        return sequences

    def is_waiting(self) -> bool:
        """Whether one of them is in no block, and may still come into one."""
        return any(one.state in _WAITING for one in self.records())

    def has_failed(self) -> bool:
        """Whether the ledger refused one of them."""
        return any(one.state is OutboxState.FAILED for one in self.records())

    def queue_again(self, next_key: Callable[[], str]) -> None:
        """Queue those again that were refused. Where one names another record by a sequence that this one does not have
        any more, it is cancelled, and one with the right sequence takes its place."""
        outbox, failed = Outbox(self.company.store), self._failed()
        same = [one.idempotency_key for _, one, record in failed if record is None or call_data(record) == one.payload]
        outbox.resume(same)
        for place, one, record in failed:
            if record is not None and one.idempotency_key not in same:
                outbox.cancel([one.idempotency_key])
                [self.ids[place]] = self.company.submitter.submit([(next_key(), record)])

    def _failed(self) -> list[tuple[int, QueuedRecord, Record | None]]:
        """Place, what was refused, and what it would be now, where it names others."""
        found = self.records()
        built: Sequence[Record | None] = self._build() if self._build else [None] * len(found)
        pairs = enumerate(zip(found, built, strict=True))
        return [(place, one, record) for place, (one, record) in pairs if one.state is OutboxState.FAILED]

    def verify_names(self) -> None:
        """Raises SubmitError if one names another record than it should. All are in final blocks, and what they name
        is."""
        if self._build is None:
            return
        for one, record in zip(self.records(), self._build(), strict=True):
            if one.payload != call_data(record):
                raise SubmitError(f"{self.company.name}: {one.kind} {one.sequence} names another record than it should")
