"""How a node answers a transaction that is sent to it."""

from __future__ import annotations

import enum

from millmark.ledger.chain.transport import RpcError
from millmark.ledger.errors import ChainError, FeeTooLowError, FundsError, NodeBehindError

__all__ = ["Reception", "fee_too_low", "read_refusal"]


class Reception(enum.Enum):
    """How a node answers a transaction."""

    TAKEN = "taken"
    """It has the transaction, or the nonce is used, possibly by this transaction. The receipt tells."""
    UNDERPRICED = "underpriced"
    """The fees are too low, or too low to replace another transaction with the nonce."""
    BELOW_MINIMUM = "below minimum"
    """The fees are below what the node takes from anybody: nothing but a change of its settings or the fees helps."""
    GAPPED = "gapped"
    """Transactions with lower nonces are missing."""
    FULL = "full"
    """The node keeps no more pending transactions, of this sender or at all, or none so far ahead."""
    OVERSIZED = "oversized"
    """Its gas limit is above that of a block: no block can have it, until the validators raise that limit."""


_RECEPTIONS = {
    Reception.BELOW_MINIMUM: ("below configured minimum", "minimum needed"),
    Reception.UNDERPRICED: (
        "underpriced",
        "fee too low",
        "gas price too low",
        "gas price below",
        "less than block base fee",
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
_SYNCING = ("pool not enabled",)
"""What Besu says, which takes transactions once it is in sync."""


def fee_too_low(max_fee_wei: int) -> FeeTooLowError:
    """The error for a node that takes no transaction at this price per gas (`Reception.BELOW_MINIMUM`)."""
    if max_fee_wei == 0:
        return FeeTooLowError(
            "the chain's base fee is 0, but this node takes no transaction for nothing",
            hint="start it without a minimum price: Besu with --min-gas-price=0; what is to be sent waits",
        )
    return FeeTooLowError(
        f"this node takes no transaction that offers {max_fee_wei} wei per gas or less",
        hint="lower the node's minimum price: Besu's --min-gas-price; what is to be sent waits",
    )


def read_refusal(error: RpcError) -> Reception:
    """Read why a node did not take a transaction. Raises FundsError if its key cannot pay for it, NodeBehindError if
    the node is not in sync yet, ChainError if it refuses it for good."""
    # By the text: engines use the same JSON-RPC code for all of these refusals.
    message = error.message.lower()
    for reception, words in _RECEPTIONS.items():
        if any(known in message for known in words) and "unknown transaction" not in message:
            return reception
    refusal = f"the node refuses the transaction: {error.message}"
    if any(known in message for known in _FUNDS):
        raise FundsError(refusal, hint="fund the key: `millmark keys fund`; the records wait, and nothing was lost")
    if any(known in message for known in _SYNCING):
        raise NodeBehindError(refusal, hint="wait until the node is in sync, and check that it has peers")
    raise ChainError(refusal)
