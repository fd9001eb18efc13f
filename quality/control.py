"""Shewhart control charts: individuals with moving ranges, and proportions, with the Western Electric rules.

The limits are computed from a reference period and do not move afterwards: a process that drifts must not widen them.

    individuals      mean of x ± 3 sigma, sigma = mean moving range / d2
    moving range     0 to D4 times the mean moving range
    proportion       p ± 3 sqrt(p (1 - p) / n), cut off at 0 and 1, for each group of n

Source: NIST/SEMATECH e-Handbook of Statistical Methods, sections 6.3.2 (rules), 6.3.2.2 (individuals) and 6.3.3.2
(proportions). Constants for ranges of two: ASTM E2587, d2 = 1.128, D4 = 3.267. Floats suffice here: no hash covers the
results.

Not established: that a signal has a cause in the process, or that there is none without one. With all four rules, a
process in control still raises a signal about once in 92 points (Champ and Woodall, Technometrics 29, 1987); scores of
a classifier are neither normal nor independent, which makes it more often.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from millmark.quality.errors import InputError

D2, D4 = 1.128, 3.267
_LIMIT = 3.0


class Rule(enum.Enum):
    """The four rules of Western Electric's Statistical Quality Control Handbook (1956), page 25 and following. Each is
    (points that must be beyond, out of how many in a row, beyond how many sigma), all on the same side of the centre
    line."""

    ONE = (1, 1, 3.0)
    TWO_OF_THREE = (2, 3, 2.0)
    FOUR_OF_FIVE = (4, 5, 1.0)
    EIGHT = (8, 8, 0.0)

    @property
    def needed(self) -> int:
        return self.value[0]

    @property
    def window(self) -> int:
        return self.value[1]

    @property
    def beyond(self) -> float:
        """In sigma."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that fired."""

    rule: Rule
    place: int
    """Index of the point that completed it."""
    above: bool
    """Whether the points are above the centre line."""


@dataclass(frozen=True, slots=True)
class ControlPoint:
    """A plotted value and its limits."""

    value: float
    center: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ControlChart:
    """Points in order, and what the rules found in them."""

    points: tuple[ControlPoint, ...]
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Individuals:
    """A chart of single values, and one of the ranges between neighbours."""

    values: ControlChart
    ranges: ControlChart
    """One point less. Only the rule of one point beyond the limit applies: neighbouring ranges share a value."""
    sigma: float


@dataclass(frozen=True, slots=True)
class Group:
    """Units that were inspected together. Raises InputError unless 0 <= failed <= inspected, which is not 0."""

    failed: int
    inspected: int

    def __post_init__(self) -> None:
        if not 0 <= self.failed <= self.inspected or not self.inspected:
            raise InputError(f"{self.failed} of {self.inspected} units cannot have failed")


def find_signals(scores: Sequence[float], rules: Sequence[Rule] = tuple(Rule)) -> tuple[Signal, ...]:
    """Where the rules fire. `scores` are distances from the centre line in sigma; infinite ones are beyond all limits.
    A rule fires at a point that is itself beyond the rule's line, if it is the last of enough such points on its side.
    A point on a line is not beyond it. Raises InputError for a NaN."""
    if any(math.isnan(score) for score in scores):
        raise InputError("a control chart has a value that is not a number")
    found = []
    for place, score in enumerate(scores):
        for rule in rules:
            if abs(score) <= rule.beyond or place + 1 < rule.needed:
                continue
            side = math.copysign(1.0, score)
            recent = scores[max(0, place + 1 - rule.window) : place + 1]
            if sum(side * one > rule.beyond for one in recent) >= rule.needed:
                found.append(Signal(rule, place, score > 0))
    return tuple(found)


def chart_individuals(reference: Sequence[float], values: Sequence[float]) -> Individuals:
    """Chart values in order, with limits from those of the reference period, which may be among them. Raises InputError
    if the reference has fewer than two values, or a value is not finite."""
    if len(reference) < 2:
        raise InputError(f"limits cannot be computed from {len(reference)} values", hint="give at least two")
    if not all(math.isfinite(value) for value in (*reference, *values)):
        raise InputError("a control chart has a value that is not a finite number")
    center, mean_range = math.fsum(reference) / len(reference), math.fsum(_ranges(reference)) / (len(reference) - 1)
    sigma = mean_range / D2
    points = tuple(ControlPoint(one, center, center - _LIMIT * sigma, center + _LIMIT * sigma) for one in values)
    widths = tuple(ControlPoint(one, mean_range, 0.0, D4 * mean_range) for one in _ranges(values))
    beyond = tuple(Signal(Rule.ONE, place, True) for place, one in enumerate(widths) if one.value > one.upper)
    signals = find_signals([_distance(value - center, sigma) for value in values])
    return Individuals(ControlChart(points, signals), ControlChart(widths, beyond), sigma)


def chart_proportions(reference: Sequence[Group], groups: Sequence[Group]) -> ControlChart:
    """Chart the share of failed units in each group, with limits from the groups of the reference period, for the size
    of each group. Raises InputError if the reference is empty."""
    if not reference:
        raise InputError("limits cannot be computed without a reference period")
    center = sum(one.failed for one in reference) / sum(one.inspected for one in reference)
    points, scores = [], []
    for one in groups:
        sigma = math.sqrt(center * (1 - center) / one.inspected)
        low, high = max(0.0, center - _LIMIT * sigma), min(1.0, center + _LIMIT * sigma)
        points.append(ControlPoint(one.failed / one.inspected, center, low, high))
        scores.append(_distance(points[-1].value - center, sigma))
    return ControlChart(tuple(points), find_signals(scores))


def _ranges(values: Sequence[float]) -> list[float]:
    return [abs(after - before) for before, after in pairwise(values)]


def _distance(difference: float, sigma: float) -> float:
    """In sigma. A reference period without any spread puts every other value beyond all limits."""
    if sigma > 0:
        return difference / sigma
    return 0.0 if difference == 0 else math.copysign(math.inf, difference)
