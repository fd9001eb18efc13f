"""How many blocks an index is behind what is final, while records come.

The index is followed by the gateway's own thread, and looked at from outside, as its readers see it: in the middle of
its steps too, when blocks are fetched and not yet stored. What was recorded before does not count: an index that has
to catch up is behind by as many blocks as it was away, whatever it does.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError, MillmarkError
from millmark.ledger.index import ChainReader, fetch_status
from millmark.ledger.store import Store
from millmark.services.gateway.follower import FollowerThread

__all__ = ["IndexLag", "following"]

_INTERVAL_S = 1.0
"""Between the follower's steps: the gateway's default."""
_LOOK_S = 0.2
_CATCH_UP_S = 300.0
_WARNING = 30
"""Level of the lines that the follower may write; it tells each step that indexed records."""


@dataclass(slots=True)
class IndexLag:
    """What was seen so far."""

    most: int = 0
    """Most blocks by which the index was behind the last final block."""
    looks: int = 0
    """How often that was looked at."""
    errors: list[str] = field(default_factory=list)
    """Why a step of the follower, or a look, failed."""

    def look(self, chain: ChainReader, store: Store) -> int:
        """Look once, and return how many blocks the index is behind now; below 0 if it has blocks that are not final.

        The index first: what comes to be final in between counts as missing. Raises ChainError, StoreError.
        """
        status = fetch_status(store)
        indexed = chain.first_block - 1 if status is None else status.block_number
        behind = chain.final_number() - indexed
        self.most, self.looks = max(self.most, behind), self.looks + 1
        return behind


@contextmanager
def following(followed: Chain, looked_at: Chain, store: Store, lag: IndexLag) -> Iterator[None]:
    """Follow the chain into the store, and keep looking at it once it has caught up. Two connections to one node, for
    one thread each.

    Raises ChainError, ChainUnreachableError if it does not catch up in time.
    """
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger(_WARNING)
    )
    thread = FollowerThread(followed, store, _INTERVAL_S, logger)
    thread.start()
    try:
        _catch_up(looked_at, store)
        with _looking(looked_at, store, lag, thread):
            yield
    finally:
        thread.stop()


def _catch_up(chain: Chain, store: Store) -> None:
    deadline = time.monotonic() + _CATCH_UP_S
    while not _is_caught_up(chain, store):
        if time.monotonic() > deadline:
            raise ChainUnreachableError("the index does not catch up with the chain", hint="see the log above")
        time.sleep(_LOOK_S)


def _is_caught_up(chain: Chain, store: Store) -> bool:
    try:
        return IndexLag().look(chain, store) <= 0
    except ChainUnreachableError:  # one answer that failed; the caller asks again
        return False


@contextmanager
def _looking(chain: Chain, store: Store, lag: IndexLag, thread: FollowerThread) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(_LOOK_S):
            try:
                lag.look(chain, store)
            except MillmarkError as error:  # of the node or of the database; the next look may succeed
                lag.errors.append(str(error))
            failing = thread.seen().failing
            if failing is not None and failing.cause not in lag.errors:
                lag.errors.append(failing.cause)

    looking = threading.Thread(target=run, name="index-lag")
    looking.start()
    try:
        yield
    finally:
        stop.set()
        looking.join()
