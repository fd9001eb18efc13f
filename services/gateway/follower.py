"""The threads that follow what others say: the chain, for the index; the operator's directory; and which companies have
the page that verifies.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeAlias

from structlog.typing import FilteringBoundLogger

from millmark.ledger import events, records, signatures
from millmark.ledger.chain import Chain
from millmark.ledger.errors import MillmarkError, NodeBehindError, StoreError
from millmark.ledger.index import ChainReader, Follower, Progress, fetch_status
from millmark.ledger.store import Store
from millmark.services.check.build import MANIFEST
from millmark.services.directory.client import fetch_directory
from millmark.services.directory.following import fetch_operators, published_digest, take_directory
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.gateway.http.problems import StaleIndexError
from millmark.services.portal.check_page import CheckPage
from millmark.services.serving.loop import FailureLog, Loop, Looped, public_cause
from millmark.services.serving.partners import UnansweredError, ask_partner
from millmark.services.text.chain_health import ROUNDS_SEEN

_LOOK_S = 1.0
_STILL_S, _SLOW_S = 30.0, 2.0
"""After so long without a new block, the node is asked after so long at least."""
_WHOLE_S = 20.0
"""Time between two complete looks at a chain that does not change: a third of that after which an index is stale."""
_FETCH_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """Where the directory comes from."""

    url: str
    """The operator's gateway."""
    signer: signatures.Signer
    """Signs in there."""
    chain: Chain
    """Not the follower's: threads do not share connections."""
    tls: ssl.SSLContext | None = None
    """By default, the machine's authorities are believed."""


class DirectoryFollower(Looped):
    """Compares the digest that the index has with the directory in force, and fetches what differs. Whatever is refused
    changes nothing: the directory in force stays."""

    def __init__(self, store: Store, source: DirectorySource, logger: FilteringBoundLogger) -> None:
        self._store, self._source, self._logger = store, source, logger
        self.loop = Loop(
            "millmark-directory", self._round, logger, failed="the directory was not updated", retry_s=_FETCH_RETRY_S
        )

    def _round(self) -> float:
        if not self._is_outdated():
            return self.loop.idle(_LOOK_S)
        self.step()
        return _LOOK_S

    def step(self) -> bool:
        """Returns whether there is another directory in force than before. Raises DirectoryError,
        DirectoryUnreachableError, ChainError."""
        if not self._is_outdated():
            return False
        source = self._source
        signed = fetch_directory(source.url, source.signer, source.chain.chain_id, tls=source.tls)
        operators = fetch_operators(source.chain)
        with self._store.transaction() as connection:
            is_new = take_directory(connection, signed, operators)
        if is_new:
            self._logger.info("directory updated", companies=len(signed.directory.entries))
        return is_new

    def _is_outdated(self) -> bool:
        with self._store.reading() as connection:
            published, known = published_digest(connection), DirectoryRepository(connection).in_force_digest()
        return published not in (None, known)


# The thread that looks which companies' gateways have the same page that verifies in a browser, so that passports offer
# no copy that is not there.
#
# Once an hour it asks each gateway of the directory for the list of the page's files, and compares it with that of its
# own page. Not established: that a gateway serves what its list says, or still does so when somebody opens it.

Fetch: TypeAlias = Callable[[str, int], Awaitable[bytes]]
"""The list that a gateway serves, of at most so many bytes. Raises UnansweredError."""
_FIRST_S = 20.0
"""The gateways of a consortium on one machine start side by side: a first look at once would find none."""
_INTERVAL_S = 3600.0
_RETRY_S = 60.0
_TIMEOUT_S = 10.0
_AT_ONCE = 16
_MOST = 500
"""Most gateways asked in a look: 16 at once, each in 10 s, they take 6 minutes at worst."""
_LATE_S = 900.0
_OK = 200


class CopiesWatch(Looped):
    """Looks once an hour. `seen` are the gateways that had the page at the last look, as the directory writes them."""

    def __init__(
        self,
        store: Store,
        page: CheckPage,
        owner: int | None,
        logger: FilteringBoundLogger,
        *,
        tls: ssl.SSLContext | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        """`page`: the own one; without it, nobody is asked. `owner`: the own company, which is not asked."""
        self._store, self._page, self._owner, self._logger = store, page, owner, logger
        self._fetch = fetch or partial(_fetch, tls or ssl.create_default_context())
        self.seen: frozenset[str] = frozenset()
        self._is_first = True
        failed = "copies of the check page not seen"
        self.loop = Loop("millmark-copies", self._round, logger, failed=failed, retry_s=_RETRY_S, late_s=_LATE_S)

    def start(self) -> None:
        self._is_first = True
        self.loop.start()

    def look(self) -> None:
        """Asks each gateway once. Raises StoreError before it has asked any."""
        own = self._page.manifest
        found = frozenset[str]() if own is None else asyncio.run(self._ask(self._gateways(), own))
        if found != self.seen and not self.loop.is_stopping:
            self._logger.info("copies of the check page", gateways=len(found))
            self.seen = found

    def _round(self) -> float:
        if self._is_first:
            self._is_first = False
            return _FIRST_S
        self.look()
        return _INTERVAL_S

    def _gateways(self) -> list[str]:
        with self._store.reading() as connection:
            entries = DirectoryRepository(connection).entries()
        return [one.gateway for one in entries if one.gateway and one.participant != self._owner][:_MOST]

    async def _ask(self, gateways: list[str], own: bytes) -> frozenset[str]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def has_page(gateway: str) -> bool:
            async with turns:
                if self.loop.is_stopping:
                    return False
                try:
                    return await self._fetch(gateway, len(own)) == own
                except UnansweredError:
                    return False  # it may be off; whoever runs this gateway can do nothing about it

        had = await asyncio.gather(*map(has_page, gateways))
        return frozenset(one for one, has in zip(gateways, had, strict=True) if has)


async def _fetch(tls: ssl.SSLContext, gateway: str, max_bytes: int) -> bytes:
    headers = {"Accept-Encoding": "identity"}
    status, content = await ask_partner(
        gateway, "GET", f"/check/{MANIFEST}", tls, timeout_s=_TIMEOUT_S, max_bytes=max_bytes, headers=headers
    )
    if status != _OK:
        raise UnansweredError(f"its gateway answered {status}")
    return content


_STEP_BLOCKS = 64
"""Blocks indexed between two checks of the stop signal."""
STALE_S = 60.0
"""Time without a complete look at the node after which no credential is accepted: a participant may have been suspended
meanwhile, or a key revoked."""
_RETRY_AFTER_S = 5


class HeadReader(Protocol):
    def header(self, number: int | None = None) -> events.Header: ...


class FollowedChain(ChainReader, Protocol):
    """The part of `millmark.ledger.chain.Chain` that the gateway uses."""

    @property
    def node(self) -> HeadReader: ...
    def sequence(self, contract: records.Contract) -> int: ...


@dataclass(frozen=True, slots=True)
class Head:
    """The state of the chain, as reported by the node."""

    chain_id: int
    header: events.Header
    registry_sequence: int
    ledger_sequence: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed."""

    code: str
    cause: str
    hint: str
    failed_at: datetime
    since_s: float
    """Monotonic time of the first of the failures with this code that followed each other."""


@dataclass(frozen=True, slots=True)
class FollowerSnapshot:
    """The follower's state at one moment. Immutable, so that threads can share it."""

    head: Head | None = None
    """None if the node did not answer the last request."""
    head_failure: Failure | None = None
    """Why `head` is None."""
    followed_at: datetime | None = None
    """End of the last successful step."""
    failure: Failure | None = None
    """The most recent failed step. It is kept when later steps succeed."""
    looked_s: float | None = None
    """Monotonic time of the last complete look at the node: one after which the index had all blocks that are final
    there. None before the first."""
    whole_to: int = -1
    """The last of these blocks; -1 before the first look."""
    head_since_s: float | None = None
    """Monotonic time at which the number of the head was first seen; None before the first."""
    rounds: tuple[int, ...] = ()
    """For each of the latest heads, the number of rounds that ended without one; empty on engines without rounds."""

    @property
    def failing(self) -> Failure | None:
        """Why the last step failed, or found that the node's chain ends before the index; None if neither."""
        failure, followed_at = self.failure, self.followed_at
        if failure is None or (followed_at is not None and failure.failed_at < followed_at):
            return None
        return failure


class FollowerThread(Looped):
    """Indexes new blocks step by step, whatever a step raises, since a node that is down may come back. A halted index
    needs an operator, who sees it in `seen` and the log; until then the existing index is served."""

    def __init__(self, chain: FollowedChain, store: Store, interval_s: float, logger: FilteringBoundLogger) -> None:
        self._chain = chain
        self._store, self._follower = store, Follower(chain, store)
        self._interval_s = interval_s
        self._logger, self._failures = logger, FailureLog(logger, "indexing failed")
        # Replaced as a whole, never changed: readers on other threads see one consistent state without a lock.
        self._seen = FollowerSnapshot()
        self._number: int | None = None
        """Number of the head that was seen last."""
        self._whole_s: float | None = None
        """Monotonic time of the last look at chain and database, if it found nothing left to do."""
        # Only the chains of tests have no profile.
        self.timed_blocks = bool(getattr(getattr(chain, "profile", None), "timed_blocks", False))
        """Whether blocks come by themselves on this engine."""
        self.loop = Loop("millmark-follower", self._round, logger, failed="follower failed", retry_s=interval_s)

    def seen(self) -> FollowerSnapshot:
        return self._seen

    def is_fresh(self) -> bool:
        """Whether the last complete look at the node was within `STALE_S`. A node whose head does not move is looked at
        all the same: behind a halted chain nobody can know more than it shows."""
        looked_s = self._seen.looked_s
        return looked_s is not None and time.monotonic() - looked_s <= STALE_S and not self.is_discarded()

    def is_discarded(self) -> bool:
        """Whether the index lacks final blocks that it had: `millmark rebuild` builds it again beside this gateway, and
        until it has, keys, companies and lots seem not to exist. Read each time, since that begins at any moment."""
        try:
            index = fetch_status(self._store)
        except StoreError:
            return False  # the database fails, which whoever asks meets as well
        return (-1 if index is None else index.block_number) < self._seen.whole_to

    def verify_fresh(self) -> None:
        """Raises StaleIndexError unless the index is fresh. Before the first look it is not, however short the start
        was ago: the gateway may have been away for long."""
        if not self.is_fresh():
            raise StaleIndexError(
                "the index does not follow the chain at present, so credentials cannot be checked",
                retry_after_s=_RETRY_AFTER_S,
                hint=f"send it again in {_RETRY_AFTER_S} s; the gateway's operator finds the reason in /ready",
            )

    def wake(self) -> None:
        """Looks for new blocks at once."""
        self.loop.wake()

    def stop(self) -> None:
        """Stops the thread, and returns when it has ended. A thread that is blocked in a request to the node is
        abandoned."""
        self.loop.stop()

    def _round(self) -> float:
        began_s = time.monotonic()
        if self._is_still(began_s):
            since_s = self._seen.head_since_s
            late = since_s is not None and began_s - since_s >= _STILL_S
            return max(self._interval_s, _SLOW_S) if late else self._interval_s
        head = self._number
        more = self.step()
        self._look()
        # A head that is new may have come after the step, which then does not have its block.
        whole = not more and self._seen.failing is None and self._number == head
        self._whole_s = began_s if whole else None
        if more:
            return 0.0
        if self._seen.failing is not None:
            return self._interval_s  # a node that fails slowly is not asked without a pause
        # From the step's begin: blocks that came during a long step would otherwise wait for the pause as well.
        return max(0.0, self._interval_s - (time.monotonic() - began_s))

    def _is_still(self, now_s: float) -> bool:
        """Whether neither chain nor database has changed since the last complete look, as one question to the node
        tells. A complete look is taken now and then all the same: another node may answer, or the same height may
        have other blocks."""
        if self.loop.is_woken or not self.loop.rest_s:
            return False
        if self._whole_s is None or now_s - self._whole_s >= _WHOLE_S:
            return False
        head = self._seen.head
        try:
            if head is None or self._chain.head_number() != head.header.number:
                return False
        except Exception:  # the complete look tells it
            return False
        now = datetime.now(UTC)
        self._seen = replace(self._seen, looked_s=now_s, followed_at=now, head=replace(head, seen_at=now))
        return True

    def step(self) -> bool:
        """Indexes up to 64 blocks. Returns whether there are more."""
        began_s = time.monotonic()  # what happens on the chain during the step may be missing after it
        try:
            progress = self._follower.follow(limit=_STEP_BLOCKS)
            behind = self._find_behind(progress)
        except Exception as error:  # shown to operators; the head is still worth reading
            self._failures.note(error)
            self._seen = replace(self._seen, failure=_failure(error, self._seen.failing))
            return False
        failing = self._seen.failing
        self._seen = replace(self._seen, followed_at=datetime.now(UTC))
        if behind is None:
            self._failures.clear()
        else:
            # After `followed_at`: a failure that is older than that is over.
            self._failures.note(behind)
            self._seen = replace(self._seen, failure=_failure(behind, failing))
        if progress.records:
            self._logger.info("indexed", block_number=progress.block_number, records=progress.records)
        more = progress.block_number < progress.final_number
        if not more:
            whole_to = min(progress.block_number, progress.final_number)
            self._seen = replace(self._seen, looked_s=began_s, whole_to=whole_to)
        return more

    def _find_behind(self, progress: Progress) -> NodeBehindError | None:
        """The error of a chain that ends before the index. It may be true for a moment, of one of several nodes; the
        index is served as before, and nothing in it is undone."""
        head = self._chain.head_number()
        if head >= progress.block_number:
            return None
        return NodeBehindError(
            f"the node's latest block is {head}, the index is at block {progress.block_number}",
            hint="check that the node is in sync; if its chain was set back: `millmark rebuild`, then start again",
        )

    def _look(self) -> None:
        """Reads the head after the step, so that an index that has just caught up compares as equal to it."""
        try:
            chain = self._chain
            registry, ledger = chain.sequence(records.Contract.REGISTRY), chain.sequence(records.Contract.LEDGER)
            head = Head(chain.chain_id, chain.node.header(), registry, ledger, datetime.now(UTC))
            # Compared with the last one that was seen, also if the node has not answered in between.
            moved, self._number = head.header.number != self._number, head.header.number
            since_s = time.monotonic() if moved else self._seen.head_since_s
            late = head.header.round
            rounds = self._seen.rounds if late is None or not moved else (*self._seen.rounds, late)[-ROUNDS_SEEN:]
            self._seen = replace(self._seen, head=head, head_failure=None, head_since_s=since_s, rounds=rounds)
        except Exception as error:  # the status page shows it
            self._seen = replace(self._seen, head=None, head_failure=_failure(error, self._seen.head_failure))


def _failure(error: Exception, before: Failure | None) -> Failure:
    """Describes a failed step. `before`: why the step before it failed; None if it did not."""
    code, cause, hint = "unexpected", "indexing failed unexpectedly", "see the log"
    if isinstance(error, MillmarkError):
        code, cause, hint = error.code, public_cause(error), error.hint
    since_s = time.monotonic() if before is None or before.code != code else before.since_s
    return Failure(code, cause, hint, datetime.now(UTC), since_s)
