"""Submits records to the chain: batches, nonces, signatures, receipts.

There is one submitter per signing key. Each step first advances the open transactions, in order of their nonces, then
starts new ones. There is no separate recovery: after a crash, the next step finds open transactions in some state and
continues from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from millmark.ledger.chain import Chain, EngineProfile, Fees, Node, Sight, call_data, first_fees
from millmark.ledger.errors import ChainUnreachableError, LeaseHeldError, SubmitError
from millmark.ledger.records import Record
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox, Spending, find_spending
from millmark.ledger.store.outbox_records import OPEN, UNMINED, Entry, LeaseRow, OutboxState, SentTransaction
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.store.process_identity import describe_process, is_gone
from millmark.ledger.submit.batches import Batches, ChainCalls, NodeView
from millmark.ledger.submit.sender import MAX_PENDING, Gaps, Patience, Report, Sender, Window, ignore
from millmark.ledger.submit.tracker import Tracker

# Ensures one submitter per key: a lease in the database, with a fencing number that increases with each holder.
#
# The holder renews the lease while it has work. Another submitter with work takes over when the holder's process is
# gone, or after seeing no renewal for `lease_s` on its own monotonic clock, so that no jump of a wall clock results in
# two holders. If the old holder was merely suspended, its next write is refused because of its outdated fencing number.
# All that it could still send are stored bytes, which may safely be sent twice.

_LEASE_S = 15.0
"""Longer than the timeout of a request to a node, so that a submitter that waits for an answer keeps its lease."""
_RENEWALS = 3
"""Renewals within the duration of a lease."""


class Lease:
    """One submitter's lease on a key."""

    def __init__(self, outbox: Outbox, signer: bytes, lease_s: float = _LEASE_S) -> None:
        self._outbox = outbox
        self._signer = signer
        self._lease_s = lease_s
        self._holder = describe_process(os.getpid())
        self._writer: OutboxWriter | None = None
        self._renewed_at = 0.0
        self._seen: LeaseRow | None = None
        """Another holder's lease, unchanged since `_seen_at`."""
        self._seen_at = 0.0

    def hold(self) -> OutboxWriter:
        """Take or renew the lease if necessary, and return the writer that it fences. Raises LeaseHeldError while
        another submitter holds it."""
        if self._writer is not None and time.monotonic() - self._renewed_at < self._lease_s / _RENEWALS:
            return self._writer
        row = self._outbox.lease(self._signer)
        if row is not None and self._writer is not None and row.fence == self._writer.fence:
            fence = row.fence  # still ours: renewed under the same number
        elif row is None or self._is_free(row):
            fence = 1 if row is None else row.fence + 1
        else:
            raise LeaseHeldError(row.holder)
        self._writer = self._outbox.take_lease(self._signer, row, self._holder, fence)
        self._renewed_at = time.monotonic()
        return self._writer

    def drop(self) -> None:
        """Forget the lease after losing it to another submitter; the next `hold` has to take it again."""
        self._writer = None

    def _is_free(self, row: LeaseRow) -> bool:
        if row.holder == self._holder or is_gone(row.holder):
            # Two submitters in one process take turns. If a process is wrongly believed to be gone, fencing stops it.
            return True
        if self._seen != row:
            self._seen, self._seen_at = row, time.monotonic()
        return time.monotonic() - self._seen_at >= self._lease_s


_PAUSES_S = (0.002, 0.005, 0.01, 0.02, 0.05)
"""Between steps that wait: at first short, since engines that mine at once do so in a few milliseconds."""


class Submitter:
    """Submits records for one key.

    `batch_size` is the largest number of records in a transaction, by default what fills the chain's blocks; `pending`
    the largest number of transactions that are in no block yet. `receipt_grace_s`: if the receipt of a transaction
    does not appear within this time once its nonce is used, the transaction that used it is looked for. `resend_s`:
    time between sending the same bytes again. `raise_s`: time after which the fees of a pending transaction are raised.
    """

    def __init__(
        self,
        chain: Chain,
        outbox: Outbox,
        signer: Signer,
        *,
        batch_size: int | None = None,
        pending: int = MAX_PENDING,
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
        self._view = NodeView(chain, outbox)
        self._batches = Batches(ChainCalls(chain), outbox, signer.address, self._view)
        self._window = Window(pending, batch_size)
        patience = Patience(receipt_grace_s, resend_s, raise_s)
        self._sender = Sender(chain, signer, self._batches, patience, self._window, report)
        self._tracker = Tracker(chain, signer.address, self._batches, self._sender, receipt_grace_s, report)
        self._work = outbox.work(signer.address)
        self._gaps = Gaps(chain, outbox, signer.address, resend_s / 2)
        self._rests = False
        """Whether the step before found nothing queued and no open transaction."""

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
        return self._outbox.enqueue(self.key, [build_entry(key, one, needed.get(key)) for key, one in records])

    def drain(self, timeout_s: float = 60.0) -> None:
        """Run steps until none of this key's records that are queued now is queued or pending any more. What others
        queue for the key meanwhile is not waited for: beside a busy gateway, there would always be more.

        While another process submits for the key, waits for that process, and while the node does not answer or is
        behind, for the node. Raises SubmitError when that takes longer than `timeout_s`, or ChainUnreachableError if
        that was the reason. Either way, queued records stay queued.
        """
        deadline, pauses, upto = time.monotonic() + timeout_s, _pauses(), self._outbox.latest()
        while not (self._step_or_wait(deadline) or self._outbox.is_idle(self.key, upto)):
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} are still pending after {timeout_s:.0f} s",
                    hint="check that the chain produces blocks; nothing was lost",
                )
            time.sleep(next(pauses))

    def begin(self) -> None:
        """Send what is queued, as far as one step does, without waiting for it. A failure shows when it is awaited."""
        with suppress(ChainUnreachableError, LeaseHeldError):
            self.step()

    def await_mined(self, ids: Sequence[int], timeout_s: float = 60.0) -> None:
        """Run steps until these records are in blocks, which may not be final yet, or will be in none by themselves.
        Raises as `drain` does."""
        self._await(ids, (OutboxState.QUEUED, *UNMINED), "in no block", timeout_s)

    def await_final(self, ids: Sequence[int], timeout_s: float = 60.0) -> None:
        """Run steps until these records are in final blocks, or will be in none by themselves. Raises as `drain`
        does."""
        self._await(ids, (OutboxState.QUEUED, *OPEN), "in no final block", timeout_s)

    def _await(self, ids: Sequence[int], states: Sequence[OutboxState], left: str, timeout_s: float) -> None:
        deadline, pauses = time.monotonic() + timeout_s, _pauses()
        if not self._is_any_in(ids, states):
            return
        while True:
            self._step_or_wait(deadline)
            if not self._is_any_in(ids, states):
                return  # however late it is
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} are {left} after {timeout_s:.0f} s",
                    hint="check that the chain produces blocks; nothing was lost",
                )
            time.sleep(next(pauses))

    def _is_any_in(self, ids: Sequence[int], states: Sequence[OutboxState]) -> bool:
        return any(record.state in states for record in self._outbox.among(ids).values())

    def _step_or_wait(self, deadline: float) -> bool:
        try:
            return self.step()
        except ChainUnreachableError:
            if time.monotonic() > deadline:
                raise
            return False
        except LeaseHeldError:
            return False  # another one is at work: whoever waits looks at what became of the records

    def step(self) -> bool:
        """Advance all open transactions, and start new ones. Returns whether nothing is left to do.

        Raises LeaseHeldError when another submitter is active for the key, ChainError and its kinds when the node
        fails. The next step continues where this one stopped.
        """
        # Without work the lease is not renewed: each renewal is a commit, which would stir all who wait for one.
        if self._rests and self._outbox.is_idle(self.key):
            return True
        try:
            writer, found = self._lease.hold(), self._work.open_transactions()
            self._rests = not found and not self._work.queued(1)
            if self._rests:
                self._view.rest()
            else:
                self._advance(writer, found)
        except LeaseHeldError:
            self._lease.drop()
            raise
        return self._outbox.is_idle(self.key)

    def _advance(self, writer: OutboxWriter, found: list[SentTransaction]) -> None:
        # Once in every step, before anything is signed or sent: another node may answer now than before.
        sight = self._view.look(self.key)
        if self._gaps.fill(writer, found, sight.count):
            found = self._work.open_transactions()
        self._sender.begin(found)
        self._tracker.begin(found)
        waiting = self._tracker.settle(writer, self._sender.sign_left(writer, found), sight)
        pending, sight = self._offer(writer, waiting, sight, 0)
        if not self._sender.is_stopped:
            self._start_waiting(writer, pending, sight)
        # What keeps some records from going on is told after all others went on.
        for part in (self._gaps, self._view, self._sender, self._tracker):
            if part.trouble is not None:
                raise part.trouble

    def _offer(
        self, writer: OutboxWriter, transactions: list[SentTransaction], sight: Sight, before: int
    ) -> tuple[int, Sight]:
        """Send transactions, and settle those that are in a block at once, as on engines that mine at once. `before`:
        how many others are pending. Returns the number of those pending now, and what the chain shows now."""
        sent = self._sender.offer(writer, transactions, sight, before)
        if not sent or self._chain.profile.timed_blocks:
            self._sender.mark_sent(writer, sent)
            return before + len(transactions), sight
        # Settled before they are marked as sent, which saves a commit: those in a block go from SIGNED to MINED or
        # FINAL. After a crash in between they are still SIGNED, and the next step sends the same bytes again.
        sight = self._chain.look(self.key)
        waiting = self._tracker.settle(writer, sent, sight)
        self._sender.mark_sent(writer, waiting)
        return before + len(transactions) - len(sent) + len(waiting), sight

    def _start_waiting(self, writer: OutboxWriter, pending: int, sight: Sight) -> None:
        """Start a limited number of new transactions, so that the step ends in time for the lease to be renewed."""
        if not self._work.queued(1):
            self._view.rest()
            return
        if not self._view.is_caught_up(sight.head):
            return
        left = self._window.room(sight.head, pending + self._tracker.unsettled)
        while left > 0:
            started = self._start(writer, sight, left)
            if not started:
                return
            left -= len(started)
            pending, sight = self._offer(writer, started, sight, pending)
            # Others may only follow where these are in a block already: the contract may say something else to them.
            if self._chain.profile.timed_blocks or self._sender.is_stopped:
                return

    def _start(self, writer: OutboxWriter, sight: Sight, most: int) -> list[SentTransaction]:
        """Sign and store up to `most` transactions, which the contract accepts one without the other."""
        batches = self._batches.build_all(writer, self._window.batch_size(sight.head), most)
        started = self._sender.start(writer, batches, sight) if batches else []
        self._work.remember(started)
        return started


def _pauses() -> Iterator[float]:
    yield from _PAUSES_S
    while True:
        yield _PAUSES_S[-1]


def build_entry(key: str, record: Record, depends_on: str | None = None) -> Entry:
    """Return the outbox entry of a record, with `key` as its idempotency key."""
    return Entry(key, record.contract.value, type(record).__name__, call_data(record), depends_on)


# How long the balance of a key lasts, on networks where gas costs something.

GAS_PER_RECORD = 150_000
"""Gas of a record before a key has made any: more than most kinds take in a batch of 50 (GAS.md)."""
LOW_RECORDS = 1000
LOW_DAYS = 7


@dataclass(frozen=True, slots=True)
class Funds:
    """What a key has, and how fast it spends it."""

    key: bytes
    balance_wei: int
    fees: Fees
    spending: Spending

    @property
    def is_free(self) -> bool:
        """Whether the network takes no fees, so that no balance is needed."""
        return self.fees.max_fee_wei == 0

    @property
    def records_left(self) -> int | None:
        """Number of records that the balance pays for at the highest price offered now; None if they are free."""
        gas = self.spending.gas_per_record or GAS_PER_RECORD
        return None if self.is_free else self.balance_wei // (gas * self.fees.max_fee_wei)

    @property
    def days_left(self) -> int | None:
        """Days until then, at the present rate of records; None if they are free, or none were made."""
        rate, left = self.spending.records_per_day, self.records_left
        return None if left is None or rate == 0 else left // rate

    @property
    def is_low(self) -> bool:
        """Whether the balance should be topped up now."""
        left, days = self.records_left, self.days_left
        return left is not None and (left < LOW_RECORDS or (days is not None and days < LOW_DAYS))

    def missing_wei(self, records: int) -> int:
        """What the balance lacks for this number of records; 0 if it is enough, or they are free."""
        gas = self.spending.gas_per_record or GAS_PER_RECORD
        return max(records * gas * self.fees.max_fee_wei - self.balance_wei, 0)

    def describe(self) -> str:
        """The balance in words, without the key."""
        if self.is_free:
            return "the network takes no fees: no balance is needed"
        days = "" if self.days_left is None else f", {self.days_left} days at its present rate"
        return f"{self.balance_wei} wei, enough for {self.records_left} records{days}"

    def to_json(self) -> dict[str, object]:
        return {
            "key": "0x" + self.key.hex(),
            "balance_wei": self.balance_wei,
            "fee_per_gas_wei": self.fees.max_fee_wei,
            "records_left": self.records_left,
            "days_left": self.days_left,
            "is_low": self.is_low,
        }


def look_at_funds(node: Node, profile: EngineProfile, store: Store, keys: Sequence[bytes], now_s: float) -> list[Funds]:
    """Ask the node for the balances of keys. `now_s` is Unix time. Raises ChainError, StoreError."""
    fees = first_fees(node, profile)
    with store.reading() as connection:
        spent = [find_spending(connection, key, now_s) for key in keys]
    # One after another, outside the database's transaction: a node that hangs must not hold it open.
    balances = [node.balance_wei(key) for key in keys]
    return [Funds(key, wei, fees, each) for key, wei, each in zip(keys, balances, spent, strict=True)]
