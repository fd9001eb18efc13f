"""The thread between log and chain: records what the logs hold, submits it, and settles what became final."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ledger.store.outbox import Outbox, SentTransaction
from services.node.chainhead import ChainHead
from services.node.drafts import Drafts
from services.node.evidence_recorder import StreamRecorder
from services.serving.failures import FailureLog
from services.serving.loop import Loop

__all__ = ["KeySubmitter", "SubmissionLoop", "Trouble", "build_report"]

_PAUSE_S = 0.05
_RETRY_S = 1.0
_LOOK_S = 1.0
_STOP_S = 10.0


class KeySubmitter(Protocol):
    """A submitter of one key: on an own node, or through a relay."""

    @property
    def key(self) -> bytes: ...
    def step(self) -> bool: ...
    def head_number(self) -> int | None:
        """The chain's latest block; None where only a relay sees it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something does not go on. `where`: `log` or `chain`."""

    where: str
    code: str
    cause: str
    since_s: float
    """Seconds since 1970."""


class SubmissionLoop:
    """Goes on whatever a round raises: a chain that is away comes back, a full disk is emptied."""

    def __init__(
        self,
        recorders: Sequence[StreamRecorder],
        connect: Callable[[], KeySubmitter],
        outbox: Outbox,
        drafts: Drafts,
        logger: FilteringBoundLogger,
    ) -> None:
        """`connect` gives the submitter of the node's key on the checked chain, or raises what is wrong with it."""
        self._recorders = recorders
        self._connect = connect
        self._outbox = outbox
        self._drafts = drafts
        self._logger = logger
        self._submitter: KeySubmitter | None = None
        self._wait_until_s = 0.0
        self._troubles: dict[str, Trouble] = {}
        self._failures = {where: FailureLog(logger.bind(where=where), "does not go on") for where in ("log", "chain")}
        self._loop = Loop(
            "millmark-sending", self._round, logger, failed="sending failed", retry_s=_RETRY_S, stop_s=_STOP_S
        )
        self.connected = False
        """Whether the last round reached the chain."""
        self.head = ChainHead()
        self._look_at_s = 0.0

    def troubles(self) -> list[Trouble]:
        return list(self._troubles.values())

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Returns when the thread has ended, or does not end in time: what it does is safe to cut off."""
        self._loop.stop()

    def _round(self) -> float:
        """A log that fails does not keep what is recorded from the chain, nor the chain the log."""
        self._try("log", self._record)
        if time.monotonic() >= self._wait_until_s:
            self.connected = self._try("chain", self._send)
            if not self.connected:
                self._wait_until_s = time.monotonic() + _RETRY_S
        return _PAUSE_S

    def _record(self) -> None:
        for recorder in self._recorders:
            recorder.step()

    def _send(self) -> None:
        if self._submitter is None:
            self._submitter = self._connect()
        self._submitter.step()
        self._drafts.settle()
        if time.monotonic() >= self._look_at_s:
            self._look(self._submitter)

    def _look(self, submitter: KeySubmitter) -> None:
        number, now_s = submitter.head_number(), time.monotonic()
        self._look_at_s = now_s + _LOOK_S
        if number is None:
            return
        stalled = self.head.stalled_s(now_s) > 0
        self.head = self.head.see(number, self._outbox.count_unmined(submitter.key) > 0, now_s)
        if (self.head.stalled_s(now_s) > 0) != stalled:
            told = "the chain makes blocks again" if stalled else "the chain stalls"
            self._logger.warning(told, head_block=number, records=dict(self._outbox.counts()))

    def _try(self, where: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:
            found = self._failures[where].note(error)
            if found is not None:
                self._troubles[where] = Trouble(where, *found, time.time())
            return False
        if self._failures[where].clear():
            del self._troubles[where]
            self._logger.info("goes on", where=where)
        return True


def build_report(logger: FilteringBoundLogger) -> Callable[[str, SentTransaction], None]:
    """One line for each step of a transaction. The keys of its records are in the lines of their anchors, too."""

    def report(what: str, transaction: SentTransaction) -> None:
        keys = [record.idempotency_key for record in transaction.records]
        number = "0x" + (transaction.hash or b"").hex()
        logger.info(f"transaction {what}", transaction=number, nonce=transaction.nonce, records=keys)

    return report
