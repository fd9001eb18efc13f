"""How a node answers a transaction that is sent to it."""

from __future__ import annotations

import enum

from ledger.chain.transport import RpcError
from ledger.errors import ChainError, FundsError

__all__ = ["Reception", "read_refusal"]


class Reception(enum.Enum):
    """How a node answers a transaction."""

    TAKEN = "taken"
    """It has the transaction, or the nonce is used, possibly by this transaction. The receipt tells."""
    UNDERPRICED = "underpriced"
    """The fees are too low, or too low to replace another transaction with the nonce."""
    GAPPED = "gapped"
    """Transactions with lower nonces are missing."""
    FULL = "full"
    """The node keeps no more pending transactions, of this sender or at all, or none so far ahead."""
    OVERSIZED = "oversized"
    """Its gas limit is above that of a block: no block can have it, until the validators raise that limit."""


_RECEPTIONS = {
    Reception.UNDERPRICED: (
        "underpriced",
        "fee too low",
        "gas price too low",
        "gas price below",
        "fee cap less than block base fee",
    ),
    Reception.FULL: (
        "too distant",
        "pool is full",
        "pool is overflowed",
        "pool limit exceeded",
        "account limit exceeded",
        "exceeds the sender limit",
        "future transaction tries to replace pending",
    ),
    Reception.GAPPED: ("nonce too high", "nonce too far", "exceeds next nonce", "nonce gap"),
    Reception.OVERSIZED: ("exceeds block gas limit", "greater than the block's gas limit"),
    Reception.TAKEN: (
        "already known",
        "alreadyknown",
        "known transaction",
        "already imported",
        "transaction already exists",
        "nonce too low",
        "oldnonce",
    ),
}
"""Messages of Geth, Besu, Nethermind, Erigon, anvil and eth-tester, in lower case; the first match counts."""
_FUNDS = ("insufficient funds", "upfront cost exceeds", "enough balance")


def read_refusal(error: RpcError) -> Reception:
    """Read why a node did not take a transaction. Raises FundsError if its key cannot pay for it, ChainError if the
    node refuses it for good."""
    # By the text: engines use the same JSON-RPC code for all of these refusals.
    message = error.message.lower()
    for reception, words in _RECEPTIONS.items():
        if any(known in message for known in words) and "unknown transaction" not in message:
            return reception
    refusal = f"the node refuses the transaction: {error.message}"
    if any(known in message for known in _FUNDS):
        raise FundsError(refusal, hint="fund the key: `millmark keys fund`; the records wait, and nothing was lost")
    raise ChainError(refusal)
