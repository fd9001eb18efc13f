"""The latest block that the node has seen, and whether the chain stalls: a transaction waits but no block is added."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.text.outbox import STALL_S

__all__ = ["ChainHead"]


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
