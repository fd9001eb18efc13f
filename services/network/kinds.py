"""The node programs that Millmark can run a network of, and how many validators may fail on each.

A block of QBFT needs the seals of ceil(2n/3) of n validators and is final with them. Clique needs floor(n/2)+1 signers
that run, because a signer that sealed a block has to let floor(n/2) others go first (EIP-225). With exactly that many,
each block has one signer that may make it: when two made the block before at the same time, the one that is needed may
have made the other of the two, and the chain stands still until one more signer runs (seen with three of five).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from millmark.services.network.errors import NodeProgramError

__all__ = ["KINDS", "Consensus", "Kind", "find_kind"]


class Consensus(enum.Enum):
    """How validators agree on blocks."""

    CLIQUE = "clique"
    QBFT = "qbft"

    def quorum(self, validators: int) -> int:
        """Number of validators without which no block comes."""
        return validators // 2 + 1 if self is Consensus.CLIQUE else -(-2 * validators // 3)

    def may_stop(self, validators: int) -> int:
        """Number of validators that may be down while blocks can still come."""
        return validators - self.quorum(validators)

    def tolerates(self, validators: int) -> int:
        """Number of validators that may be down while blocks are sure to come."""
        may_stop = self.may_stop(validators)
        return max(may_stop - 1, 0) if self is Consensus.CLIQUE else may_stop

    def may_lie(self, validators: int) -> int:
        """Number of validators that may act against the rules without two different final blocks of one height: with
        Clique none, for a block has one signer."""
        return 0 if self is Consensus.CLIQUE else (validators - 1) // 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A node program. All differences between the programs but their genesis, flags and files are here."""

    name: str
    consensus: Consensus
    engine: str
    """Name of the engine profile (`millmark.ledger.chain`) of a network of this program."""
    commands: tuple[str, ...]
    """Names that its executable usually has."""
    is_production: bool
    """Whether companies should run a network of it. The others are for trials and tests: see PRODUCTION.md."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("besu", Consensus.QBFT, "besu-qbft", ("besu",), is_production=True),
        Kind("geth", Consensus.CLIQUE, "clique", ("geth",), is_production=False),
        Kind("goquorum", Consensus.QBFT, "qbft", ("geth", "quorum"), is_production=False),
        Kind("electroneum-sc", Consensus.QBFT, "qbft", ("etn-sc",), is_production=False),
    )
}


def find_kind(name: str) -> Kind:
    """The kind of that name. Raises NodeProgramError if there is none."""
    if name not in KINDS:
        raise NodeProgramError(f"there is no node program {name[:40]!a}", hint=f"use one of {', '.join(KINDS)}")
    return KINDS[name]
