"""The thread that keeps the index up to date, and what it last saw of the chain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ledger.errors import MillmarkError
from ledger.events import Header
from ledger.index import ChainReader, Follower
from ledger.records import Contract
from ledger.store import Store
from services.gateway.http.problems import public_cause
from services.serving.failures import FailureLog
from services.serving.loop import Loop

__all__ = ["Failure", "FollowedChain", "Following", "Head", "Seen"]

_STEP_BLOCKS = 64
"""Blocks between two looks at the stop signal."""


class HeadReader(Protocol):
    def header(self, number: int | None = None) -> Header: ...


class FollowedChain(ChainReader, Protocol):
    """What the gateway asks of a chain: `ledger.chain.Chain` has it."""

    @property
    def node(self) -> HeadReader: ...
    def sequence(self, contract: Contract) -> int: ...


@dataclass(frozen=True, slots=True)
class Head:
    """The chain as its node had it."""

    chain_id: int
    header: Header
    registry_sequence: int
    ledger_sequence: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step did not go through."""

    code: str
    cause: str
    hint: str
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """One moment of the following, never changed once it is made, so that threads can share it."""

    head: Head | None = None
    """None when the node did not answer at the last try."""
    head_failure: Failure | None = None
    """Why `head` is None."""
    followed_at: datetime | None = None
    """End of the last step that went through."""
    failure: Failure | None = None
    """The last step that did not; it stays after later steps go through."""


class Following:
    """Follows in steps, whatever a step raises: a node that is down comes back, and a halted index has to be seen by an
    operator, through `seen` and the log, while what it holds is served on."""

    def __init__(self, chain: FollowedChain, store: Store, interval_s: float, logger: FilteringBoundLogger) -> None:
        self._chain = chain
        self._follower = Follower(chain, store)
        self._interval_s = interval_s
        self._logger, self._failures = logger, FailureLog(logger, "following failed")
        self._seen = Seen()
        self._loop = Loop("millmark-follower", self._round, logger, failed="follower failed", retry_s=interval_s)

    def seen(self) -> Seen:
        return self._seen

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Returns when the thread has ended; one that hangs in a request to the node is left behind."""
        self._loop.stop()

    def _round(self) -> float:
        more = self.step()
        self._look()
        return 0.0 if more else self._interval_s

    def step(self) -> bool:
        """Indexes some blocks; tells whether there are more."""
        try:
            progress = self._follower.follow(limit=_STEP_BLOCKS)
        except Exception as error:  # the head is looked at all the same, and the failure shown
            self._failures.note(error)
            self._seen = replace(self._seen, failure=_failure(error))
            return False
        self._failures.clear()
        self._seen = replace(self._seen, followed_at=datetime.now(UTC))
        if progress.records:
            self._logger.info("indexed", block_number=progress.block_number, records=progress.records)
        return progress.block_number < progress.final_number

    def _look(self) -> None:
        """After the step, so that an index that has just caught up compares as equal."""
        try:
            self._seen = replace(self._seen, head=self._fetch_head(), head_failure=None)
        except Exception as error:  # as above
            self._seen = replace(self._seen, head=None, head_failure=_failure(error))

    def _fetch_head(self) -> Head:
        chain = self._chain
        registry, ledger = chain.sequence(Contract.REGISTRY), chain.sequence(Contract.LEDGER)
        return Head(chain.chain_id, chain.node.header(), registry, ledger, datetime.now(UTC))


def _failure(error: Exception) -> Failure:
    if isinstance(error, MillmarkError):
        return Failure(error.code, public_cause(error), error.hint, datetime.now(UTC))
    return Failure("unexpected", "the follower failed in a way that is not foreseen", "see the log", datetime.now(UTC))
