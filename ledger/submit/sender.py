"""Signs the transactions of one key, sends them, and replaces those that stay pending for too long.

Sending is idempotent: what is sent are stored bytes. They are stored before the first send, and so are others for the
same nonce.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from millmark.ledger.chain import (
    Chain,
    Fees,
    Head,
    Reception,
    Sight,
    SignedTransaction,
    Transaction,
    fee_too_low,
    first_fees,
    is_legacy,
    raised_fees,
    sign_transaction,
)
from millmark.ledger.errors import ChainError, ChainUnreachableError, NodeBehindError, SubmitError
from millmark.ledger.signatures import Signer
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction, Version
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit.batches import Batch, Batches, recipient_of

# What a submitter tells of its transactions.

Report = Callable[[str, SentTransaction, str | None], None]
"""Called with the event `sent`, `mined`, `final`, `reorganised` or `returned` (its records are queued again), and with
the reason for `returned`."""


def ignore(_: str, __: SentTransaction, ___: str | None) -> None:
    """Do nothing: the default callback for reports."""


# How many transactions of a key may be pending, and how many records may be in one.
#
# A block takes as many transactions as its gas suffices for. With two blocks' worth pending, the next block is full
# however long it takes, and however long blocks take to be final: what is in a block does not count. But engines' pools
# keep only so many transactions of one sender, and say so or drop the others.

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
        """Note that the node had no room for another transaction while `pending` were waiting."""
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


NOOP_GAS = 21_000
"""Gas of a transfer (yellow paper, appendix G)."""
_MAX_REPLACED = 20
"""Maximum number of replacements: after 20 increases by a tenth, fees are almost seven times the first ones."""


@dataclass(frozen=True)
class Patience:
    """Timeouts in seconds, on the monotonic clock."""

    receipt_s: float = 2.0
    """Time to wait for the receipt once the nonce is used; then the transaction that used it is looked for, each time
    after as long again."""
    resend_s: float = 10.0
    """Time between sending the same bytes again."""
    raise_s: float = 60.0
    """Time after which fees are raised, on engines where transactions can be replaced."""


@dataclass(slots=True)
class _Times:
    """Times of one transaction, on the monotonic clock. After a crash they are gone, and all is sent at once."""

    sent_at: float = float("-inf")
    offered_at: float | None = None
    underpriced: bool = False
    oversized: bool = False


class Sender:
    """Signs and sends for one key."""

    def __init__(
        self, chain: Chain, signer: Signer, batches: Batches, patience: Patience, window: Window, report: Report
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._batches = batches
        self._patience = patience
        self._window = window
        self._report = report
        self._times: dict[int, _Times] = {}
        self.trouble: ChainError | None = None
        """Why the node refused a transaction in this step; None if it did not."""
        self.is_stopped = False
        """Whether transactions with higher nonces would be sent in vain, in this step."""

    def begin(self, transactions: Iterable[SentTransaction]) -> None:
        """Begin a step. Forget all transactions but these, which are open: another submitter may have settled the
        others meanwhile."""
        self.trouble, self.is_stopped = None, False
        ids = {transaction.id for transaction in transactions}
        self._times = {each: times for each, times in self._times.items() if each in ids}

    def forget(self, transaction: SentTransaction) -> None:
        """Send the transaction at once, should it have to be sent again."""
        self._times.pop(transaction.id, None)

    # Signing

    def start(self, writer: OutboxWriter, batches: Sequence[Batch], sight: Sight) -> list[SentTransaction]:
        """Give each batch the next nonce, and sign it; all are stored, or none."""
        fees = first_fees(self._chain.node, self._chain.profile)
        started = None
        while started is None:
            # Signed before the nonces are given out: the key may be in a slow device, and other writers of the database
            # would wait for it. Nonces and signed bytes are stored at once, before anything is sent.
            first = writer.next_nonce(sight.count)
            signed = [self._signed_batch(batch, first + place, fees) for place, batch in enumerate(batches)]
            started = writer.start(sight.count, signed)
        if self._chain.profile.fixed_gas_limit is None:  # else the limit is the same however many records there are
            for batch in batches:
                self._window.note_started(batch.gas_limit, len(batch.records))
        return started

    def sign_left(self, writer: OutboxWriter, transactions: Iterable[SentTransaction]) -> list[SentTransaction]:
        """Sign those that have a nonce only, as a crash leaves them."""
        return [
            self._sign(writer, one, first_fees(self._chain.node, self._chain.profile))
            if one.state is OutboxState.NONCED
            else one
            for one in transactions
        ]

    def _sign(self, writer: OutboxWriter, transaction: SentTransaction, fees: Fees) -> SentTransaction:
        signed = self._signed(transaction, fees, transaction.noop)
        return writer.store_signed(transaction.id, signed.raw, signed.hash, fees.max_fee_wei, fees.priority_fee_wei)

    def _signed(self, transaction: SentTransaction, fees: Fees, noop: bool) -> SignedTransaction:
        if noop:
            return self._signed_call(transaction.nonce, self._signer.address, b"", NOOP_GAS, fees)
        return self._signed_call(
            transaction.nonce, transaction.recipient, transaction.data, transaction.gas_limit, fees
        )

    def _signed_batch(self, batch: Batch, nonce: int, fees: Fees) -> SentTransaction:
        """A transaction that is not stored yet, and so has no id."""
        recipient = recipient_of(self._chain, batch.records)
        signed = self._signed_call(nonce, recipient, batch.data, batch.gas_limit, fees)
        return SentTransaction(
            id=0,
            signer=self._signer.address,
            nonce=nonce,
            recipient=recipient,
            data=batch.data,
            gas_limit=batch.gas_limit,
            max_fee_wei=fees.max_fee_wei,
            priority_fee_wei=fees.priority_fee_wei,
            noop=False,
            raw=signed.raw,
            hash=signed.hash,
            state=OutboxState.SIGNED,
            block_number=None,
            block_hash=None,
            gas_used=None,
            records=tuple(batch.records),
            replaced=(),
        )

    def _signed_call(self, nonce: int, to: bytes, data: bytes, gas_limit: int, fees: Fees) -> SignedTransaction:
        unsigned = Transaction(
            chain_id=self._chain.chain_id,
            nonce=nonce,
            max_priority_fee_wei=fees.priority_fee_wei,
            max_fee_wei=fees.max_fee_wei,
            gas_limit=gas_limit,
            to=to,
            data=data,
            legacy=fees.legacy,
        )
        return sign_transaction(unsigned, self._signer)

    def _reconsider(self, writer: OutboxWriter, transaction: SentTransaction) -> SentTransaction:
        """Sign another version for the nonce, if a record was cancelled, or the transaction is pending for too long.

        A cancelled transaction becomes a transfer of zero wei, which uses up the nonce. So does one for which the
        blocks have become too small; its records go out again in smaller batches.
        """
        times = self._times.get(transaction.id)
        oversized = times is not None and times.oversized
        if oversized:
            self._batches.forget_limits()
        given_up = not transaction.noop and (oversized or any(record.cancelling for record in transaction.records))
        if not given_up and not self._is_outbid(transaction):
            return transaction
        legacy = is_legacy(transaction.raw or b"")
        before = Fees(transaction.max_fee_wei or 0, transaction.priority_fee_wei or 0, legacy)
        fees = raised_fees(self._chain.node, self._chain.profile, before)
        noop = transaction.noop or given_up
        # A version that is already in a block cannot be replaced any more.
        if (fees == before and noop == transaction.noop) or self._is_mined(transaction):
            return transaction
        signed = self._signed(transaction, fees, noop)
        self._times[transaction.id] = _Times()
        return writer.replace_signed(
            transaction, signed.raw, signed.hash, fees.max_fee_wei, fees.priority_fee_wei, noop
        )

    def _is_outbid(self, transaction: SentTransaction) -> bool:
        times = self._times.get(transaction.id)
        if times is None or times.offered_at is None or len(transaction.replaced) >= _MAX_REPLACED:
            return False
        patience_s = self._patience.resend_s if times.underpriced else self._patience.raise_s
        return time.monotonic() - times.offered_at >= patience_s

    def _is_mined(self, transaction: SentTransaction) -> bool:
        return any(self._chain.node.receipt(version.hash) is not None for version in versions_of(transaction))

    # Sending

    def offer(
        self, writer: OutboxWriter, transactions: Sequence[SentTransaction], sight: Sight, before: int
    ) -> list[SentTransaction]:
        """Send the stored bytes of pending transactions, but for those that were sent a moment ago. `before`: how many
        others are pending. Returns those that were sent, in their current versions."""
        current = [self._reconsider(writer, transaction) for transaction in transactions]
        due = [transaction for transaction in current if self._is_due(transaction, sight)]
        if not due:
            return []
        answers = self._send([_raw(transaction) for transaction in due])
        if Reception.FULL in answers:
            self._window.note_full(sight.head, before + len(current))
            self.is_stopped = True
        answered = zip(due, answers, strict=True)
        return [transaction for transaction, answer in answered if self._note_answer(transaction, answer)]

    def _send(self, raws: Sequence[bytes]) -> list[Reception | ChainError]:
        if self._chain.profile.timed_blocks:
            return self._chain.node.send_all(raws)
        # Engines that mine at once take those of an array in any order, and may leave some without a block.
        answers: list[Reception | ChainError] = []
        for raw in raws:
            answers += self._chain.node.send_all([raw])
            if isinstance(answers[-1], ChainUnreachableError):  # nor would it answer the others, each after a timeout
                return [*answers, *[answers[-1]] * (len(raws) - len(answers))]
        return answers

    def mark_sent(self, writer: OutboxWriter, transactions: Iterable[SentTransaction]) -> None:
        """Store that these, which were offered, were sent."""
        # Not when they are sent: so engines that mine at once need one database transaction instead of two.
        signed = [transaction for transaction in transactions if transaction.state is OutboxState.SIGNED]
        if signed:
            with writer.together():
                for transaction in signed:
                    writer.mark_sent(transaction.id)

    def may_be_mined(self, transaction: SentTransaction) -> bool:
        """Whether the transaction, whose nonce the node has not counted, is to be asked for: before it is sent again,
        and each time on engines that mine at once. What counts nonces may be behind what mines."""
        times = self._times.get(transaction.id)
        if times is None or times.offered_at is None:
            return transaction.state is OutboxState.SENT
        return not self._chain.profile.timed_blocks or time.monotonic() - times.sent_at >= self._patience.resend_s

    def _is_due(self, transaction: SentTransaction, sight: Sight) -> bool:
        times = self._times.setdefault(transaction.id, _Times())
        is_new = times.offered_at is None
        return time.monotonic() - times.sent_at >= self._patience.resend_s and not (
            is_new and self._window.is_full(sight.head)
        )

    def _note_answer(self, transaction: SentTransaction, answer: Reception | ChainError) -> bool:
        """Note how the node answered. Returns whether the transaction counts as sent."""
        if isinstance(answer, ChainError):
            self.trouble, self.is_stopped = self.trouble or answer, True
            return False
        times, now = self._times[transaction.id], time.monotonic()
        if answer is Reception.FULL:
            return False
        if answer is Reception.BELOW_MINIMUM:
            times.offered_at = now if times.offered_at is None else times.offered_at
            times.underpriced, self.is_stopped = True, True
            self.trouble = self.trouble or fee_too_low(transaction.max_fee_wei or 0)
            return False
        self.is_stopped |= answer is Reception.GAPPED
        times.sent_at = now
        times.offered_at = now if times.offered_at is None else times.offered_at
        times.underpriced = answer is Reception.UNDERPRICED
        times.oversized = answer is Reception.OVERSIZED
        self._report("sent", transaction, None)
        return True


def versions_of(transaction: SentTransaction) -> list[Version]:
    """All versions of a signed transaction, the current one first. Any of them may be in a block."""
    return [Version(transaction.hash or b"", transaction.noop), *transaction.replaced]


def _raw(transaction: SentTransaction) -> bytes:
    if transaction.raw is None:
        raise SubmitError(f"transaction {transaction.id} was never signed", hint="report this")
    return transaction.raw


# Fills gaps of one key: unused nonces below some that are in use. No transaction above a gap can be mined.

_MAX = 100
"""Maximum number of nonces filled in one step."""


class Gaps:
    """Fills the gaps of one key by transfers of zero wei.

    The outbox itself leaves no gaps. They appear when its database is changed, or restored from a backup. A gap is
    filled once it has existed for `patience_s`: a node that lags behind shows one briefly. Below a nonce that the
    outbox knows to be used in a final block there is no gap, whatever the node counts: it is behind, or of another
    chain.
    """

    def __init__(self, chain: Chain, outbox: Outbox, signer: bytes, patience_s: float) -> None:
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._patience_s = patience_s
        self._since: float | None = None
        self._behind_since: float | None = None
        self.trouble: NodeBehindError | None = None
        """That the node has counted too few nonces for some time; None if it has not."""

    def fill(self, writer: OutboxWriter, open_transactions: Sequence[SentTransaction], count: int) -> bool:
        """Fill the gaps below the highest nonce of `open_transactions`, if they have existed long enough. `count`:
        number of nonces that the chain has counted. Returns whether it did."""
        missing = self._missing(open_transactions, count)
        now = time.monotonic()
        # The clock starts when a gap is first seen, and starts again if it disappears in between.
        self._since = None if not missing else now if self._since is None else self._since
        if self._since is None or now - self._since < self._patience_s:
            return False
        self._since = None
        self._chain.verify_state()
        for nonce in missing:
            writer.fill(nonce, NOOP_GAS)
        return True

    def _missing(self, open_transactions: Sequence[SentTransaction], first: int) -> list[int]:
        self.trouble = None
        held = {transaction.nonce for transaction in open_transactions}
        if not held:
            return []
        closed = self._outbox.closed_nonce(self._signer)
        if closed is not None and first <= closed:
            self._note_behind(first, closed)
            return []
        self._behind_since = None
        return [nonce for nonce in range(first, max(held)) if nonce not in held][:_MAX]

    def _note_behind(self, count: int, closed: int) -> None:
        now = time.monotonic()
        self._behind_since = now if self._behind_since is None else self._behind_since
        if now - self._behind_since >= self._patience_s:
            self.trouble = NodeBehindError(
                f"the node counts {count} transactions of 0x{self._signer.hex()}, but nonce {closed} is used in a "
                "final block: the node is behind, or its chain lost final blocks",
                hint="check that the node is in sync and has peers; nothing is sent in place of what it lacks. If the "
                f"chain was set back: `millmark rebuild`, then `millmark outbox reopen 0x{self._signer.hex()}`",
            )
