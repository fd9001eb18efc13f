"""Nonces that nobody uses, below some that are in use: the chain waits for them, and with them for all above.

The outbox leaves none. They come from outside: a chain that was set back past what it had called final, or a database
that was. What was stored for such a nonce goes out again, the same bytes; where nothing was, a transfer of nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ledger.chain import Chain
from ledger.store.outbox import Outbox, OutboxWriter, SentTransaction
from ledger.submit.tracker import NOOP_GAS

__all__ = ["Gaps"]

_MOST = 100
"""Filled at once."""


class Gaps:
    """Of one key. `patience_s`: how long a gap must stay, since a node that lags behind shows one, too."""

    def __init__(self, chain: Chain, outbox: Outbox, signer: bytes, patience_s: float) -> None:
        self._chain = chain
        self._outbox = outbox
        self._signer = signer
        self._patience_s = patience_s
        self._since: float | None = None

    def fill(self, desk: OutboxWriter, open_transactions: Sequence[SentTransaction]) -> bool:
        """Fills what is missing below the highest of `open_transactions`, once it was missing long enough. True when it
        did."""
        missing = self._missing(open_transactions)
        now = time.monotonic()
        self._since = None if not missing else now if self._since is None else self._since
        if self._since is None or now - self._since < self._patience_s:
            return False
        self._since = None
        for nonce in missing:
            stored = self._outbox.signed_at(self._signer, nonce)
            if stored is None:
                desk.fill(nonce, NOOP_GAS)
            else:
                self._chain.node.send(stored)
        return True

    def _missing(self, open_transactions: Sequence[SentTransaction]) -> list[int]:
        held = {transaction.nonce for transaction in open_transactions}
        if not held:
            return []
        first = self._chain.node.transaction_count(self._signer)
        return [nonce for nonce in range(first, max(held)) if nonce not in held][:_MOST]
