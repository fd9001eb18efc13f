"""Submits records to the chain: batches, nonces, signatures, receipts.

There is one submitter per signing key. Each step first advances the open transactions, in order of their nonces, then
starts new ones. There is no separate recovery: after a crash, the next step finds open transactions in some state and
continues from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ledger.chain import Chain, call_data, first_fees
from ledger.errors import ChainUnreachableError, LeaseHeldError, SubmitError
from ledger.keys import Signer
from ledger.records import Record
from ledger.store.outbox import Entry, Outbox, OutboxWriter
from ledger.submit.batches import Batch, Batches
from ledger.submit.calls import ChainCalls, recipient_of
from ledger.submit.gaps import Gaps
from ledger.submit.lease import Lease
from ledger.submit.lookout import Lookout
from ledger.submit.tracker import Patience, Report, Tracker, ignore

__all__ = ["Submitter", "build_entry"]

_PAUSE_S = 0.05
_MAX_UNMINED = 16
"""Maximum number of pending transactions of a key: engines' pools keep only a few per sender, and drop the others."""


class Submitter:
    """Submits records for one key.

    `batch_size` is the largest number of records in a transaction. `receipt_grace_s`: if the receipt of a transaction
    does not appear within this time once its nonce is used, the transaction that used it is looked for. `resend_s`:
    time between sending the same bytes again. `raise_s`: time after which the fees of a pending transaction are raised.
    """

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
        """`report` is called after each change of a transaction's state is stored."""
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._lease = Lease(outbox, signer.address) if lease is None else lease
        self._lookout = Lookout(chain, outbox)
        self._batches = Batches(ChainCalls(chain), outbox, signer.address, batch_size, self._lookout)
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
        """Queue (idempotency key, record) pairs durably, in order, and return their outbox ids.

        `depends_on` maps some of the keys to the key of an earlier record without which they must not be sent. Raises
        DuplicateRecordError when a key was used for another record, SubmitError when a key is empty or too long, or
        depends on a record that was not queued before. Then nothing is queued.
        """
        needed = depends_on or {}
        entries = [build_entry(key, record, needed.get(key)) for key, record in records]
        return self._outbox.enqueue(self.key, entries)

    def drain(self, timeout_s: float = 60.0) -> None:
        """Run steps until no record of this key is queued or pending.

        While another process submits for the key, waits for that process, and while the node does not answer or is
        behind, for the node. Raises SubmitError when that takes longer than `timeout_s`, or ChainUnreachableError if
        that was the reason. Either way, queued records stay queued.
        """
        deadline = time.monotonic() + timeout_s
        while not self._step_or_wait(deadline):
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} are still pending after {timeout_s:.0f} s",
                    hint="check that the chain produces blocks; nothing was lost",
                )
            time.sleep(_PAUSE_S)

    def _step_or_wait(self, deadline: float) -> bool:
        try:
            return self.step()
        except ChainUnreachableError:
            if time.monotonic() > deadline:
                raise
            return False
        except LeaseHeldError:
            return self._outbox.is_idle(self.key)

    def step(self) -> bool:
        """Advance all open transactions, and start new ones. Returns whether nothing is left to do.

        Raises LeaseHeldError when another submitter is active for the key, ChainError and its kinds when the node
        fails. The next step continues where this one stopped.
        """
        try:
            writer = self._lease.hold()
            if not self._has_work():
                self._lookout.rest()
            else:
                # Once in every step, before anything is signed or sent: another node may answer now than before.
                self._lookout.verify_chain()
                if self._follow_open(writer):
                    self._start_waiting(writer)
                self._raise_trouble()
        except LeaseHeldError:
            self._lease.drop()
            raise
        return self._outbox.is_idle(self.key)

    def _has_work(self) -> bool:
        return bool(self._outbox.queued(self.key, 1) or self._outbox.open_transactions(self.key))

    def _raise_trouble(self) -> None:
        """Raise what keeps some records from going on, after all others went on."""
        for trouble in (self._gaps.trouble, self._lookout.trouble, self._tracker.trouble):
            if trouble is not None:
                raise trouble

    def _follow_open(self, writer: OutboxWriter) -> bool:
        """Advance open transactions in order of their nonces. Returns False at the first that the node has a gap below.

        Transactions above a gap are not sent: they cannot be mined and would only fill the node's pool.
        """
        found = self._outbox.open_transactions(self.key)
        if self._gaps.fill(writer, found):
            found = self._outbox.open_transactions(self.key)
        self._tracker.keep(found)
        return all(self._tracker.follow(writer, transaction) for transaction in found)

    def _start_waiting(self, writer: OutboxWriter) -> None:
        """Start a limited number of new transactions, so that the step ends in time for the lease to be renewed."""
        if not self._outbox.queued(self.key, 1):
            self._lookout.rest()
            return
        if not self._lookout.is_caught_up():
            return
        for _ in range(_MAX_UNMINED - self._outbox.count_unmined(self.key)):
            batch = self._batches.build(writer)
            if batch is None or not self._start(writer, batch):
                break

    def _start(self, writer: OutboxWriter, batch: Batch) -> bool:
        chain_nonce = self._chain.node.transaction_count(self.key)
        fees = first_fees(self._chain.node, self._chain.profile)
        recipient = recipient_of(self._chain, batch.records)
        # Nonce and signed bytes in one database transaction, before anything is sent.
        with writer.together():
            transaction = writer.allocate(chain_nonce, batch.records, recipient, batch.data, batch.gas_limit)
            transaction = self._tracker.sign(writer, transaction, fees)
        return self._tracker.follow(writer, transaction)


def build_entry(key: str, record: Record, depends_on: str | None = None) -> Entry:
    """Return the outbox entry of a record, with `key` as its idempotency key."""
    return Entry(key, record.contract.value, type(record).__name__, call_data(record), depends_on)
