"""A node's health: what it has captured and recorded, what is waiting, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ledger.store.outbox import Outbox
from services.node.submission import ChainHead, Trouble
from services.text.outbox import describe_queue

__all__ = ["Health", "StreamHealth", "describe_outbox"]


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """Progress and state of one stream."""

    name: str
    entries: int
    """Number of durable entries."""
    anchored: int
    """Number of entries under the latest anchor, queued or on the ledger."""
    failure: str | None
    """Why the latest commit failed; None if it succeeded."""


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of the node's health."""

    streams: Sequence[StreamHealth]
    chain_connected: bool
    head: ChainHead
    troubles: Sequence[Trouble]
    outbox: dict[str, object]

    @property
    def ready(self) -> bool:
        """Whether events are accepted. An unreachable chain does not matter, since records are queued."""
        return all(stream.failure is None for stream in self.streams)

    def to_json(self) -> dict[str, object]:
        return {
            "status": "ready" if self.ready else "not ready",
            "streams": [asdict(stream) for stream in self.streams],
            "chain_connected": self.chain_connected,
            "chain": self.head.to_json(time.monotonic()),
            "troubles": [asdict(trouble) for trouble in self.troubles],
            "outbox": self.outbox,
        }


def describe_outbox(outbox: Outbox) -> dict[str, object]:
    """Number and age of records by state, and the oldest one that is waiting, with the reason."""
    return {"records": dict(outbox.counts()), **describe_queue(outbox, time.time())}
