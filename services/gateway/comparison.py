"""Nothing is recorded before the outbox was compared with the ledger, and nothing while it is the older of the two."""

from __future__ import annotations

import threading
import time

from millmark.ledger.chain import Chain
from millmark.ledger.store import Store
from millmark.ledger.submit import verify_outbox
from millmark.services.gateway.http.problems import TryLaterError

_RETRY_S = 5
_WAIT_S = 1.0
"""How long a comparison may take before those who wait for it are answered: a node that hangs holds one thread, not
all."""


class Comparison:
    """Compares until the outbox is current, and again after each loss of a connection to the database. Thread-safe.

    An outbox that is current stays so as long as the database is the same. After a failover, it may be a replica that
    lacks the latest transactions."""

    def __init__(self, chain: Chain, store: Store, signer: bytes, *, relay: bool = False) -> None:
        """`relay`: the key sends records of others."""
        self._chain, self._store, self._signer, self._relay = chain, store, signer, relay
        self._lock = threading.Lock()  # one thread compares, so that the node and the index are asked once
        self._began_s = 0.0
        """Monotonic time at which the latest comparison began."""
        self._current_at: int | None = None
        """The store's number of interruptions when the outbox was last found current; None before."""

    @property
    def _current(self) -> bool:
        return self._current_at == self._store.interruptions

    def verify(self) -> None:
        """Returns if the outbox is current. Raises OutboxOlderError, ChainError, and TryLaterError while the index has
        not reached the head of the chain, or while another thread has been comparing for more than a second."""
        if self._current:
            return
        if not self._lock.acquire(timeout=max(0.0, self._began_s + _WAIT_S - time.monotonic())):
            raise _undecided("the node has not answered yet")
        try:
            self._began_s = time.monotonic()
            # From before the comparison: what is interrupted during it is compared again.
            interruptions = self._store.interruptions
            if not self._current and verify_outbox(self._chain, self._store, self._signer, relay=self._relay):
                self._current_at = interruptions
        finally:
            self._lock.release()
        if not self._current:
            raise _undecided("that takes until the index is up to date")


def _undecided(why: str) -> TryLaterError:
    return TryLaterError(f"the outbox is being compared with the ledger: {why}", retry_after_s=_RETRY_S)
