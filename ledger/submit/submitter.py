"""Gets records onto the chain: batches, nonces, signatures, receipts.

One submitter per signing key. A step looks first after what is open, by nonce, then starts new transactions. The
ordinary step is also the recovery: whatever a crash left behind is an open transaction in some state.

A record fails for good only when the contract refuses it alone, on a state that has all that went before it: a batch
may be refused for its size, and a record for want of one that is still under way.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.chain import (
    Chain,
    Receipt,
    Transaction,
    call_data,
    decode_log,
    event_topic,
    fee_per_gas_wei,
    sign_transaction,
)
from ledger.errors import ChainError, ContractRefusedError, SubmitError
from ledger.keys import Signer
from ledger.records import RECORD_TYPES, Contract, Record
from ledger.store.outbox import Entry, Outbox, OutboxState, QueuedRecord, SentTransaction

__all__ = ["Submitter"]

_EVENTS = {(kind.contract.value, kind.__name__): kind.event for kind in RECORD_TYPES}
_PAUSE_S = 0.05
_RECEIPT_GRACE_S = 30.0
_RESEND_S = 10.0
_MOST_UNMINED = 16
"""Transactions under way at once: engines keep few of one sender, and drop what is above."""
_MOST_REVERTS = 3


@dataclass(frozen=True, slots=True)
class _Batch:
    records: list[QueuedRecord]
    data: bytes
    gas_limit: int


class Submitter:
    """Submits for one key. `batch_size`: most records in one transaction. `receipt_grace_s`: how long the receipt of a
    transaction may stay away, once its nonce is used, before its records are sent anew. `resend_s`: between sending the
    same bytes again."""

    def __init__(
        self,
        chain: Chain,
        outbox: Outbox,
        signer: Signer,
        *,
        batch_size: int = 50,
        receipt_grace_s: float = _RECEIPT_GRACE_S,
        resend_s: float = _RESEND_S,
    ) -> None:
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._batch_size = batch_size
        self._receipt_grace_s = receipt_grace_s
        self._resend_s = resend_s
        self._missing_since: dict[int, float] = {}
        self._sent_at: dict[int, float] = {}
        """Both by transaction, on the monotonic clock; lost in a crash, after which everything is sent at once."""
        self._reverts: Counter[int] = Counter()
        """By record: transactions that were mined without it."""

    @property
    def key(self) -> bytes:
        """The signing address."""
        return self._signer.address

    def submit(self, records: Sequence[tuple[str, Record]]) -> list[int]:
        """Queues (idempotency key, record) pairs, in order, durably; gives their outbox ids.

        Raises DuplicateRecordError when a key was used for another record, SubmitError when one is empty or too long;
        then nothing is queued.
        """
        entries = [
            Entry(key, record.contract.value, type(record).__name__, call_data(record)) for key, record in records
        ]
        return self._outbox.enqueue(self.key, entries)

    def drain(self, timeout_s: float = 60.0) -> None:
        """Steps until nothing of this key waits or is under way.

        Raises SubmitError when that takes longer than `timeout_s`, ChainUnreachableError when the node stops answering;
        what is queued stays queued either way.
        """
        deadline = time.monotonic() + timeout_s
        while not self.step():
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} still wait after {timeout_s:.0f} s",
                    mend="check that the chain makes blocks; nothing was lost",
                )
            time.sleep(_PAUSE_S)

    def step(self) -> bool:
        """One round. True when nothing is left to do."""
        for transaction in self._outbox.open_transactions(self.key):
            self._follow(transaction)
        while self._outbox.count_unmined(self.key) < _MOST_UNMINED and (batch := self._build_batch()) is not None:
            self._start(batch)
        return not self._outbox.open_transactions(self.key)

    # Starting

    def _build_batch(self) -> _Batch | None:
        """The next records that the contract takes together; None when none waits, or the next one has to wait."""
        while records := self._outbox.queued(self.key, self._batch_size):
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
            if self._outbox.count_unmined(self.key):
                return None
            self._outbox.fail_record(records[0].id, refused.name, str(refused))
        return None

    def _simulated(self, records: list[QueuedRecord]) -> _Batch:
        contract = Contract(records[0].contract)
        data = self._chain.join_calls(contract, [record.payload for record in records])
        return _Batch(records, data, self._chain.simulate(contract, data, self.key))

    def _longest_accepted(self, records: list[QueuedRecord]) -> _Batch:
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

    def _start(self, batch: _Batch) -> None:
        chain_nonce = self._chain.node.transaction_count(self.key)
        recipient = self._chain.address(Contract(batch.records[0].contract))
        transaction = self._outbox.allocate(
            self.key, chain_nonce, batch.records, recipient, batch.data, batch.gas_limit
        )
        self._follow(transaction)

    # Following

    def _follow(self, transaction: SentTransaction) -> None:
        """Takes an open transaction as far as it goes now."""
        if transaction.state is OutboxState.NONCED:
            transaction = self._sign(transaction)
        if transaction.state is not OutboxState.MINED:
            self._send(transaction)
        self._settle(transaction)

    def _sign(self, transaction: SentTransaction) -> SentTransaction:
        max_fee = fee_per_gas_wei(self._chain.node, self._chain.profile)
        unsigned = Transaction(
            chain_id=self._chain.chain_id,
            nonce=transaction.nonce,
            max_priority_fee_wei=self._chain.profile.priority_fee_wei,
            max_fee_wei=max_fee,
            gas_limit=transaction.gas_limit,
            to=transaction.recipient,
            data=transaction.data,
        )
        signed = sign_transaction(unsigned, self._signer)
        self._outbox.store_signed(transaction.id, signed.raw, signed.hash, max_fee)
        return self._reload(transaction)

    def _reload(self, transaction: SentTransaction) -> SentTransaction:
        return next(entry for entry in self._outbox.open_transactions(self.key) if entry.id == transaction.id)

    def _send(self, transaction: SentTransaction) -> None:
        """Sends the stored bytes, unless they are mined already or went out just now. Safe to repeat: the bytes never
        change."""
        if transaction.raw is None or transaction.hash is None:
            raise SubmitError(f"transaction {transaction.id} was never signed", mend="report this")
        sent = transaction.state is OutboxState.SENT
        if sent and time.monotonic() - self._sent_at.get(transaction.id, float("-inf")) < self._resend_s:
            return
        if self._chain.node.receipt(transaction.hash) is None:
            self._chain.node.send(transaction.raw)
            self._sent_at[transaction.id] = time.monotonic()
        if not sent:
            self._outbox.mark_sent(transaction.id)

    def _settle(self, transaction: SentTransaction) -> None:
        """Believes a receipt only when its logs are the expected events, and its block only when it is final."""
        nonce_used = self._chain.node.transaction_count(self.key) > transaction.nonce  # before the receipt is asked for
        receipt = self._chain.node.receipt(transaction.hash or b"")
        if receipt is None:
            self._settle_missing(transaction, nonce_used)
            return
        if transaction.state is not OutboxState.MINED:
            sequences = self._sequences(transaction, receipt)
            if sequences is None:
                self._settle_reverted(transaction)
                return
            self._outbox.mark_mined(
                transaction.id, receipt.block_number, receipt.block_hash, receipt.gas_used, sequences
            )
        elif receipt.block_hash != transaction.block_hash:
            self._outbox.mark_reorganised(transaction.id)
            return
        if receipt.block_number <= self._chain.final_number():
            self._outbox.mark_final(transaction.id)
            self._forget(transaction)

    def _settle_missing(self, transaction: SentTransaction, nonce_used: bool) -> None:
        """A node may count a nonce before it shows the receipt. Only when the receipt stays away was the nonce somebody
        else's; to send the records again any earlier could record them twice."""
        if transaction.state is OutboxState.MINED:
            self._outbox.mark_reorganised(transaction.id)
            self._forget(transaction)
        elif not nonce_used:
            self._missing_since.pop(transaction.id, None)
        else:
            since = self._missing_since.setdefault(transaction.id, time.monotonic())
            if time.monotonic() - since >= self._receipt_grace_s:
                self._outbox.requeue(transaction.id, "its nonce was used by another transaction")
                self._forget(transaction)

    def _settle_reverted(self, transaction: SentTransaction) -> None:
        """The next simulation tells which record the contract refuses now, and why. One that reverts again and again
        though each simulation takes it must not spend gas for ever."""
        self._outbox.requeue(transaction.id, "mined without its records")
        self._forget(transaction)
        self._reverts.update(record.id for record in transaction.records)
        [first, *others] = transaction.records
        if not others and self._reverts[first.id] >= _MOST_REVERTS:
            error = f"reverted in {self._reverts[first.id]} transactions, though each simulation took it"
            self._outbox.fail_record(first.id, "Reverted", error)

    def _forget(self, transaction: SentTransaction) -> None:
        self._sent_at.pop(transaction.id, None)
        self._missing_since.pop(transaction.id, None)

    def _sequences(self, transaction: SentTransaction, receipt: Receipt) -> list[int] | None:
        """Sequences of the transaction's records, in call order; None when it was mined without them."""
        if not receipt.succeeded:
            return None
        contract = Contract(transaction.records[0].contract)
        logs = [log for log in receipt.logs if log.address == transaction.recipient]
        decoded = [decode_log(contract, log, 0) for log in logs]
        expected = [event_topic(contract, _EVENTS[record.contract, record.kind]) for record in transaction.records]
        found = [record for record in decoded if record is not None and record.key == self.key]
        if [record.topic for record in found] != expected:
            raise ChainError(
                f"transaction 0x{receipt.transaction_hash.hex()} left other events than its records",
                mend="check that the deployment file names this version's contracts",
            )
        return [record.sequence for record in found]
