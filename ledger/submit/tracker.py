"""Advances transactions that have a nonce: signing, sending, raising fees, until they are mined and final.

Decisions depend on what is stored and in blocks, never on what a node promises. Bytes are stored before they are sent.
Any version ever signed for a nonce may be the one that is mined, so the receipts of all versions are checked. Where
none appears although the nonce is used, the transaction that used it is found before anything else goes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ledger.chain import (
    Chain,
    Fees,
    Receipt,
    Reception,
    SignedTransaction,
    Transaction,
    first_fees,
    is_legacy,
    raised_fees,
    sign_transaction,
)
from ledger.errors import ChainError, ChainUnreachableError, SubmitError
from ledger.keys import Signer
from ledger.store.outbox import OutboxState, OutboxWriter, SentTransaction, Version
from ledger.submit.batches import Batches
from ledger.submit.calls import read_sequences
from ledger.submit.spender import find_spender, version_of

__all__ = ["CRASH_POINTS", "NOOP_GAS", "Patience", "Report", "Tracker", "ignore"]

CRASH_POINTS = ("send",)
"""Where fault runs stop the process: before and after a transaction is sent to the node."""
NOOP_GAS = 21_000
"""Gas of a transfer (yellow paper, appendix G)."""
_MAX_REPLACED = 20
"""Maximum number of replacements: after 20 increases by a tenth, fees are almost seven times the first ones."""


Report = Callable[[str, SentTransaction, str | None], None]
"""Called with the event `sent`, `mined`, `final`, `reorganised` or `returned` (its records are queued again), and with
the reason for `returned`."""


def ignore(_: str, __: SentTransaction, ___: str | None) -> None:
    """Do nothing: the default callback for reports."""


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
    missing_since: float | None = None
    underpriced: bool = False
    oversized: bool = False


class Tracker:
    """Advances the transactions of one key."""

    def __init__(
        self, chain: Chain, signer: Signer, batches: Batches, patience: Patience, report: Report = ignore
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._batches = batches
        self._patience = patience
        self._report = report
        self._times: dict[int, _Times] = {}
        self._unexplained: dict[int, ChainUnreachableError] = {}
        """By transaction id: its nonce is used, and the node does not show by what."""

    @property
    def trouble(self) -> ChainUnreachableError | None:
        """That the node does not show which transaction used a nonce; None if there is no such nonce."""
        return next(iter(self._unexplained.values()), None)

    def keep(self, transactions: Sequence[SentTransaction]) -> None:
        """Forget all but these, which are open: another submitter may have settled the others meanwhile."""
        ids = {transaction.id for transaction in transactions}
        self._times = {each: times for each, times in self._times.items() if each in ids}
        self._unexplained = {each: error for each, error in self._unexplained.items() if each in ids}

    def follow(self, writer: OutboxWriter, transaction: SentTransaction) -> bool:
        """Advance an open transaction as far as possible now.

        Returns False if the node lacks a lower nonce, so that no transaction with a higher one should be sent.
        """
        if transaction.state is OutboxState.NONCED:
            transaction = self.sign(writer, transaction, first_fees(self._chain.node, self._chain.profile))
        reception = Reception.TAKEN
        if transaction.state is not OutboxState.MINED:
            transaction = self._reconsider(writer, transaction)
            reception = self._send(transaction)
        self._settle(writer, transaction)
        return reception is not Reception.GAPPED

    # Signing

    def sign(self, writer: OutboxWriter, transaction: SentTransaction, fees: Fees) -> SentTransaction:
        """Sign a transaction that has a nonce, for the first time, and store its bytes."""
        signed = self._signed(transaction, fees, transaction.noop)
        return writer.store_signed(transaction.id, signed.raw, signed.hash, fees.max_fee_wei, fees.priority_fee_wei)

    def _signed(self, transaction: SentTransaction, fees: Fees, noop: bool) -> SignedTransaction:
        unsigned = Transaction(
            chain_id=self._chain.chain_id,
            nonce=transaction.nonce,
            max_priority_fee_wei=fees.priority_fee_wei,
            max_fee_wei=fees.max_fee_wei,
            gas_limit=NOOP_GAS if noop else transaction.gas_limit,
            to=self._signer.address if noop else transaction.recipient,
            data=b"" if noop else transaction.data,
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
        profile = self._chain.profile
        before = Fees(
            transaction.max_fee_wei or 0,
            transaction.priority_fee_wei or profile.priority_fee_wei,
            is_legacy(transaction.raw or b""),
        )
        fees = raised_fees(self._chain.node, profile, before)
        noop = transaction.noop or given_up
        # A version that is already in a block cannot be replaced any more.
        if (fees == before and noop == transaction.noop) or self._receipt(transaction) is not None:
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
        return self._chain.profile.bump_percent > 0 and time.monotonic() - times.offered_at >= patience_s

    # Sending

    def _send(self, transaction: SentTransaction) -> Reception:
        """Send the stored bytes, unless they are mined or were sent a moment ago. Idempotent: they never change."""
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
            times.oversized = reception is Reception.OVERSIZED
            self._report("sent", transaction, None)
        return reception

    def _receipt(self, transaction: SentTransaction) -> tuple[Receipt, bool] | None:
        """Receipt of the version that is in a block, and whether that version is a transfer without records."""
        versions = [Version(transaction.hash or b"", transaction.noop), *transaction.replaced]
        for version in versions:
            receipt = self._chain.node.receipt(version.hash)
            if receipt is not None:
                return receipt, version.noop
        return None

    # Settling

    def _settle(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        """Store the outcome of a transaction, if the chain has it.

        A receipt counts only if its logs are the expected events, and as final only if its block is.
        """
        final = self._chain.final_number()
        # Before the receipt: a block in between could use the nonce, and the receipt would seem to be missing.
        nonce_used = self._is_nonce_used(transaction, final)
        found = self._receipt(transaction)
        if found is None:
            self._settle_missing(writer, _sent(writer, transaction), nonce_used)
            return
        receipt, noop = found
        if receipt.block_number > final:
            final = self._chain.final_number()  # the block is newer than the first answer
        self._settle_found(writer, transaction, receipt, noop, final)

    def _settle_found(
        self, writer: OutboxWriter, transaction: SentTransaction, receipt: Receipt, noop: bool, final: int
    ) -> None:
        self._times.setdefault(transaction.id, _Times()).missing_since = None
        self._unexplained.pop(transaction.id, None)
        try:
            sequences = None if noop else read_sequences(self._chain, transaction, receipt)
        except ChainError:
            _sent(writer, transaction)  # it is in a block, so it was sent, whatever its logs are
            raise
        if sequences is None:
            self._settle_without(writer, _sent(writer, transaction), receipt, noop, final)
        elif transaction.state is not OutboxState.MINED:
            with writer.together():
                _sent(writer, transaction)
                writer.mark_mined(transaction.id, receipt.block_number, receipt.block_hash, receipt.gas_used, sequences)
                self._settle_final(writer, transaction, receipt, final)
            self._report("final" if receipt.block_number <= final else "mined", transaction, None)
        elif receipt.block_hash != transaction.block_hash:
            # In another block now, perhaps with other sequences: the next step stores it as mined there.
            writer.mark_reorganised(transaction.id)
            self._report("reorganised", transaction, None)
        else:
            self._settle_final(writer, transaction, receipt, final)
            if receipt.block_number <= final:
                self._report("final", transaction, None)

    def _settle_final(self, writer: OutboxWriter, transaction: SentTransaction, receipt: Receipt, final: int) -> None:
        if receipt.block_number <= final:
            writer.mark_final(transaction.id)
            self._times.pop(transaction.id, None)

    def _settle_without(
        self, writer: OutboxWriter, transaction: SentTransaction, receipt: Receipt, noop: bool, final: int
    ) -> None:
        """Queue the records of a transaction again that was mined without making them, once its block is final.

        Earlier, a reorganisation could still bring a version that makes them, and they would be recorded twice.
        """
        if transaction.state is OutboxState.MINED:
            writer.mark_reorganised(transaction.id)
            self._report("reorganised", transaction, None)
        elif receipt.block_number <= final:
            self._times.pop(transaction.id, None)
            self._report("returned", transaction, "mined without its records")
            if noop:
                writer.mark_replaced(transaction.id, receipt.block_number, receipt.block_hash)
            else:
                writer.requeue(transaction.id, "mined without its records")
                self._batches.note_reverted(writer, transaction.records)

    def _settle_missing(self, writer: OutboxWriter, transaction: SentTransaction, nonce_used: bool) -> None:
        """Handle a missing receipt: once the nonce has been used for some time, find out which transaction used it.

        A node may count a nonce before it has the receipt, and nodes behind one address may be at different blocks.
        However long the receipt stays away, the records could be in a block: sent again, they would be recorded twice.
        """
        times = self._times.setdefault(transaction.id, _Times())
        if transaction.state is OutboxState.MINED:
            writer.mark_reorganised(transaction.id)
            self._times.pop(transaction.id, None)
            self._report("reorganised", transaction, None)
        elif not nonce_used:
            times.missing_since = None
            self._unexplained.pop(transaction.id, None)
        else:
            now = time.monotonic()
            times.missing_since = now if times.missing_since is None else times.missing_since
            if now - times.missing_since >= self._patience.receipt_s:
                times.missing_since = now
                self._explain(writer, transaction)

    def _explain(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        """Settle a transaction whose nonce is used by the transaction that used it, if the node shows which one."""
        final = self._chain.final_number()
        try:
            spender = find_spender(self._chain.node, self._signer.address, transaction.nonce, final)
            reason = "the node shows no transaction that used it"
        except ChainError as error:
            spender, reason = None, error.cause
        if spender is None:
            self._unexplained[transaction.id] = ChainUnreachableError(
                f"nonce {transaction.nonce} of 0x{self._signer.address.hex()} is used, and its records wait: {reason}",
                hint="use a node that is in sync and keeps the states and receipts of its latest blocks",
            )
        elif (noop := version_of(transaction, spender)) is not None:
            self._settle_found(writer, transaction, spender.receipt, noop, final)
        else:
            reason = f"its nonce was used by transaction 0x{spender.transaction.hash.hex()}"
            writer.requeue(transaction.id, reason)
            self._report("returned", transaction, reason)
            self._times.pop(transaction.id, None)
            self._unexplained.pop(transaction.id, None)

    def _is_nonce_used(self, transaction: SentTransaction, final: int) -> bool:
        """Whether the nonce is used in a final block."""
        if final < 0:
            return False
        number = None if self._chain.profile.finality_depth == 0 else final  # None: the latest block, final there
        return self._chain.node.transaction_count(self._signer.address, number) > transaction.nonce


def _sent(writer: OutboxWriter, transaction: SentTransaction) -> SentTransaction:
    """Mark a signed transaction as sent.

    Only when its outcome is stored, not when it is sent: so engines that mine at once need one database transaction
    instead of two.
    """
    return writer.mark_sent(transaction.id) if transaction.state is OutboxState.SIGNED else transaction
