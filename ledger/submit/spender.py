"""Finds the transaction that used a nonce, in a block whose transactions and receipts have the header's roots.

That a node shows no receipt proves nothing: it may be behind the one that counted the nonce. So a record must not go
out under another nonce before the transaction that used the first one is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.chain import BlockTransaction, Node, Receipt
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.store.outbox import SentTransaction, Version

__all__ = ["Spender", "find_spender", "version_of"]


@dataclass(frozen=True, slots=True)
class Spender:
    """The transaction that used a nonce, and its receipt."""

    transaction: BlockTransaction
    receipt: Receipt


def find_spender(node: Node, key: bytes, nonce: int, last: int) -> Spender | None:
    """Return the transaction of `key` with this nonce in a block up to `last`; None if the node shows none.

    Raises ChainError, also if the node no longer has the state of the blocks in question.
    """
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
