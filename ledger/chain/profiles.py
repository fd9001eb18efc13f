"""Engine profiles: all differences between blockchain engines. No other code depends on which engine a chain runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from millmark.ledger.chain.node import Node
from millmark.ledger.errors import SettingsError


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


# What a transaction offers for its gas, according to the engine profile and the chain's latest block.


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


# When a block is final: at once, or after as many blocks as the engine profile or the number of signers asks for.
#
# With Clique (EIP-225), a signer may seal one of any m + 1 blocks in a row, m = floor(n/2). So a side of the network
# that is cut off, with at most m signers, makes at most m blocks. But nodes prefer the heavier fork, and geth the
# shorter one of two that weigh the same; a block by the signer whose turn it was weighs two, any other one. So m blocks
# can weigh as much as 2m of the other side, and undo them when the network heals; those signers that hear of it last,
# at most m, may have made m more by then. A block with 3m on top stays. tests/unit/ledger/test_chain_finality.py
# searches all forks of up to seven signers: for three, five and seven no smaller depth holds. Four blocks of five
# signers that two undid were seen in a trial.
#
# Not established: anything about networks that are cut anew while they heal, about signers that lost their data, or
# about signers that lie, each of which can seal on every fork. For those, take an engine whose validators seal blocks
# for good (QBFT).

_RENEWED = 60
"""Blocks after which the number of signers is asked for again: others may be voted in at any time."""


def depth_of(signers: int) -> int:
    """Number of later blocks after which a block of Clique is final."""
    return max(3 * (signers // 2), 1)


class FinalityDepth:
    """The finality depth of the chain behind one node."""

    def __init__(self, node: Node, profile: EngineProfile) -> None:
        self._node = node
        self._profile = profile
        self._depth = profile.finality_depth
        self._asked_at: int | None = None
        self._is_known = False

    @property
    def last(self) -> int:
        """What `at` returned last; before, the profile's."""
        return self._depth

    def at(self, head: int) -> int:
        """Number of later blocks after which a block is final, at the latest block `head`. Raises ChainError.

        It never falls while this object exists: fewer signers than before may be the view of one side of a cut, and a
        node that does not tell their number may have told it before.
        """
        if not self._profile.depth_by_signers or (self._asked_at is not None and 0 <= head - self._asked_at < _RENEWED):
            return self._depth
        signers = self._node.signer_count()
        if signers is not None:
            found = depth_of(signers)
            self._depth = max(self._depth, found) if self._is_known else found
            self._is_known = True
        self._asked_at = head
        return self._depth
