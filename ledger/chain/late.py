"""A chain whose node does not answer yet."""

from __future__ import annotations

from typing import Any

from millmark.ledger.chain.chain import Chain
from millmark.ledger.chain.deployment import Deployment
from millmark.ledger.chain.node import Node
from millmark.ledger.chain.profiles import EngineProfile
from millmark.ledger.errors import ChainUnreachableError

__all__ = ["LateChain", "connect_or_wait"]


class LateChain(Chain):
    """Connects, with all that is verified then, when its node is first needed; until that succeeds, whatever needs the
    node raises what connecting does. What the deployment says is there from the beginning."""

    def __init__(self, node: Node, profile: EngineProfile, deployment: Deployment) -> None:
        # Not the parent's, which asks the node. `node` is missing too, so that no method works without connecting.
        self._connecting = (node, profile, deployment)
        self.profile, self.deployment = profile, deployment
        self.chain_id, self.ledger_id = deployment.chain_id, deployment.ledger_id
        self.registry, self.ledger, self.forwarder = deployment.registry, deployment.ledger, deployment.forwarder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_connecting":
            raise AttributeError(name)
        connected = vars(Chain(*self._connecting))
        if name not in connected:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self).update(connected)
        return connected[name]


def connect_or_wait(node: Node, profile: EngineProfile, deployment: Deployment) -> Chain:
    """The chain; if its node does not answer or is in sync only in part, one that connects when it is needed.

    Raises WrongChainError and WrongContractError as `Chain` does.
    """
    try:
        return Chain(node, profile, deployment)
    except ChainUnreachableError:
        return LateChain(node, profile, deployment)
