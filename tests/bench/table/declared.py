"""What a row of the table is, and what a measurement of it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Bound", "Figure", "Goal", "Measured", "Row"]


class Bound(Enum):
    """What a reach is about."""

    TIMES = "times"
    """The peer's cost divided by Millmark's, at least."""
    SLOWER = "times slower"
    """Millmark's cost divided by the peer's, at most."""
    OWN = ""
    """Millmark's own figure, at most, in its unit."""
    LEAST = "at least"
    """Millmark's own figure, at least, in its unit."""
    SHOWN = "shown"
    """No reach."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison. Costs, the less the better, but where the goal says otherwise."""

    own: float
    unit: str
    peer: float | None = None
    low: float | None = None
    """Least ratio, peer's cost to own, of a round."""
    high: float | None = None

    @property
    def times(self) -> float | None:
        """The peer's cost divided by Millmark's."""
        return None if self.peer is None or not self.own else self.peer / self.own


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: a figure of the row, and what it should reach."""

    figure: str
    """Its name in `Measured.figures`."""
    what: str
    """With the peer, as the table shows it."""
    bound: Bound = Bound.SHOWN
    reach: float = 0.0

    def is_reached(self, figure: Figure) -> bool | None:
        """None if there is nothing to reach."""
        times = figure.times
        if self.bound is Bound.OWN:
            return figure.own <= self.reach
        if self.bound is Bound.LEAST:
            return figure.own >= self.reach
        if self.bound is Bound.SHOWN or times is None:
            return None
        return times >= self.reach if self.bound is Bound.TIMES else 1 / times <= self.reach


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what is measured, beside what, and what it should reach."""

    name: str
    """What `scripts/bench NAME` takes."""
    title: str
    peer: str
    measure: str
    """MODULE:FUNCTION below tests.bench.table, which takes nothing and returns `Measured`."""
    goals: tuple[Goal, ...]
    budget_s: float
    """A row that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row's measurement found."""

    figures: Mapping[str, Figure]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why a figure is missing, by its name."""
    notes: tuple[str, ...] = ()
