"""Fees of transactions, according to the engine profile (ledger.chain.profiles)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.chain import Chain, fee_per_gas_wei

__all__ = ["Fees", "first_fees", "raised_fees"]


@dataclass(frozen=True, slots=True)
class Fees:
    """The fees of a transaction, both per gas (EIP-1559)."""

    max_fee_wei: int
    priority_fee_wei: int


def first_fees(chain: Chain) -> Fees:
    """Return the fees for a new transaction now."""
    return Fees(fee_per_gas_wei(chain.node, chain.profile), chain.profile.priority_fee_wei)


def raised_fees(chain: Chain, before: Fees) -> Fees:
    """Return the fees for replacing a transaction: both raised by `bump_percent`, and at least those of a new one.

    Returns `before` on engines where transactions cannot be replaced.
    """
    percent = chain.profile.bump_percent
    if percent == 0:
        return before
    now = first_fees(chain)
    return Fees(
        max(_raised(before.max_fee_wei, percent), now.max_fee_wei),
        max(_raised(before.priority_fee_wei, percent), now.priority_fee_wei),
    )


def _raised(wei: int, percent: int) -> int:
    # Rounded up: engines refuse a replacement that is one wei below their minimum.
    return -(-wei * (100 + percent) // 100)
