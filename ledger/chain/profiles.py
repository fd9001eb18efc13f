"""Engine profiles: all differences between blockchain engines. No other code depends on which engine a chain runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from millmark.ledger.errors import SettingsError

__all__ = ["PROFILES", "EngineProfile", "find_profile"]


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """The properties of an engine."""

    name: str
    finality_depth: int
    """Number of later blocks after which a block counts as final; 0 if blocks are final at once."""
    depth_by_signers: bool
    """Whether that number follows from the number of signers where the node tells it, as with Clique (EIP-225)."""
    fee_headroom_percent: int
    """Margin of the maximum fee over the current base fee, in which the base fee may rise before it is too low."""
    priority_fee_wei: int
    """Fee for the block's producer, per gas. Where the base fee is 0, none is offered."""
    gas_headroom_percent: int
    """Margin of the gas limit over the estimate: after earlier batches, a batch may fill more empty slots than it did
    in the estimate."""
    fixed_gas_limit: int | None
    """Gas limit of every transaction, on engines where estimating costs more than it saves; None to estimate."""
    bump_percent: int
    """Increase of both fees when a pending transaction is replaced: the engines' minimum. 0 if only
    the same bytes are ever sent again. On a network without fees, nothing is outbid either."""
    faucet: bool
    """Whether keys can be funded through the node, as on development engines."""
    timed_blocks: bool
    """Whether blocks come by themselves, also without transactions. If so, a refusal is final only when it is repeated
    on a later block, and a chain without new blocks is an alarm."""


_GETH_TIP_WEI = 1_000_000_000
"""What Geth and its descendants ask of transactions from other nodes, unless `--miner.gasprice` says otherwise, where 0
counts as nothing said. One that offers less waits until the node that it was sent to has its turn."""
_EMBEDDED = EngineProfile(
    name="embedded",
    finality_depth=0,
    depth_by_signers=False,
    fee_headroom_percent=100,
    priority_fee_wei=1,
    gas_headroom_percent=20,
    fixed_gas_limit=30_000_000,
    bump_percent=10,
    faucet=True,
    timed_blocks=False,
)
_QBFT = EngineProfile(
    name="besu-qbft",
    finality_depth=0,
    depth_by_signers=False,
    fee_headroom_percent=100,
    priority_fee_wei=0,
    gas_headroom_percent=20,
    fixed_gas_limit=None,
    bump_percent=10,
    faucet=False,
    timed_blocks=True,
)
_CLIQUE = replace(
    _QBFT,
    name="clique",
    finality_depth=12,
    depth_by_signers=True,
    priority_fee_wei=_GETH_TIP_WEI,
)
PROFILES = {
    profile.name: profile
    for profile in (
        _EMBEDDED,
        replace(_EMBEDDED, name="anvil", fixed_gas_limit=None),
        _QBFT,
        replace(_QBFT, name="qbft", priority_fee_wei=_GETH_TIP_WEI),
        _CLIQUE,
    )
}
"""By name. `besu-qbft` is for Besu, `qbft` for other programs with its headers and seals: electroneum-sc, GoQuorum."""


def find_profile(name: str) -> EngineProfile:
    """Return the profile of an engine. Raises SettingsError if there is none with that name."""
    if name not in PROFILES:
        raise SettingsError(f"the engine profile {name!r} does not exist", hint=f"use one of {', '.join(PROFILES)}")
    return PROFILES[name]
