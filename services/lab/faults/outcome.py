"""The outcome of one fault run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.lab.faults.ledger_check import LedgerCheck

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The faults that a run injected, the ledger's content afterwards, and other measurements."""

    engine: str
    injected: Mapping[str, int]
    """Number of injected faults by kind."""
    check: LedgerCheck
    figures: Mapping[str, float | int] = field(default_factory=dict)
    """Other measurements; each name ends in the unit."""
    broken: tuple[str, ...] = ()
    """Other guarantees of the run that did not hold, one line each."""
