"""Engine profiles: all differences between blockchain engines. No other code depends on which engine a chain runs."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import SettingsError

__all__ = ["PROFILES", "EngineProfile", "find_profile"]


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """The properties of an engine."""

    name: str
    finality_depth: int
    """Number of later blocks after which a block counts as final; 0 if blocks are final at once."""
    fee_headroom_percent: int
    """Margin of the maximum fee over the current base fee, in which the base fee may rise before it is too low."""
    priority_fee_wei: int
    """Fee for the block's producer, per gas. With 0 and a base fee of 0, transactions are free."""
    gas_headroom_percent: int
    """Margin of the gas limit over the estimate: after earlier batches, a batch may fill more empty slots than it did
    in the estimate."""
    fixed_gas_limit: int | None
    """Gas limit of every transaction, on engines where estimating costs more than it saves; None to estimate."""
    bump_percent: int
    """Increase of both fees when a pending transaction is replaced: the engines' minimum. 0 where transactions cannot
    be replaced, as on networks without fees; then only the same bytes are sent again."""
    faucet: bool
    """Whether keys can be funded through the node, as on development engines."""
    timed_blocks: bool
    """Whether blocks come by themselves, also without transactions. If so, a refusal is final only when it is repeated
    on a later block, and a chain without new blocks is an alarm."""


PROFILES = {
    profile.name: profile
    for profile in (
        EngineProfile(
            "embedded",
            0,
            100,
            1,
            20,
            30_000_000,
            bump_percent=10,
            faucet=True,
            timed_blocks=False,
        ),
        EngineProfile("anvil", 0, 100, 1, 20, None, bump_percent=10, faucet=True, timed_blocks=False),
        EngineProfile("besu-qbft", 0, 100, 0, 20, None, bump_percent=0, faucet=False, timed_blocks=True),
        EngineProfile(
            "clique",
            12,
            100,
            1_000_000_000,
            20,
            None,
            bump_percent=10,
            faucet=False,
            timed_blocks=True,
        ),
    )
}


def find_profile(name: str) -> EngineProfile:
    """Return the profile of an engine. Raises SettingsError if there is none with that name."""
    if name not in PROFILES:
        raise SettingsError(f"the engine profile {name!r} does not exist", hint=f"use one of {', '.join(PROFILES)}")
    return PROFILES[name]
