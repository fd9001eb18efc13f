"""Votes on validators. A node casts its company's vote in the blocks that it proposes, so it must be a validator that
runs; more than half of the validators decide, and votes lapse at the end of an epoch."""

from __future__ import annotations

import enum
from typing import Any

from millmark.ledger.chain import RpcError, Transport
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.signatures import Address
from millmark.services.network.kinds import Consensus, Kind

__all__ = ["Act", "cast_vote"]


class Act(enum.StrEnum):
    """What a company wants its node to vote for."""

    ADD = "add"
    REMOVE = "remove"
    WITHDRAW = "withdraw"
    """Neither. What stands in blocks already counts until the epoch ends, unless the node votes the other way."""


def cast_vote(transport: Transport, kind: Kind, candidate: Address, act: Act) -> None:
    """Tells a node what to vote for. It forgets that when it is restarted. Raises ChainUnreachableError."""
    propose, discard = _methods(kind)
    address = f"0x{candidate.hex()}"
    params: list[Any] = [address] if act is Act.WITHDRAW else [address, act is Act.ADD]
    method = discard if act is Act.WITHDRAW else propose
    try:
        transport.request(method, params)
    except RpcError as error:
        raise ChainUnreachableError(
            f"the node refuses {method}: {error.message}", hint="it must be a validator; see the flags in its start.sh"
        ) from None


def _methods(kind: Kind) -> tuple[str, str]:
    if kind.consensus is Consensus.CLIQUE:
        return "clique_propose", "clique_discard"
    if kind.name == "besu":
        return "qbft_proposeValidatorVote", "qbft_discardValidatorVote"
    return "istanbul_propose", "istanbul_discard"
