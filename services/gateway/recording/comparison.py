"""Nothing is recorded before the outbox was compared with the ledger, and nothing while it is the older of the two."""

from __future__ import annotations

import threading

from ledger.chain import Chain
from ledger.store import Store
from ledger.submit import verify_outbox
from services.gateway.http.errors import TryLaterError

__all__ = ["Comparison"]

_RETRY_S = 5


class Comparison:
    """Compares once, and then again until the outbox is current. Thread-safe.

    An outbox that is current stays so while its gateway runs: a database is not restored under a running gateway.
    """

    def __init__(self, chain: Chain, store: Store, signer: bytes) -> None:
        self._chain, self._store, self._signer = chain, store, signer
        self._lock = threading.Lock()  # connections to a node are not for several threads at once
        self._current = False

    def verify(self) -> None:
        """Returns if the outbox is current. Raises OutboxOlderError, ChainError, and TryLaterError while the index has
        not reached the head of the chain."""
        if self._current:
            return
        with self._lock:
            self._current = self._current or verify_outbox(self._chain, self._store, self._signer)
        if not self._current:
            raise TryLaterError(
                "the outbox is being compared with the ledger, which takes until the index is up to date",
                retry_after_s=_RETRY_S,
            )
