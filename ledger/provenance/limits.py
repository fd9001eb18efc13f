"""How far answers go."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MOST_RECALLED", "MOST_TRACED", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an answer goes; what lies beyond is cut off, and the answer says so."""

    depth: int = 64
    """Steps from the lot that is asked about."""
    lots: int = 1_000
    """In one list of lots, the nearest first."""


MOST_TRACED = Limits(depth=256, lots=10_000)
"""The most that a trace may ask for. Also how far lines are followed to decide who may see what."""
MOST_RECALLED = Limits(depth=256, lots=100_000)
"""The most that a recall may ask for, and its default: one that leaves something out is worse than a slow one."""
