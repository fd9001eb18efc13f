"""The thread that records new log entries, submits the queued records, and settles what has become final.

Below it: what of that is told of the node's health.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from millmark.ledger import errors
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import SentTransaction
from millmark.services.node import evidence_recorder, windows
from millmark.services.serving import logs, loop
from millmark.services.text.chain_health import STANDS_REMEDY
from millmark.services.text.outbox import STALL_S, describe_queue


@dataclass(frozen=True, slots=True)
class ChainHead:
    """One observation of the chain's latest block. Times are monotonic seconds. Immutable, so threads can share it."""

    number: int | None = None
    """Number of the latest block; None until the chain is first reached."""
    since_s: float = 0.0
    """When that block was first seen."""
    waiting_since_s: float | None = None
    """Since when a transaction has been waiting for the next block; None if none is waiting."""

    def see(self, number: int, waits: bool, now_s: float) -> ChainHead:
        """Returns the next observation. `waits` tells whether a sent transaction is not in a block yet."""
        # A new block restarts the wait even if the transaction is not in it: the chain is slow then, not stalled.
        moved = number != self.number
        before = None if moved else self.waiting_since_s
        since_s = now_s if moved else self.since_s
        return replace(
            self,
            number=number,
            since_s=since_s,
            waiting_since_s=(now_s if before is None else before) if waits else None,
        )

    def stalled_s(self, now_s: float) -> float:
        """Seconds for which the chain has stalled; 0 if it has not."""
        waited_s = 0.0 if self.waiting_since_s is None else now_s - self.waiting_since_s
        return waited_s if waited_s >= STALL_S else 0.0

    def to_json(self, now_s: float) -> dict[str, object]:
        age_s = None if self.number is None else round(now_s - self.since_s)
        return {"head_block": self.number, "head_age_s": age_s, "stalled_s": round(self.stalled_s(now_s))}


_PAUSE_S = 0.05
_RETRY_S = 1.0
_LOOK_S = 1.0
_STOP_S = 10.0
_VERIFY_S = 30.0
"""Time between two comparisons of a log that differs from what is anchored."""
_SIDES = ("log", "chain", "outbox")


class KeySubmitter(Protocol):
    """Submits the records of one key, through the company's own chain node or through a relay."""

    @property
    def key(self) -> bytes: ...
    def step(self) -> bool: ...
    def head_number(self) -> int | None:
        """Number of the chain's latest block; None with a relay, which does not report it."""


VerifyLogs = Callable[[Sequence[evidence_recorder.StreamRecorder]], None]
"""Compares the logs with the latest anchors on the ledger; raises as `preflight.verify_logs` does."""


class SubmissionLoop(loop.Looped):
    """Repeats rounds of recording and submitting. Survives every exception, since an unreachable chain or a full disk
    may recover. A step that takes longer than `stop` waits can safely be cut off."""

    def __init__(
        self,
        recorders: Sequence[evidence_recorder.StreamRecorder],
        connect: Callable[[], tuple[KeySubmitter, VerifyLogs]],
        outbox: Outbox,
        drafts: windows.Drafts,
        logger: FilteringBoundLogger,
        count_failed: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`connect` returns the submitter of the node's key, after the checks of `preflight`, or raises what they
        find; and the check that is repeated before each anchor is sent. `count_failed` is called with the kind of each
        record that failed."""
        self._recorders, self._connect, self._outbox, self._drafts = recorders, connect, outbox, drafts
        self._logger = logger
        self._connection: tuple[KeySubmitter, VerifyLogs] | None = None
        self._wait_until_s = 0.0
        self._troubles: dict[str, loop.Trouble] = {}
        self._failures = {where: loop.FailureLog(logger.bind(where=where), "step failed") for where in _SIDES}
        self._failed = loop.FailedRecords(outbox, logger, count_failed, signers={one.signer for one in recorders})
        self.loop = loop.Loop(
            "millmark-sending", self._round, logger, failed="sending failed", retry_s=_RETRY_S, stop_s=_STOP_S
        )
        self._is_sent = self._rests = False
        """Whether nothing is left to send; whether the thread rests."""
        self.connected = False
        """Whether the last round reached the chain."""
        self.head = ChainHead()
        self._look_at_s = self._head_at_s = 0.0
        self._difference: errors.SettingsError | errors.StoreDamagedError | None = None
        """How a log differs from what is anchored on the ledger, if the last comparison found that."""
        self._verify_at_s = 0.0
        self._verified: dict[str, int] = {}
        """By stream: the number of entries queued for anchoring when the log was last compared with the ledger."""

    def troubles(self) -> list[loop.Trouble]:
        return list(self._troubles.values())

    def _round(self) -> float:
        """Records, then submits. A failure of either does not stop the other. Returns seconds until the next round."""
        # Recording comes first, so that what it queues is submitted in the same round.
        self._try("log", self._record)
        # Only the chain's side pauses after a failure: recording needs nothing but the local disk.
        if time.monotonic() >= self._wait_until_s:
            sent = self._try("chain", self._send)
            if not sent:
                self._is_sent = False
                self._wait_until_s = time.monotonic() + _RETRY_S
            trouble = self._troubles.get("chain")
            self.connected = sent or (trouble is not None and trouble.code != errors.ChainUnreachableError.code)
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + _LOOK_S
            self._try("outbox", self._look)
        # Set before the look at the logs, so that what they get after it wakes the thread.
        self._rests = self._is_sent and self.loop.rest_s > 0
        self._rests = self._rests and all(one.is_quiet for one in self._recorders)
        return self.loop.idle(_PAUSE_S) if self._rests else _PAUSE_S

    def take_up(self) -> None:
        """Call it when a log has new entries. A thread that works already takes up many of them at once."""
        if self._rests:
            self.loop.wake()

    def _record(self) -> None:
        for recorder in self._recorders:
            recorder.step()

    def _send(self) -> None:
        # Connected in the loop, not at the start: the chain may be unreachable then, and events are accepted anyway.
        if self._connection is None:
            self._connection = self._connect()
        submitter, verify = self._connection
        self._verify_anchors(verify)
        self._is_sent = submitter.step()
        # After the step, which is what makes records final. A crash in between is made good by the next round.
        self._drafts.settle()
        if time.monotonic() >= self._head_at_s:
            self._head_at_s = time.monotonic() + _LOOK_S
            self._observe_head(submitter)

    def _verify_anchors(self, verify: VerifyLogs) -> None:
        """Compares the logs with the ledger before a new anchor is sent: a copy of this folder, on another machine, may
        have anchored another log in the meantime. Its roots and ours could never be proved consistent."""
        queued = [recorder for recorder in self._recorders if recorder.queued != self._verified.get(recorder.name)]
        if not queued:
            return
        if self._difference is not None and time.monotonic() < self._verify_at_s:
            raise self._difference
        sizes = {recorder.name: recorder.queued for recorder in queued}
        try:
            verify(queued)
        except (errors.SettingsError, errors.StoreDamagedError) as error:
            # To find a difference, the log is read: not with every try, which is every second.
            self._difference, self._verify_at_s = error, time.monotonic() + _VERIFY_S
            raise
        self._difference = None
        self._verified |= sizes  # only now: as long as it raises, nothing is sent

    def _look(self) -> None:
        """Looks for failed records."""
        failed = self._failed.look()
        if failed is None:
            self._troubles.pop("failed", None)
        else:
            self._troubles["failed"] = failed

    def _observe_head(self, submitter: KeySubmitter) -> None:
        """Updates `head`, and logs when the chain stalls or recovers."""
        number, now_s = submitter.head_number(), time.monotonic()
        # A relay does not report the chain's head, so stalls cannot be noticed here.
        if number is None:
            return
        stalled = self.head.stalled_s(now_s) > 0
        self.head = self.head.see(number, self._outbox.count_unmined(submitter.key) > 0, now_s)
        if (self.head.stalled_s(now_s) > 0) != stalled:
            change = "the chain produces blocks again" if stalled else "the chain has stalled"
            self._logger.warning(change, head_block=number, records=dict(self._outbox.counts()))

    def _try(self, where: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:
            found = self._failures[where].note(error)
            if found is not None:
                hint = error.hint if isinstance(error, errors.MillmarkError) else "see the log"
                self._troubles[where] = loop.Trouble(where, *found, time.time(), hint)
            return False
        if self._failures[where].clear():
            del self._troubles[where]
            self._logger.info("step recovered", where=where)
        return True


def build_report(logger: FilteringBoundLogger) -> Callable[[str, SentTransaction, str | None], None]:
    """Returns a function that logs each step of a transaction in one line. It includes the keys of its records, by
    which the line can be matched with "anchor queued"."""

    def report(what: str, transaction: SentTransaction, reason: str | None) -> None:
        keys = [record.idempotency_key for record in transaction.records]
        number = "0x" + (transaction.hash or b"").hex()
        why = {} if reason is None else {"reason": reason}
        logger.info(f"transaction {what}", transaction=number, nonce=transaction.nonce, records=keys, **why)

    return report


# A node's health: what it has captured and recorded, what is waiting, and why.

_OUTSIDE = (errors.ChainUnreachableError.code, errors.NodeBehindError.code, "source-disconnected", loop.LOW_CODE)
"""Codes of what is an alarm only: events are accepted, and what waits goes on by itself."""


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """Progress and state of one stream."""

    name: str
    entries: int
    """Number of durable entries."""
    queued: int
    """Number of entries under the latest anchor in the outbox, final or not."""
    anchored: int
    """Number of entries under the latest anchor that is final on the ledger."""
    failure: str | None
    """Why the latest commit failed; None if it succeeded."""


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of the node's health."""

    streams: Sequence[StreamHealth]
    chain_connected: bool
    head: ChainHead
    found: Sequence[loop.Trouble]
    """Everything that does not work at present."""
    outbox: dict[str, object]
    """Empty if the database does not answer."""
    timed_blocks: bool = False
    """Whether blocks come by themselves on this engine."""

    @property
    def troubles(self) -> Sequence[loop.Trouble]:
        """What makes the node not ready: somebody has to do something."""
        return [one for one in self.found if one.code not in _OUTSIDE]

    @property
    def alarms(self) -> Sequence[loop.Trouble]:
        """What is wrong outside of the node, or with its log alone."""
        return [*(one for one in self.found if one.code in _OUTSIDE), *self._stalls(), *loop.log_alarms()]

    @property
    def ready(self) -> bool:
        """Whether all parts of the node do their work. An unreachable chain does not matter: events are accepted, and
        records are queued."""
        return not self.troubles and all(stream.failure is None for stream in self.streams)

    def to_json(self) -> dict[str, object]:
        return {
            **loop.describe_readiness(self.troubles, self.alarms),
            "status": "ready" if self.ready else "not ready",
            "streams": [asdict(stream) for stream in self.streams],
            "chain_connected": self.chain_connected,
            "chain": self.head.to_json(time.monotonic()),
            "outbox": self.outbox,
            "log_lines_lost": logs.STANDARD_ERROR.lost,
        }

    def _stalls(self) -> list[loop.Trouble]:
        now_s, hint = time.monotonic(), STANDS_REMEDY
        stalled_s = self.head.stalled_s(now_s)
        if stalled_s:
            cause = f"no block for {stalled_s:.0f} s although transactions are pending"
            return [loop.Trouble("chain", "chain-stalled", cause, time.time() - stalled_s, hint)]
        age_s = 0.0 if self.head.number is None else now_s - self.head.since_s
        if self.timed_blocks and age_s > loop.HEAD_S:
            cause = f"no new block for {age_s:.0f} s: the chain stands, or its node is cut off"
            return [loop.Trouble("chain", "head-frozen", cause, time.time() - age_s, hint)]
        return []


def describe_outbox(outbox: Outbox) -> dict[str, object]:
    """Number and age of records by state, and the oldest one that is waiting, with the reason."""
    return {"records": dict(outbox.counts()), **describe_queue(outbox, time.time())}
