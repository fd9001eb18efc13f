"""How a node is: what it takes in, what it has recorded, what waits and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ledger.store.outbox import Outbox
from services.node.chainhead import ChainHead
from services.node.submission import Trouble
from services.text.outbox import describe_queue

__all__ = ["Health", "StreamHealth", "describe_outbox"]


@dataclass(frozen=True, slots=True)
class StreamHealth:
    name: str
    entries: int
    """Durable."""
    anchored: int
    """Under the latest anchor that is queued or on the ledger."""
    failure: str | None
    """Why the latest batch was not taken; None when it was."""


@dataclass(frozen=True, slots=True)
class Health:
    """At one moment."""

    streams: Sequence[StreamHealth]
    chain_connected: bool
    head: ChainHead
    troubles: Sequence[Trouble]
    outbox: dict[str, object]

    @property
    def ready(self) -> bool:
        """Whether events are taken. A chain that is away does not matter: what is recorded waits."""
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
    """Records by state, their ages, and the oldest that waits, with the reason."""
    return {"records": dict(outbox.counts()), **describe_queue(outbox, time.time())}
