"""Watches the balances of the keys that a process sends with: an alarm before one can no longer pay for gas."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from millmark.ledger.chain import Chain
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Store
from millmark.ledger.submit import Funds, look_at_funds
from millmark.services.serving.loop import Loop
from millmark.services.serving.troubles import Trouble

LOW_CODE = "key-funds-low"
_INTERVAL_S = 60.0
_RETRY_S = 10.0


class FundsWatch:
    """A thread that asks the node for balances once a minute. `trouble` only shows what it found."""

    def __init__(
        self, connect: Callable[[], Chain], store: Store, keys: Sequence[bytes], logger: FilteringBoundLogger
    ) -> None:
        """`connect` returns the chain, and is called until it does: the node may not answer at the start."""
        self._connect = connect
        self._chain: Chain | None = None
        self._store, self._keys = store, list(keys)
        self._since_s: float | None = None
        self._found: Trouble | None = None
        self.loop = Loop("millmark-funds", self._round, logger, failed="balances not seen", retry_s=_RETRY_S)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def trouble(self) -> Trouble | None:
        """The alarm while a key's balance is low; None if none is, or it was not seen yet."""
        return self._found

    def look(self) -> None:
        """Looks once. Raises ChainError, StoreError."""
        self._chain = self._connect() if self._chain is None else self._chain
        low = describe_low(look_at_funds(self._chain.node, self._chain.profile, self._store, self._keys, time.time()))
        if low is None:
            self._since_s = self._found = None
            return
        self._since_s = time.time() if self._since_s is None else self._since_s
        self._found = Trouble("chain", LOW_CODE, low[0], self._since_s, low[1])

    def _round(self) -> float:
        self.look()
        return _INTERVAL_S


def describe_low(found: Sequence[Funds]) -> tuple[str, str] | None:
    """Which keys run low, and the remedy; None if none does."""
    low = [funds for funds in found if funds.is_low]
    if not low:
        return None
    first = low[0]
    more = f", and {len(low) - 1} more" if len(low) > 1 else ""
    cause = f"key {to_checksum(first.key)} runs low: {first.describe()}{more}"
    return cause, "top it up: `millmark keys fund --signer` with a key that has funds"
