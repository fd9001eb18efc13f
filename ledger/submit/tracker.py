"""Follows the transactions of one key until they are final: in blocks, out of them again, or never in one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from millmark.ledger.chain import BlockTransaction, Chain, Node, Receipt, Sight
from millmark.ledger.errors import ChainError, ChainUnreachableError
from millmark.ledger.events import Header
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction, Version
from millmark.ledger.store.outbox_writer import FoundTransaction, OutboxWriter
from millmark.ledger.submit.batches import Batches, read_sequences
from millmark.ledger.submit.sender import Report, Sender, versions_of

# Whether a block is final on the chain that the node shows, and not just by the number of its latest block.
#
# Behind one address there may be several nodes, one of which is cut off and on a fork. Then a receipt may be of a block
# on the fork, and the latest block of another node, so far above it that the fork's block seems to be final.


def find_settled(chain: Chain, blocks: Collection[tuple[int, bytes]], sight: Sight) -> set[bytes]:
    """The hashes of those blocks, given by number and hash, that are final by `sight`, and have on top of them as many
    others as that takes, each naming the one below by its hash.

    All in one question. A header that the node fails to show makes none of the blocks below it final.
    """
    depth = sight.head.number - sight.final
    candidates = {(number, block_hash) for number, block_hash in blocks if number <= sight.final}
    if depth == 0 or not candidates:
        return {block_hash for _, block_hash in candidates}
    numbers = sorted({above for number, _ in candidates for above in range(number + 1, number + depth + 1)})
    headers = dict(zip(numbers, chain.node.find_headers(numbers), strict=True))
    return {block_hash for number, block_hash in candidates if _is_settled(number, block_hash, depth, headers)}


def _is_settled(number: int, block_hash: bytes, depth: int, headers: Mapping[int, Header | ChainError | None]) -> bool:
    below = block_hash
    for above in range(number + 1, number + depth + 1):
        header = headers[above]
        if not isinstance(header, Header) or header.parent_hash != below:
            return False
        below = header.hash
    return True


# Finds the transaction that used a nonce, in a block whose transactions and receipts have the header's roots.
#
# That a node shows no receipt proves nothing: it may be behind the one that counted the nonce. So a record must not go
# out under another nonce before the transaction that used the first one is known.


@dataclass(frozen=True, slots=True)
class Spender:
    """The transaction that used a nonce, and its receipt."""

    transaction: BlockTransaction
    receipt: Receipt


def find_spender(node: Node, key: bytes, nonce: int, last: int) -> Spender | None:
    """Return the transaction of `key` with this nonce in a block up to `last`; None if the node shows none. Raises
    ChainError, also if the node no longer has the state of the blocks in question."""
    number = _find_block(node, key, nonce, last)
    if number is None:
        return None
    header, transactions = node.transactions(number)
    for place, transaction in enumerate(transactions):
        if transaction.nonce == nonce and transaction.sender == key:
            receipts = node.receipts(header)
            if len(receipts) != len(transactions) or receipts[place].transaction_hash != transaction.hash:
                raise ChainUnreachableError(
                    f"the receipts of block {number} are not those of its transactions", hint="try again"
                )
            return Spender(transaction, receipts[place])
    return None


def version_of(transaction: SentTransaction, spender: Spender) -> bool | None:
    """Whether the spender is a version of the transaction without records (True) or with them (False); None if it is
    another transaction."""
    found = spender.transaction
    for version in (Version(transaction.hash or b"", transaction.noop), *transaction.replaced):
        if version.hash == found.hash:
            return version.noop
    # The same call under another hash made the same records: a version that a restored database does not know.
    is_same_call = (found.to, found.data) == (transaction.recipient, transaction.data)
    return False if is_same_call and transaction.records else None


def _find_block(node: Node, key: bytes, nonce: int, last: int) -> int | None:
    """The block up to `last` after which the nonce was used first, by the node's counts; None if it was not used."""
    if last < 0 or node.transaction_count(key, last) <= nonce:
        return None
    # Backwards in growing steps, since most nodes keep only the states of the latest blocks.
    unused, used, step = -1, last, 1
    while used > 0:
        number = max(last - step, 0)
        if node.transaction_count(key, number) <= nonce:
            unused = number
            break
        used, step = number, step * 2
    while used - unused > 1:
        middle = (unused + used) // 2
        if node.transaction_count(key, middle) <= nonce:
            unused = middle
        else:
            used = middle
    return used


_EXPLAINED = 4
"""Nonces in a step for which the transactions that used them are looked for, by some ten requests each."""
_GROUP = 20
"""Transactions whose outcomes are stored at once: other writers of the database wait meanwhile."""
_Found = tuple[Receipt, bool]
"""Receipt of the version that is in a block, and whether that version is a transfer without records."""


class Tracker:
    """Stores what becomes of the transactions of one key.

    `receipt_s`: how long the receipt may be missing once the nonce is used; then the transaction that used it is looked
    for, each time after as long again.
    """

    def __init__(
        self, chain: Chain, key: bytes, batches: Batches, sender: Sender, receipt_s: float, report: Report
    ) -> None:
        self._chain = chain
        self._key = key
        self._batches = batches
        self._sender = sender
        self._receipt_s = receipt_s
        self._report = report
        self._missing_since: dict[int, float] = {}
        self._seen_at: dict[int, bytes] = {}
        """The head at which a mined transaction was last seen in its block, by transaction id."""
        self._unexplained: dict[int, ChainUnreachableError] = {}
        """By transaction id: its nonce is used, and the node does not show by what."""
        self._failure: ChainError | None = None
        self._unsettled: set[int] = set()
        """Ids of transactions of which this step learned no outcome, although their nonces are used."""
        self._settled: set[bytes] = set()
        """Hashes of the blocks that this step found to be final."""
        self._made: list[FoundTransaction] = []
        """What is stored at the end of the database transaction that is open now."""
        self._told: list[tuple[str, SentTransaction, str | None]] = []
        """Reports of what is stored with the database transaction that is open now."""

    @property
    def trouble(self) -> ChainError | None:
        """Why the outcome of a transaction is not known, in this step; None if there is no such transaction."""
        return self._failure or next(iter(self._unexplained.values()), None)

    @property
    def unsettled(self) -> int:
        """Number of transactions of which this step learned no outcome, although their nonces are used. They count as
        pending: however long receipts stay away, no more transactions are open than are pending otherwise."""
        return len(self._unsettled)

    def begin(self, transactions: Iterable[SentTransaction]) -> None:
        """Begin a step. Forget all transactions but these, which are open: another submitter may have settled the
        others meanwhile."""
        self._failure = None
        self._unsettled = set()
        ids = {transaction.id for transaction in transactions}
        self._missing_since = {each: since for each, since in self._missing_since.items() if each in ids}
        self._seen_at = {each: head for each, head in self._seen_at.items() if each in ids}
        self._unexplained = {each: error for each, error in self._unexplained.items() if each in ids}

    def settle(
        self, writer: OutboxWriter, transactions: Sequence[SentTransaction], sight: Sight
    ) -> list[SentTransaction]:
        """Store the outcomes of signed transactions, as far as the chain has them.

        A receipt counts only if its logs are the expected events, and as final only if its block is. Returns the
        transactions whose nonces the node has not seen in a block: they may be sent.
        """
        mined = [one for one in transactions if one.state is OutboxState.MINED]
        unmined = [one for one in transactions if one.state is not OutboxState.MINED]
        self._settled = set()
        final, moved = self._look_at_mined(mined, sight)
        self._look_above([(one.block_number or 0, one.block_hash or b"") for one in final], sight)
        self._store_each(writer, final, lambda one: self._settle_final(writer, one, one.block_hash))
        # The nonces were counted before the receipts are asked for: a block in between makes none of them missing.
        counted = [one for one in unmined if one.nonce < sight.count]
        others = [one for one in unmined if one.nonce >= sight.count]
        asked = [*moved, *counted, *(one for one in others if self._sender.may_be_mined(one))]
        found = self._find_receipts(asked)
        self._unsettled |= {one.id for one in (*moved, *counted)}
        settled = {number: one for number, one in found.items() if one is not None}
        self._look_above([(receipt.block_number, receipt.block_hash) for receipt, _ in settled.values()], sight)
        self._store_each(
            writer,
            [one for one in asked if one.id in settled],
            lambda one: self._settle_found(writer, one, *settled[one.id]),
        )
        missing = [one for one in (*moved, *counted) if one.id in found and found[one.id] is None]
        self._settle_missing(writer, missing, sight)
        return [one for one in others if found.get(one.id) is None]

    def _store_each(
        self, writer: OutboxWriter, transactions: Sequence[SentTransaction], store: Callable[[SentTransaction], object]
    ) -> None:
        """Store several outcomes in one database transaction, then report them."""
        for start in range(0, len(transactions), _GROUP):
            self._told, self._made = [], []
            with writer.together():
                for transaction in transactions[start : start + _GROUP]:
                    store(transaction)
                if self._made:
                    writer.settle(self._made)
            for event, transaction, reason in self._told:
                self._report(event, transaction, reason)

    def _tell(self, event: str, transaction: SentTransaction, reason: str | None = None) -> None:
        self._told.append((event, transaction, reason))

    # Looking

    def _look_at_mined(
        self, mined: Sequence[SentTransaction], sight: Sight
    ) -> tuple[list[SentTransaction], list[SentTransaction]]:
        """Those of the mined transactions that are final now, and those whose block is not on the chain any more. A
        block of the same hash has the same transactions. So one question a block suffices, once for each head."""
        unseen = [one for one in mined if self._seen_at.get(one.id) != sight.head.hash]
        numbers = sorted({one.block_number for one in unseen if one.block_number is not None})
        headers = dict(zip(numbers, self._chain.node.find_headers(numbers), strict=True)) if numbers else {}
        final, moved = [], []
        for transaction in unseen:
            header = headers.get(transaction.block_number or 0)
            if isinstance(header, ChainError):
                self._failure = self._failure or header
            elif header is None or header.hash != transaction.block_hash:
                moved.append(transaction)
            elif header.number <= sight.final:
                final.append(transaction)
            else:
                self._seen_at[transaction.id] = sight.head.hash
        return final, moved

    def _look_above(self, blocks: Sequence[tuple[int, bytes]], sight: Sight) -> None:
        """Find out which of the blocks are final: before their transactions are stored, since that takes requests."""
        self._settled |= find_settled(self._chain, blocks, sight)

    def _find_receipts(self, transactions: Sequence[SentTransaction]) -> dict[int, _Found | None]:
        """What the node shows of each transaction, by its id; nothing of those for which it failed."""
        asked = [(one.id, version) for one in transactions for version in versions_of(one)]
        answers = self._chain.node.find_receipts([version.hash for _, version in asked]) if asked else []
        found: dict[int, _Found | None] = {}
        failed = set()
        for (number, version), answer in zip(asked, answers, strict=True):
            if isinstance(answer, ChainError):
                self._failure = self._failure or answer
                failed.add(number)
            elif answer is None:
                found.setdefault(number, None)
            else:
                found[number] = found.get(number) or (answer, version.noop)
        return {number: one for number, one in found.items() if one is not None or number not in failed}

    # Settling what is in a block

    def _settle_found(self, writer: OutboxWriter, transaction: SentTransaction, receipt: Receipt, noop: bool) -> None:
        self._missing_since.pop(transaction.id, None)
        self._unexplained.pop(transaction.id, None)
        try:
            sequences = None if noop else read_sequences(self._chain, transaction, receipt)
        except ChainError as error:
            _sent(writer, transaction)  # it is in a block, so it was sent, whatever its logs are
            self._failure = self._failure or error
            self._unsettled.add(transaction.id)
            return
        self._unsettled.discard(transaction.id)
        if sequences is None:
            self._settle_without(writer, _sent(writer, transaction), receipt, noop)
        elif transaction.state is not OutboxState.MINED:
            self._settle_made(transaction, receipt, sequences)
        elif receipt.block_hash != transaction.block_hash:
            # In another block now, perhaps with other sequences: the next step stores it as mined there.
            writer.mark_reorganised(transaction.id)
            self._tell("reorganised", transaction)
        else:
            self._settle_final(writer, transaction, receipt.block_hash)

    def _settle_made(self, transaction: SentTransaction, receipt: Receipt, sequences: Sequence[int]) -> None:
        is_final = receipt.block_hash in self._settled
        self._made.append(
            FoundTransaction(
                transaction, receipt.block_number, receipt.block_hash, receipt.gas_used, sequences, is_final
            )
        )
        self._tell("final" if is_final else "mined", transaction)

    def _settle_final(self, writer: OutboxWriter, transaction: SentTransaction, block_hash: bytes | None) -> None:
        if block_hash in self._settled:
            writer.mark_final(transaction.id)
            self._tell("final", transaction)

    def _settle_without(self, writer: OutboxWriter, transaction: SentTransaction, receipt: Receipt, noop: bool) -> None:
        """Queue the records of a transaction again that was mined without making them, once its block is final.
        Earlier, a reorganisation could still bring a version that makes them, and they would be recorded twice."""
        if transaction.state is OutboxState.MINED:
            writer.mark_reorganised(transaction.id)
            self._tell("reorganised", transaction)
        elif receipt.block_hash in self._settled:
            self._tell("returned", transaction, "mined without its records")
            if noop:
                writer.mark_replaced(transaction.id, receipt.block_number, receipt.block_hash)
            else:
                writer.requeue(transaction.id, "mined without its records")
                self._batches.note_reverted(writer, transaction.records)

    # Settling what is in no block

    def _settle_missing(self, writer: OutboxWriter, transactions: Sequence[SentTransaction], sight: Sight) -> None:
        """Handle missing receipts: once the nonce has been used for some time, find out which transaction used it.

        A node may count a nonce before it has the receipt, and nodes behind one address may be at different blocks.
        However long the receipt stays away, the records could be in a block: sent again, they would be recorded twice.
        """
        if not transactions:
            return
        self._store_each(writer, transactions, lambda one: self._note_missing(writer, one))
        used, now, due = self._count_final(sight), time.monotonic(), list[SentTransaction]()
        for transaction in transactions:
            if transaction.state is OutboxState.MINED:
                continue
            if transaction.nonce >= used:
                self._missing_since.pop(transaction.id, None)
                self._unexplained.pop(transaction.id, None)
            elif now - self._missing_since.setdefault(transaction.id, now) >= self._receipt_s:
                due.append(transaction)
        # Those first that were not looked for the longest, so that all have their turn.
        due.sort(key=lambda one: self._missing_since[one.id])
        for transaction in due[:_EXPLAINED]:
            self._missing_since[transaction.id] = time.monotonic()
            self._explain(writer, replace(transaction, state=OutboxState.SENT))

    def _note_missing(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        if transaction.state is OutboxState.MINED:
            writer.mark_reorganised(transaction.id)
            self._sender.forget(transaction)
            self._tell("reorganised", transaction)
        else:
            _sent(writer, transaction)

    def _count_final(self, sight: Sight) -> int:
        """Number of nonces that the key used in final blocks."""
        if sight.final < 0:
            return 0
        number = None if self._chain.profile.finality_depth == 0 else sight.final  # None: the latest, final there
        return self._chain.node.transaction_count(self._key, number)

    def _explain(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        """Settle a transaction whose nonce is used by the transaction that used it, if the node shows which one."""
        sight = self._chain.look(self._key)
        try:
            spender = find_spender(self._chain.node, self._key, transaction.nonce, sight.final)
            reason = "the node shows no transaction that used it"
            if spender is not None:
                self._look_above([(spender.receipt.block_number, spender.receipt.block_hash)], sight)
                if spender.receipt.block_hash not in self._settled:
                    spender, reason = None, "the block that used it is not final on the chain that the node shows"
        except ChainError as error:
            spender, reason = None, error.cause
        if spender is None:
            self._unexplained[transaction.id] = ChainUnreachableError(
                f"nonce {transaction.nonce} of 0x{self._key.hex()} is used, and its records wait: {reason}",
                hint="use a node that is in sync and keeps the states and receipts of its latest blocks",
            )
        elif (noop := version_of(transaction, spender)) is not None:
            self._store_each(writer, [transaction], lambda one: self._settle_found(writer, one, spender.receipt, noop))
        else:
            reason = f"its nonce was used by transaction 0x{spender.transaction.hash.hex()}"
            writer.requeue(transaction.id, reason)
            self._unsettled.discard(transaction.id)
            self._report("returned", transaction, reason)
            self._missing_since.pop(transaction.id, None)
            self._unexplained.pop(transaction.id, None)


def _sent(writer: OutboxWriter, transaction: SentTransaction) -> SentTransaction:
    """Mark a signed transaction as sent."""
    if transaction.state is not OutboxState.SIGNED:
        return transaction
    writer.mark_sent(transaction.id)
    return replace(transaction, state=OutboxState.SENT)
