"""The chain's head as a node sees it, and whether the chain stalls: a transaction waits, and no block comes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.text.outbox import STALL_S

__all__ = ["ChainHead"]


@dataclass(frozen=True, slots=True)
class ChainHead:
    """As last seen. Times are on the monotonic clock. Replaced, never changed, so that threads can share it."""

    number: int | None = None
    """Of the latest block; None before the chain was reached."""
    since_s: float = 0.0
    """When it was first seen."""
    waiting_since_s: float | None = None
    """Since when a transaction has waited for the next block; None when none does."""

    def see(self, number: int, waits: bool, now_s: float) -> ChainHead:
        """The next look. `waits`: a transaction is on its way to a block."""
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
        """For how long the chain has stalled; 0 while it does not."""
        waited_s = 0.0 if self.waiting_since_s is None else now_s - self.waiting_since_s
        return waited_s if waited_s >= STALL_S else 0.0

    def to_json(self, now_s: float) -> dict[str, object]:
        age_s = None if self.number is None else round(now_s - self.since_s)
        return {"head_block": self.number, "head_age_s": age_s, "stalled_s": round(self.stalled_s(now_s))}
