"""Limits of answers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_RECALLED", "MAX_TRACED", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one answer. What lies beyond them is left out, and the answer states that."""

    depth: int = 64
    """Maximum number of steps from the lot that the request names."""
    lots: int = 1_000
    """Maximum number of lots in each list; the nearest are kept."""


MAX_TRACED = Limits(depth=256, lots=10_000)
"""The largest limits of a trace, and the bounds within which permissions follow transformations."""
MAX_RECALLED = Limits(depth=256, lots=100_000)
"""The largest limits of a recall, and its default: an incomplete recall is worse than a slow one."""
