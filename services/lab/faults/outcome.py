"""What a run hands over to be reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.lab.faults.verdict import Verdict

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    engine: str
    injected: Mapping[str, int]
    """Faults by kind."""
    verdict: Verdict
    figures: Mapping[str, float | int] = field(default_factory=dict)
    """What else was measured, by a name that ends in its unit."""
    broken: tuple[str, ...] = ()
    """Promises beside the verdict's that did not hold, one line each."""
