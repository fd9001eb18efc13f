"""What is offered for a transaction, by the engine's fee policy (ledger.chain.profiles)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.chain import Chain, fee_per_gas_wei

__all__ = ["Offer", "first_offer", "raised_offer"]


@dataclass(frozen=True, slots=True)
class Offer:
    """Per gas, both (EIP-1559)."""

    max_fee_wei: int
    priority_fee_wei: int


def first_offer(chain: Chain) -> Offer:
    return Offer(fee_per_gas_wei(chain.node, chain.profile), chain.profile.priority_fee_wei)


def raised_offer(chain: Chain, before: Offer) -> Offer:
    """What replaces an offer: more of both by the profile's share, and no less than a first offer now. The same one
    where the engine takes no replacements."""
    percent = chain.profile.bump_percent
    if percent == 0:
        return before
    now = first_offer(chain)
    return Offer(
        max(_raised(before.max_fee_wei, percent), now.max_fee_wei),
        max(_raised(before.priority_fee_wei, percent), now.priority_fee_wei),
    )


def _raised(wei: int, percent: int) -> int:
    """Rounded up: one wei too little is underpriced."""
    return -(-wei * (100 + percent) // 100)
