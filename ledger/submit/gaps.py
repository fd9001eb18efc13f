"""Fills gaps of one key: unused nonces below some that are in use. No transaction above a gap can be mined."""

from __future__ import annotations

import time
from collections.abc import Sequence

from millmark.ledger.chain import Chain
from millmark.ledger.errors import NodeBehindError
from millmark.ledger.store.outbox import Outbox, OutboxWriter, SentTransaction
from millmark.ledger.submit.sender import NOOP_GAS

__all__ = ["Gaps"]

_MAX = 100
"""Maximum number of nonces filled in one step."""


class Gaps:
    """Fills the gaps of one key by transfers of zero wei.

    The outbox itself leaves no gaps. They appear when its database is changed, or restored from a backup. A gap is
    filled once it has existed for `patience_s`: a node that lags behind shows one briefly. Below a nonce that the
    outbox knows to be used in a final block there is no gap, whatever the node counts: it is behind, or of another
    chain.
    """

    def __init__(self, chain: Chain, outbox: Outbox, signer: bytes, patience_s: float) -> None:
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._patience_s = patience_s
        self._since: float | None = None
        self._behind_since: float | None = None
        self.trouble: NodeBehindError | None = None
        """That the node has counted too few nonces for some time; None if it has not."""

    def fill(self, writer: OutboxWriter, open_transactions: Sequence[SentTransaction], count: int) -> bool:
        """Fill the gaps below the highest nonce of `open_transactions`, if they have existed long enough. `count`:
        number of nonces that the chain has counted.

        Returns whether it did.
        """
        missing = self._missing(open_transactions, count)
        now = time.monotonic()
        # The clock starts when a gap is first seen, and starts again if it disappears in between.
        self._since = None if not missing else now if self._since is None else self._since
        if self._since is None or now - self._since < self._patience_s:
            return False
        self._since = None
        self._chain.verify_state()
        for nonce in missing:
            writer.fill(nonce, NOOP_GAS)
        return True

    def _missing(self, open_transactions: Sequence[SentTransaction], first: int) -> list[int]:
        self.trouble = None
        held = {transaction.nonce for transaction in open_transactions}
        if not held:
            return []
        closed = self._outbox.closed_nonce(self._signer)
        if closed is not None and first <= closed:
            self._note_behind(first, closed)
            return []
        self._behind_since = None
        return [nonce for nonce in range(first, max(held)) if nonce not in held][:_MAX]

    def _note_behind(self, count: int, closed: int) -> None:
        now = time.monotonic()
        self._behind_since = now if self._behind_since is None else self._behind_since
        if now - self._behind_since >= self._patience_s:
            self.trouble = NodeBehindError(
                f"the node counts {count} transactions of 0x{self._signer.hex()}, but nonce {closed} is used in a "
                "final block: the node is behind, or its chain lost final blocks",
                hint="check that the node is in sync and has peers; nothing is sent in place of what it lacks. If the "
                f"chain was set back: `millmark rebuild`, then `millmark outbox reopen 0x{self._signer.hex()}`",
            )
