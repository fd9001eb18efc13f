"""Engine profiles: all that differs between chains. Nothing else in the code asks which engine it is on."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import SettingsError

__all__ = ["PROFILES", "EngineProfile", "find_profile"]


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """What an engine promises and asks for."""

    name: str
    finality_depth: int
    """Blocks on top of one before it counts as final; 0 where a block is final at once."""
    fee_headroom_percent: int
    """Offered fee per gas over the present base fee; bounds how long a transaction stays acceptable."""
    priority_fee_wei: int
    """Offered to the block's producer, per gas. 0 with `fee_headroom_percent` on a zero base fee makes it free."""
    gas_headroom_percent: int
    """Gas limit over the estimate: a batch behind other batches may find more slots empty than the estimate did."""
    fixed_gas_limit: int | None
    """Gas limit of every transaction, where estimating costs more than it saves; None to estimate."""
    seals_outside_hash: bool
    """Whether a block's hash leaves out the seals and the round in its `extraData`, as QBFT's does."""
    bump_percent: int
    """By how much an offer that waits is raised, in both of its parts: what the engine's pools ask of a replacement. 0
    where they take none, as on a network without fees: then the same bytes are sent again, and nothing else."""
    faucet: bool
    """Whether the node gives money to new keys: development engines only."""


PROFILES = {
    profile.name: profile
    for profile in (
        EngineProfile("embedded", 0, 100, 1, 20, 30_000_000, bump_percent=10, seals_outside_hash=False, faucet=True),
        EngineProfile("anvil", 0, 100, 1, 20, None, bump_percent=10, seals_outside_hash=False, faucet=True),
        EngineProfile("besu-qbft", 0, 100, 0, 20, None, bump_percent=0, seals_outside_hash=True, faucet=False),
        EngineProfile(
            "clique", 12, 100, 1_000_000_000, 20, None, bump_percent=10, seals_outside_hash=False, faucet=False
        ),
    )
}


def find_profile(name: str) -> EngineProfile:
    """Raises SettingsError when there is no such profile."""
    if name not in PROFILES:
        raise SettingsError(f"there is no engine profile {name!r}", hint=f"use one of {', '.join(PROFILES)}")
    return PROFILES[name]
