"""Decides whether a node's state may be acted on: whether it is of the right chain, and not behind what was seen.

A node that is behind answers every question, truthfully, for a moment that has passed. By its state, records seem
refused that the ledger would take, and gas is estimated for other circumstances.
"""

from __future__ import annotations

import time
from typing import Protocol

from millmark.ledger.chain import Chain, Deployment, Head, Sight
from millmark.ledger.errors import ChainUnreachableError, ContractRefusedError, NodeBehindError
from millmark.ledger.store.outbox import Outbox, OutboxChain, QueuedRecord
from millmark.ledger.submit.calls import ChainCalls

__all__ = ["AtOnce", "Lookout", "Refusals", "describe_chain"]

_PATIENCE_S = 5.0
"""Time for which a node may be behind before that is an error: behind one address there may be several nodes, which
are rarely all at the same block."""
_HINT = "check that the node is in sync and has peers; the records wait, and nothing was lost"


class Refusals(Protocol):
    """Decides when the contract's refusal of a record is final."""

    def confirm(
        self, record: QueuedRecord, sender: bytes, refused: ContractRefusedError | None
    ) -> ContractRefusedError | None:
        """Return with what error the contract refuses the record alone after the block that counts, or `refused` where
        none does; None if it accepts it there. Raises ChainError."""

    def note(self, record_id: int) -> None:
        """The contract refused the record after the block that counts."""

    def is_final(self, record_id: int) -> bool:
        """Whether a refusal now is final."""

    def forget(self, record_id: int) -> None:
        """The record failed; it may be resumed later."""

    def forget_all(self) -> None:
        """A record is about to be sent: those that were refused before may have needed it."""


class AtOnce:
    """A refusal is final at once: for relays, which answer for their nodes."""

    def confirm(
        self,
        record: QueuedRecord,  # noqa: ARG002  # the protocol's signature
        sender: bytes,  # noqa: ARG002
        refused: ContractRefusedError | None,
    ) -> ContractRefusedError | None:
        return refused

    def note(self, record_id: int) -> None:
        """Do nothing."""

    def is_final(self, record_id: int) -> bool:  # noqa: ARG002  # the protocol's signature
        return True

    def forget(self, record_id: int) -> None:
        """Do nothing."""

    def forget_all(self) -> None:
        """Do nothing."""


class Lookout:
    """What one submitter knows of its node. Also decides when a refusal is final.

    Where blocks come by themselves, it is final when it is repeated after a later block, both at or above every block
    that outbox and index know, and the block of the first refusal has as many on top as make it final. Each is asked
    for by number: behind one address, the node that answers may not be the one that told the latest block, and what
    its older state refuses may have become possible since. Elsewhere a single refusal is final, since no block follows
    that could change it.
    """

    def __init__(self, chain: Chain, outbox: Outbox) -> None:
        self._chain = chain
        self._outbox = outbox
        self._bound = False
        self._calls = ChainCalls(chain)
        self._head: Head | None = None
        """The latest block, where blocks come by themselves."""
        self._refused_at: dict[int, int] = {}
        """The number of the block after which a record was refused first, by the record's id."""
        self._behind_since: float | None = None
        self.trouble: ChainUnreachableError | None = None
        """Why nothing new is sent; None if the node has been behind for only a moment."""

    def look(self, key: bytes) -> Sight:
        """Look at the chain for the key, and verify that the outbox and the node are for the deployment's ledger.
        Raises WrongChainError, NodeBehindError."""
        if not self._bound:
            self._outbox.bind(describe_chain(self._chain.deployment))
            self._bound = True
        return self._chain.look(key)

    def rest(self) -> None:
        """Nothing waits to be sent any more, so that it does not matter whether the node is behind."""
        self.trouble = self._behind_since = None

    def is_caught_up(self, head: Head) -> bool:
        """Whether new transactions may be decided on the node's latest state, which is at least that of `head`."""
        self.trouble = None
        if not self._chain.profile.timed_blocks:
            return True
        seen = self._outbox.seen_block()
        if head.number >= seen:
            self._head, self._behind_since = head, None
            return True
        now = time.monotonic()
        self._behind_since = now if self._behind_since is None else self._behind_since
        if now - self._behind_since >= _PATIENCE_S:
            self.trouble = NodeBehindError(
                f"the node is behind: its latest block is {head.number}, block {seen} is known", hint=_HINT
            )
        return False

    def confirm(
        self, record: QueuedRecord, sender: bytes, refused: ContractRefusedError | None
    ) -> ContractRefusedError | None:
        return refused if self._head is None else self._calls.find_refusal(record, sender, self._head)

    def note(self, record_id: int) -> None:
        if self._head is not None:
            self._refused_at.setdefault(record_id, self._head.number)

    def is_final(self, record_id: int) -> bool:
        if self._head is None:
            return True
        # In a reorganisation, a record that this one needs may be in no block for a while: its transaction waits in
        # the pool again, and the next block or two may be made without it.
        last = self._head.number - self._chain.finality_depth
        return self._refused_at.get(record_id, last) < last

    def forget(self, record_id: int) -> None:
        self._refused_at.pop(record_id, None)

    def forget_all(self) -> None:
        self._refused_at.clear()


def describe_chain(deployment: Deployment) -> OutboxChain:
    """The deployment's ledger, as an outbox remembers it."""
    return OutboxChain(
        chain_id=deployment.chain_id,
        ledger=deployment.ledger,
        ledger_id=deployment.ledger_id,
        genesis_hash=deployment.genesis_hash,
        created_number=deployment.created_number,
        created_hash=deployment.created_hash,
    )
