"""Takes transactions that hold a nonce as far as they go: signed, sent, raised, mined, final.

What is stored decides, never what a node says it will do. Bytes are stored before they are sent; every version ever
signed for a nonce may be the one that is mined, so the receipts of all of them are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ledger.chain import (
    Chain,
    Receipt,
    Reception,
    SignedTransaction,
    Transaction,
    sign_transaction,
)
from ledger.errors import ChainError, SubmitError
from ledger.keys import Signer
from ledger.store.outbox import OutboxState, OutboxWriter, SentTransaction, Version
from ledger.submit.batches import Batches
from ledger.submit.calls import read_sequences
from ledger.submit.fees import Fees, first_fees, raised_fees

__all__ = ["CRASH_POINTS", "NOOP_GAS", "Patience", "Report", "Tracker", "ignore"]

CRASH_POINTS = ("send",)
"""Before and after the node gets a transaction."""
NOOP_GAS = 21_000
"""Of a transfer (yellow paper, appendix G)."""
_MOST_REPLACED = 20
"""Versions of one transaction: an fees raised by a tenth so often is almost seven times the first."""


Report = Callable[[str, SentTransaction], None]
"""Told what became of a transaction: `sent`, `mined`, `final`, `reorganised`, `returned` (its records wait again)."""


def ignore(_: str, __: SentTransaction) -> None:
    """The report that nobody reads."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds on the monotonic clock."""

    receipt_s: float = 30.0
    """For the receipt, once the nonce is used, before the records are sent anew."""
    resend_s: float = 10.0
    """Between sending the same bytes again."""
    raise_s: float = 60.0
    """Before the fees is raised, on engines that take replacements."""


@dataclass(slots=True)
class _Times:
    """Of one transaction, on the monotonic clock; lost in a crash, after which everything is sent at once."""

    sent_at: float = float("-inf")
    offered_at: float | None = None
    missing_since: float | None = None
    underpriced: bool = False


class Tracker:
    """Of one key."""

    def __init__(
        self, chain: Chain, signer: Signer, batches: Batches, patience: Patience, report: Report = ignore
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._batches = batches
        self._patience = patience
        self._report = report
        self._times: dict[int, _Times] = {}

    def follow(self, desk: OutboxWriter, transaction: SentTransaction) -> bool:
        """Takes an open transaction as far as it goes now. False when what has a higher nonce should not be sent: the
        node lacks one below."""
        if transaction.state is OutboxState.NONCED:
            transaction = self.sign(desk, transaction, first_fees(self._chain))
        reception = Reception.TAKEN
        if transaction.state is not OutboxState.MINED:
            transaction = self._reconsider(desk, transaction)
            reception = self._send(transaction)
        self._settle(desk, transaction)
        return reception is not Reception.GAPPED

    # Signing

    def sign(self, desk: OutboxWriter, transaction: SentTransaction, fees: Fees) -> SentTransaction:
        """Stores the first bytes of a transaction that holds a nonce."""
        signed = self._signed(transaction, fees, transaction.noop)
        return desk.store_signed(transaction.id, signed.raw, signed.hash, fees.max_fee_wei, fees.priority_fee_wei)

    def _signed(self, transaction: SentTransaction, fees: Fees, noop: bool) -> SignedTransaction:
        unsigned = Transaction(
            chain_id=self._chain.chain_id,
            nonce=transaction.nonce,
            max_priority_fee_wei=fees.priority_fee_wei,
            max_fee_wei=fees.max_fee_wei,
            gas_limit=NOOP_GAS if noop else transaction.gas_limit,
            to=self._signer.address if noop else transaction.recipient,
            data=b"" if noop else transaction.data,
        )
        return sign_transaction(unsigned, self._signer)

    def _reconsider(self, desk: OutboxWriter, transaction: SentTransaction) -> SentTransaction:
        """Other bytes for the nonce when the operator gave a record up, or when the fees waits in vain."""
        given_up = not transaction.noop and any(record.cancelling for record in transaction.records)
        if not given_up and not self._is_outbid(transaction):
            return transaction
        before = Fees(
            transaction.max_fee_wei or 0, transaction.priority_fee_wei or self._chain.profile.priority_fee_wei
        )
        fees = raised_fees(self._chain, before)
        noop = transaction.noop or given_up
        if (fees == before and noop == transaction.noop) or self._receipt(transaction) is not None:
            return transaction
        signed = self._signed(transaction, fees, noop)
        self._times[transaction.id] = _Times()
        return desk.replace_signed(transaction, signed.raw, signed.hash, fees.max_fee_wei, fees.priority_fee_wei, noop)

    def _is_outbid(self, transaction: SentTransaction) -> bool:
        times = self._times.get(transaction.id)
        if times is None or times.offered_at is None or len(transaction.replaced) >= _MOST_REPLACED:
            return False
        patience_s = self._patience.resend_s if times.underpriced else self._patience.raise_s
        return self._chain.profile.bump_percent > 0 and time.monotonic() - times.offered_at >= patience_s

    # Sending

    def _send(self, transaction: SentTransaction) -> Reception:
        """Sends the stored bytes, unless they are mined already or went out just now. Safe to repeat: the bytes never
        change."""
        if transaction.raw is None:
            raise SubmitError(f"transaction {transaction.id} was never signed", hint="report this")
        times = self._times.setdefault(transaction.id, _Times())
        now = time.monotonic()
        if now - times.sent_at < self._patience.resend_s:
            return Reception.TAKEN
        reception = Reception.TAKEN
        if self._receipt(transaction) is None:
            reception = self._chain.node.send(transaction.raw)
            times.sent_at = now
            times.offered_at = now if times.offered_at is None else times.offered_at
            times.underpriced = reception is Reception.UNDERPRICED
            self._report("sent", transaction)
        return reception

    def _receipt(self, transaction: SentTransaction) -> tuple[Receipt, bool] | None:
        """Of whichever version is in a block, and whether that one records nothing."""
        versions = [Version(transaction.hash or b"", transaction.noop), *transaction.replaced]
        for version in versions:
            receipt = self._chain.node.receipt(version.hash)
            if receipt is not None:
                return receipt, version.noop
        return None

    # Settling

    def _settle(self, desk: OutboxWriter, transaction: SentTransaction) -> None:
        """Believes a receipt only when its logs are the expected events, and its block only when it is final."""
        final = self._chain.final_number()
        nonce_used = self._is_nonce_used(transaction, final)  # before the receipt is asked for
        found = self._receipt(transaction)
        if found is None:
            self._settle_missing(desk, _sent(desk, transaction), nonce_used)
            return
        receipt, noop = found
        if receipt.block_number > final:
            final = self._chain.final_number()  # its block came since
        self._times.setdefault(transaction.id, _Times()).missing_since = None
        try:
            sequences = None if noop else read_sequences(self._chain, transaction, receipt)
        except ChainError:
            _sent(desk, transaction)
            raise
        if sequences is None:
            self._settle_without(desk, _sent(desk, transaction), receipt, noop, final)
        elif transaction.state is not OutboxState.MINED:
            with desk.together():
                _sent(desk, transaction)
                desk.mark_mined(transaction.id, receipt.block_number, receipt.block_hash, receipt.gas_used, sequences)
                self._settle_final(desk, transaction, receipt, final)
            self._report("final" if receipt.block_number <= final else "mined", transaction)
        elif receipt.block_hash != transaction.block_hash:
            desk.mark_reorganised(transaction.id)
            self._report("reorganised", transaction)
        else:
            self._settle_final(desk, transaction, receipt, final)
            if receipt.block_number <= final:
                self._report("final", transaction)

    def _settle_final(self, desk: OutboxWriter, transaction: SentTransaction, receipt: Receipt, final: int) -> None:
        if receipt.block_number <= final:
            desk.mark_final(transaction.id)
            self._times.pop(transaction.id, None)

    def _settle_without(
        self, desk: OutboxWriter, transaction: SentTransaction, receipt: Receipt, noop: bool, final: int
    ) -> None:
        """Mined, and its records are not. Until the block is final, another one may still have them: to send them again
        any earlier could record them twice."""
        if transaction.state is OutboxState.MINED:
            desk.mark_reorganised(transaction.id)
            self._report("reorganised", transaction)
        elif receipt.block_number <= final:
            self._times.pop(transaction.id, None)
            self._report("returned", transaction)
            if noop:
                desk.mark_replaced(transaction.id, receipt.block_number, receipt.block_hash)
            else:
                desk.requeue(transaction.id, "mined without its records")
                self._batches.note_reverted(desk, transaction.records)

    def _settle_missing(self, desk: OutboxWriter, transaction: SentTransaction, nonce_used: bool) -> None:
        """A node may count a nonce before it shows the receipt. Only when the receipt stays away was the nonce somebody
        else's; to send the records again any earlier could record them twice."""
        times = self._times.setdefault(transaction.id, _Times())
        if transaction.state is OutboxState.MINED:
            desk.mark_reorganised(transaction.id)
            self._times.pop(transaction.id, None)
            self._report("reorganised", transaction)
        elif not nonce_used:
            times.missing_since = None
        else:
            now = time.monotonic()
            times.missing_since = now if times.missing_since is None else times.missing_since
            if now - times.missing_since >= self._patience.receipt_s:
                desk.requeue(transaction.id, "its nonce was used by another transaction")
                self._report("returned", transaction)
                self._times.pop(transaction.id, None)

    def _is_nonce_used(self, transaction: SentTransaction, final: int) -> bool:
        """For good: in a final block."""
        if final < 0:
            return False
        number = None if self._chain.profile.finality_depth == 0 else final
        return self._chain.node.transaction_count(self._signer.address, number) > transaction.nonce


def _sent(desk: OutboxWriter, transaction: SentTransaction) -> SentTransaction:
    """Noted only now: where the receipt is there at once, it costs no database transaction of its own."""
    return desk.mark_sent(transaction.id) if transaction.state is OutboxState.SIGNED else transaction
