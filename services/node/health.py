"""A node's health: what it has captured and recorded, what is waiting, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from millmark.ledger.errors import ChainUnreachableError, NodeBehindError
from millmark.ledger.store.outbox import Outbox
from millmark.services.node.submission import ChainHead
from millmark.services.serving.funds_watch import LOW_CODE
from millmark.services.serving.logs import STANDARD_ERROR
from millmark.services.serving.troubles import HEAD_S, Trouble, describe_readiness, log_alarms
from millmark.services.text.chain_health import STANDS_REMEDY
from millmark.services.text.outbox import describe_queue

_OUTSIDE = (ChainUnreachableError.code, NodeBehindError.code, "source-disconnected", LOW_CODE)
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
    found: Sequence[Trouble]
    """Everything that does not work at present."""
    outbox: dict[str, object]
    """Empty if the database does not answer."""
    timed_blocks: bool = False
    """Whether blocks come by themselves on this engine."""

    @property
    def troubles(self) -> Sequence[Trouble]:
        """What makes the node not ready: somebody has to do something."""
        return [one for one in self.found if one.code not in _OUTSIDE]

    @property
    def alarms(self) -> Sequence[Trouble]:
        """What is wrong outside of the node, or with its log alone."""
        return [*(one for one in self.found if one.code in _OUTSIDE), *self._stalls(), *log_alarms()]

    @property
    def ready(self) -> bool:
        """Whether all parts of the node do their work. An unreachable chain does not matter: events are accepted, and
        records are queued."""
        return not self.troubles and all(stream.failure is None for stream in self.streams)

    def to_json(self) -> dict[str, object]:
        return {
            **describe_readiness(self.troubles, self.alarms),
            "status": "ready" if self.ready else "not ready",
            "streams": [asdict(stream) for stream in self.streams],
            "chain_connected": self.chain_connected,
            "chain": self.head.to_json(time.monotonic()),
            "outbox": self.outbox,
            "log_lines_lost": STANDARD_ERROR.lost,
        }

    def _stalls(self) -> list[Trouble]:
        now_s, hint = time.monotonic(), STANDS_REMEDY
        stalled_s = self.head.stalled_s(now_s)
        if stalled_s:
            cause = f"no block for {stalled_s:.0f} s although transactions are pending"
            return [Trouble("chain", "chain-stalled", cause, time.time() - stalled_s, hint)]
        age_s = 0.0 if self.head.number is None else now_s - self.head.since_s
        if self.timed_blocks and age_s > HEAD_S:
            cause = f"no new block for {age_s:.0f} s: the chain stands, or its node is cut off"
            return [Trouble("chain", "head-frozen", cause, time.time() - age_s, hint)]
        return []


def describe_outbox(outbox: Outbox) -> dict[str, object]:
    """Number and age of records by state, and the oldest one that is waiting, with the reason."""
    return {"records": dict(outbox.counts()), **describe_queue(outbox, time.time())}
