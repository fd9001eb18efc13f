"""The hash that decides between equal offers, as the chain has it."""

from __future__ import annotations

from threading import Lock

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainError
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.making import Times, find_tie

_MOST = 1000
"""Most closing times remembered."""


def times_of(chain: Chain) -> Times:
    """The final blocks of a chain. Sends requests."""
    return Times(
        chain.final_number(), lambda number: chain.header(number).timestamp, lambda number: chain.header(number).hash
    )


class Ties:
    """Finds and remembers tie hashes: final blocks do not change."""

    def __init__(self, chain: Chain | None) -> None:
        self._chain = chain
        self._known: dict[int, bytes] = {}
        self._lock = Lock()

    def find(self, closes: int) -> bytes | None:
        """Return the hash of the first final block at or after `closes`, Unix seconds; None where no chain says so now:
        there is none, it does not answer, or it has no such block yet. Not to be called within a transaction."""
        known = self._known.get(closes)
        if known is not None or self._chain is None:
            return known
        try:
            found = find_tie(times_of(self._chain), closes)
        except (ChainError, PlanningError):
            return None  # the caller says that it was not compared
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[closes] = found
        return found
