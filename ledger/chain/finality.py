"""When a block is final: at once, or after as many blocks as the engine profile or the number of signers asks for.

With Clique (EIP-225), a signer may seal one of any m + 1 blocks in a row, m = floor(n/2). So a side of the network that
is cut off, with at most m signers, makes at most m blocks. But nodes prefer the heavier fork, and geth the shorter one
of two that weigh the same; a block by the signer whose turn it was weighs two, any other one. So m blocks can weigh as
much as 2m of the other side, and undo them when the network heals; those signers that hear of it last, at most m, may
have made m more by then. A block with 3m on top stays. tests/unit/ledger/test_chain_finality.py searches all forks of
up to seven signers: for three, five and seven no smaller depth holds. Four blocks of five signers that two undid were
seen in a trial.

Not established: anything about networks that are cut anew while they heal, about signers that lost their data, or about
signers that lie, each of which can seal on every fork. For those, take an engine whose validators seal blocks for good
(QBFT).
"""

from __future__ import annotations

from millmark.ledger.chain.node import Node
from millmark.ledger.chain.profiles import EngineProfile

__all__ = ["FinalityDepth", "depth_of"]

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
