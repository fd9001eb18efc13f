"""Fills gaps: unused nonces below some that are in use. No transaction above a gap can be mined.

The outbox itself leaves no gaps. They appear when the chain loses blocks that were final, or the database is restored
from a backup. If a transaction for the nonce is stored, the same bytes are sent again; otherwise the nonce is used up
by a transfer of zero wei.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ledger.chain import Chain
from ledger.store.outbox import Outbox, OutboxWriter, SentTransaction
from ledger.submit.tracker import NOOP_GAS

__all__ = ["Gaps"]

_MOST = 100
"""Maximum number of nonces filled in one step."""


class Gaps:
    """Fills the gaps of one key once they have existed for `patience_s`: a node that lags behind shows one briefly."""

    def __init__(self, chain: Chain, outbox: Outbox, signer: bytes, patience_s: float) -> None:
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._patience_s = patience_s
        self._since: float | None = None

    def fill(self, writer: OutboxWriter, open_transactions: Sequence[SentTransaction]) -> bool:
        """Fill the gaps below the highest nonce of `open_transactions`, if they have existed long enough.

        Returns whether it did.
        """
        missing = self._missing(open_transactions)
        now = time.monotonic()
        # The clock starts when a gap is first seen, and starts again if it disappears in between.
        self._since = None if not missing else now if self._since is None else self._since
        if self._since is None or now - self._since < self._patience_s:
            return False
        self._since = None
        for nonce in missing:
            stored = self._outbox.signed_at(self._signer, nonce)
            if stored is None:
                writer.fill(nonce, NOOP_GAS)
            else:
                self._chain.node.send(stored)
        return True

    def _missing(self, open_transactions: Sequence[SentTransaction]) -> list[int]:
        held = {transaction.nonce for transaction in open_transactions}
        if not held:
            return []
        first = self._chain.node.transaction_count(self._signer)
        return [nonce for nonce in range(first, max(held)) if nonce not in held][:_MOST]
