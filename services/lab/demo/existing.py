"""A chain that the demonstration finds, instead of starting one: a real network, of any engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.chain import Chain, EngineProfile, HttpTransport, Node, first_fees, send_values
from millmark.ledger.chain.deploying import DEPLOY_GAS
from millmark.ledger.errors import FundsError
from millmark.ledger.signatures import Signer
from millmark.ledger.submit.submitter import GAS_PER_RECORD

__all__ = ["ExistingChain", "pass_time"]

_RECORDS = 5000
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class ExistingChain:
    """Where the chain is, and who pays there."""

    url: str
    profile: EngineProfile
    treasury: Signer | None = None
    """A key with funds, on a network with fees."""

    def node(self) -> Node:
        return Node(HttpTransport(self.url))

    def endow(self, keys: Sequence[bytes], *, deploys: bool = False) -> None:
        """Give keys what they need for the demonstration, and for the contracts if one of them deploys. Does nothing on
        a network without fees. Raises FundsError, ChainError."""
        node = self.node()
        fees = first_fees(node, self.profile)
        if fees.max_fee_wei == 0:
            return
        if self.treasury is None:
            raise FundsError("this network takes fees", hint="name a key that has funds: --treasury keystore:FILE")
        gas = _RECORDS * GAS_PER_RECORD + (DEPLOY_GAS if deploys else 0)
        send_values(node, self.profile, self.treasury, [(key, gas * fees.max_fee_wei) for key in keys])


def pass_time(chain: Chain, until_s: int) -> None:
    """Return when the latest final block is at this Unix time or later: at once where the engine can be told to, else
    by waiting for it."""
    while (left_s := until_s - chain.header(chain.final_number()).timestamp) > 0:
        if chain.profile.timed_blocks:
            time.sleep(_PAUSE_S)
        else:
            chain.node.wait(left_s)  # of the clock, which blocks may be ahead of: then not for the last time
