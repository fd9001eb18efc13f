"""What a transaction offers for its gas, according to the engine profile and the chain's latest block."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.chain.node import Node
from millmark.ledger.chain.profiles import EngineProfile

__all__ = ["Fees", "first_fees", "raised_fees"]


@dataclass(frozen=True, slots=True)
class Fees:
    """The fees of a transaction, both per gas (EIP-1559)."""

    max_fee_wei: int
    priority_fee_wei: int
    legacy: bool = False
    """Whether it is of the type from before EIP-1559, with a single price: `max_fee_wei`."""


def first_fees(node: Node, profile: EngineProfile) -> Fees:
    """Return the fees for a new transaction now. Raises ChainError."""
    base_fee = node.base_fee_wei()
    if base_fee is None:
        # Only the node knows what its network's blocks ask for: no header has it.
        price = node.gas_price_wei()
        return Fees(price, price, legacy=True)
    # It never falls to 0 by itself: where it is, the network takes no fees at all.
    tip = profile.priority_fee_wei if base_fee else 0
    return Fees(base_fee * (100 + profile.fee_headroom_percent) // 100 + tip, tip)


def raised_fees(node: Node, profile: EngineProfile, before: Fees) -> Fees:
    """Return the fees for replacing a transaction: both raised by `bump_percent`, and at least those of a new one.

    Returns `before` if `bump_percent` is 0, and on networks without fees, where nothing can be outbid. Raises
    ChainError.
    """
    if profile.bump_percent == 0:
        return before
    now = first_fees(node, profile)
    if now.max_fee_wei == 0:
        return before
    return Fees(
        max(_raised(before.max_fee_wei, profile.bump_percent), now.max_fee_wei),
        max(_raised(before.priority_fee_wei, profile.bump_percent), now.priority_fee_wei),
        before.legacy,
    )


def _raised(wei: int, percent: int) -> int:
    # Rounded up, and by at least one wei: engines refuse a replacement that is one wei below their minimum, and Geth
    # one that leaves either fee as it was.
    return max(-(-wei * (100 + percent) // 100), wei + 1)
