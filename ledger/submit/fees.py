"""What is offered for a transaction, by the engine's fee policy (ledger.chain.profiles)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.chain import Chain, fee_per_gas_wei

__all__ = ["Fees", "first_fees", "raised_fees"]


@dataclass(frozen=True, slots=True)
class Fees:
    """Per gas, both (EIP-1559)."""

    max_fee_wei: int
    priority_fee_wei: int


def first_fees(chain: Chain) -> Fees:
    return Fees(fee_per_gas_wei(chain.node, chain.profile), chain.profile.priority_fee_wei)


def raised_fees(chain: Chain, before: Fees) -> Fees:
    """What replaces fees: more of both by the profile's share, and no less than the first fees now. The same one
    where the engine takes no replacements."""
    percent = chain.profile.bump_percent
    if percent == 0:
        return before
    now = first_fees(chain)
    return Fees(
        max(_raised(before.max_fee_wei, percent), now.max_fee_wei),
        max(_raised(before.priority_fee_wei, percent), now.priority_fee_wei),
    )


def _raised(wei: int, percent: int) -> int:
    """Rounded up: one wei too little is underpriced."""
    return -(-wei * (100 + percent) // 100)
