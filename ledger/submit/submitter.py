"""Gets records onto the chain: batches, nonces, signatures, receipts.

One submitter per signing key. A step looks first after what is open, by nonce, then starts new transactions. The
ordinary step is also the recovery: whatever a crash left behind is an open transaction in some state.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ledger.chain import Chain, call_data
from ledger.errors import LeaseHeldError, SubmitError
from ledger.keys import Signer
from ledger.records import Record
from ledger.store.outbox import Entry, Outbox, OutboxWriter
from ledger.submit.batches import Batch, Batches
from ledger.submit.calls import ChainCalls, recipient_of
from ledger.submit.fees import first_fees
from ledger.submit.gaps import Gaps
from ledger.submit.lease import Lease
from ledger.submit.tracker import Patience, Report, Tracker, ignore

__all__ = ["Submitter", "build_entry"]

_PAUSE_S = 0.05
_MOST_UNMINED = 16
"""Transactions under way at once: engines keep few of one sender, and drop what is above."""


class Submitter:
    """Submits for one key. `batch_size`: most records in one transaction. `receipt_grace_s`: how long the receipt of a
    transaction may stay away, once its nonce is used, before its records are sent anew. `resend_s`: between sending the
    same bytes again. `raise_s`: before more is offered for them."""

    def __init__(
        self,
        chain: Chain,
        outbox: Outbox,
        signer: Signer,
        *,
        batch_size: int = 50,
        receipt_grace_s: float = Patience.receipt_s,
        resend_s: float = Patience.resend_s,
        raise_s: float = Patience.raise_s,
        lease: Lease | None = None,
        report: Report = ignore,
    ) -> None:
        """`report` is told each step of a transaction, once it is stored."""
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._lease = Lease(outbox, signer.address) if lease is None else lease
        self._batches = Batches(ChainCalls(chain), outbox, signer.address, batch_size)
        self._tracker = Tracker(chain, signer, self._batches, Patience(receipt_grace_s, resend_s, raise_s), report)
        self._gaps = Gaps(chain, outbox, signer.address, resend_s / 2)

    @property
    def key(self) -> bytes:
        """The signing address."""
        return self._signer.address

    def head_number(self) -> int:
        """The chain's latest block. Raises ChainError."""
        return self._chain.head_number()

    def submit(self, records: Sequence[tuple[str, Record]], depends_on: Mapping[str, str] | None = None) -> list[int]:
        """Queues (idempotency key, record) pairs, in order, durably; gives their outbox ids. `depends_on`: for some
        keys, that of an earlier record without which the record is not to be sent.

        Raises DuplicateRecordError when a key was used for another record, SubmitError when one is empty or too long,
        or depends on what was not queued before it; then nothing is queued.
        """
        needed = depends_on or {}
        entries = [build_entry(key, record, needed.get(key)) for key, record in records]
        return self._outbox.enqueue(self.key, entries)

    def drain(self, timeout_s: float = 60.0) -> None:
        """Steps until nothing of this key waits or is under way; while another process submits for the key, waits until
        that one has done it.

        Raises SubmitError when that takes longer than `timeout_s`, ChainUnreachableError when the node stops answering;
        what is queued stays queued either way.
        """
        deadline = time.monotonic() + timeout_s
        while not self._step_or_wait():
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} still wait after {timeout_s:.0f} s",
                    hint="check that the chain makes blocks; nothing was lost",
                )
            time.sleep(_PAUSE_S)

    def _step_or_wait(self) -> bool:
        try:
            return self.step()
        except LeaseHeldError:
            return self._outbox.is_idle(self.key)

    def step(self) -> bool:
        """One round. True when nothing is left to do. Raises LeaseHeldError when another submitter works for the key,
        ChainError and its kinds when the node fails; the next round goes on where this one stopped."""
        try:
            desk = self._lease.hold()
            if self._follow_open(desk):
                self._start_waiting(desk)
        except LeaseHeldError:
            self._lease.drop()
            raise
        return self._outbox.is_idle(self.key)

    def _follow_open(self, desk: OutboxWriter) -> bool:
        """In order of their nonces, and no further than the node can follow: what stands above a gap only fills its
        pool. False when it cannot follow to the end."""
        found = self._outbox.open_transactions(self.key)
        if self._gaps.fill(desk, found):
            found = self._outbox.open_transactions(self.key)
        return all(self._tracker.follow(desk, transaction) for transaction in found)

    def _start_waiting(self, desk: OutboxWriter) -> None:
        """Some of what waits, however fast the chain is: the lease is renewed between two steps."""
        for _ in range(_MOST_UNMINED - self._outbox.count_unmined(self.key)):
            batch = self._batches.build(desk)
            if batch is None or not self._start(desk, batch):
                break

    def _start(self, desk: OutboxWriter, batch: Batch) -> bool:
        chain_nonce, offer = self._chain.node.transaction_count(self.key), first_fees(self._chain)
        recipient = recipient_of(self._chain, batch.records)
        with desk.together():
            transaction = desk.allocate(chain_nonce, batch.records, recipient, batch.data, batch.gas_limit)
            transaction = self._tracker.sign(desk, transaction, offer)
        return self._tracker.follow(desk, transaction)


def build_entry(key: str, record: Record, depends_on: str | None = None) -> Entry:
    """A record as the outbox takes it, under an idempotency key."""
    return Entry(key, record.contract.value, type(record).__name__, call_data(record), depends_on)
