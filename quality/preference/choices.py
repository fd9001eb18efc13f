"""Choices among alternatives: what each alternative was like, which ones there were, and which one was taken;
and what was learned from them. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError

_MOST_CELLS = 100_000_000


@dataclass(frozen=True, slots=True)
class Choices:
    """N choices among J alternatives with K attributes."""

    attributes: NDArray[np.int64]
    """N x J x K."""
    available: NDArray[np.bool_]
    """N x J."""
    chosen: NDArray[np.int64]
    """N: the place of the alternative that was taken."""
    names: tuple[str, ...]
    """Names of the attributes."""
    scales: tuple[int, ...]
    """What each attribute is divided by before its coefficient applies."""
    people: NDArray[np.int64]
    """N: who chose; the choices of one person share that person's coefficients."""

    def __len__(self) -> int:
        return len(self.chosen)

    def pick(self, places: NDArray[np.int64] | Sequence[int]) -> Choices:
        """Some of the choices."""
        at = np.asarray(places, dtype=np.int64)
        return Choices(
            self.attributes[at], self.available[at], self.chosen[at], self.names, self.scales, self.people[at]
        )

    def scaled(self) -> NDArray[np.float64]:
        """N x J x K, divided by the scales; zero where an alternative is not available."""
        found: NDArray[np.float64] = self.attributes / np.asarray(self.scales, dtype=np.float64)
        return np.where(self.available[:, :, None], found, 0.0)


def build_choices(
    attributes: NDArray[np.int64],
    available: NDArray[np.bool_],
    chosen: NDArray[np.int64],
    names: Sequence[str],
    scales: Sequence[int] | None = None,
    people: NDArray[np.int64] | None = None,
) -> Choices:
    """Verifies shapes and that each choice was among the available alternatives. Raises InputError."""
    values, taken = np.asarray(attributes), np.asarray(chosen)
    if values.ndim != 3 or values.shape[:2] != np.shape(available) or taken.shape != values.shape[:1]:
        raise InputError(
            f"attributes of shape {values.shape} do not go with {np.shape(available)} flags, {taken.shape} choices",
            hint="give choices x alternatives x attributes",
        )
    if not np.issubdtype(values.dtype, np.integer) or not np.issubdtype(taken.dtype, np.integer):
        raise InputError("attributes and choices must be integers", hint="give cents, minutes, grams")
    count, alternatives, width = values.shape
    divisors = tuple(scales) if scales is not None else (1,) * width
    if width != len(names) or width != len(divisors) or len(set(names)) != width or any(one < 1 for one in divisors):
        raise InputError(f"{width} attributes need as many names, all different, and scales from 1 on")
    if values.size > _MOST_CELLS:
        raise InputError(f"{values.size} values are more than {_MOST_CELLS}", hint="take a sample of the choices")
    if count and not (taken.min() >= 0 and taken.max() < alternatives):
        raise InputError(f"a choice is none of the {alternatives} alternatives", hint="count alternatives from 0")
    there = np.asarray(available, dtype=bool)
    lacking = np.flatnonzero(~there[np.arange(count), taken])
    if len(lacking):
        raise InputError(
            f"choice {lacking[0] + 1} took alternative {taken[lacking[0]]}, which was not available",
            hint="correct its availability, or leave it out",
        )
    who = np.arange(count) if people is None else np.unique(np.asarray(people), return_inverse=True)[1]
    if who.shape != taken.shape:
        raise InputError(f"people lists {len(who)} for {count} choices", hint="give the person of each choice")
    return Choices(values.astype(np.int64), there, taken.astype(np.int64), tuple(names), divisors, who.astype(np.int64))


# Draws from the normal distribution that are the same everywhere: Halton sequences, shifted by a seed.

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
_SKIPPED = 50


def normal_draws(count: int, width: int, seed: int) -> NDArray[np.float64]:
    """`count` x `width`; more evenly spread than random numbers, so that fewer suffice (Train 2009, chapter 9)."""
    shifts = np.random.default_rng(seed).random(width)
    normal, found = NormalDist(), np.empty((count, width))
    for column in range(width):
        base = _PRIMES[column % len(_PRIMES)]
        for row in range(count):
            place = (_radical_inverse(row + _SKIPPED, base) + shifts[column]) % 1.0
            found[row, column] = normal.inv_cdf(min(max(place, 1e-9), 1 - 1e-9))
    return found


def _radical_inverse(number: int, base: int) -> float:
    found, unit = 0.0, 1.0
    while number:
        unit /= base
        number, digit = divmod(number, base)
        found += digit * unit
    return found


# What was learned of preferences, and what follows from it: shares, and ratios of coefficients.

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much of one attribute makes up for a unit of another."""

    value: float
    error: float | None
    """Standard error by the delta method; None where the data do not determine it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A logit model. Coefficients are per scaled unit of their attribute; one that was left out is 0."""

    names: tuple[str, ...]
    scales: tuple[int, ...]
    coefficients: _Array
    """K means."""
    deviations: _Array
    """K standard deviations between people; 0 where all are taken to have the same coefficient."""
    covariance: _Array | None
    """K x K, of the means; None where the data do not determine them."""
    log_likelihood: float
    choices: int
    draws: int
    seed: int
    notes: tuple[str, ...] = field(default=())
    """What was done instead of the usual, a line each."""

    def shares(self, choices: Choices) -> _Array:
        """N x J: how likely each available alternative is taken. Which one was is not looked at."""
        if (choices.names, choices.scales) != (self.names, self.scales):
            raise InputError("the choices have other attributes than the model", hint="build them in the same way")
        values, available = choices.scaled(), choices.available
        if not self.deviations.any():
            return _probabilities(values @ self.coefficients, available)
        found = np.zeros(available.shape)
        for draw in normal_draws(self.draws, len(self.names), self.seed):
            found += _probabilities(values @ (self.coefficients + self.deviations * draw), available)
        return found / self.draws

    def score(self, choices: Choices) -> float:
        """Log-likelihood of other choices, each by itself."""
        found = self.shares(choices)[np.arange(len(choices)), choices.chosen]
        return float(np.log(np.maximum(found, np.finfo(float).tiny)).sum())

    def ratio(self, wanted: str, paid: str) -> Ratio:
        """How much of `paid` people give for one unit less of `wanted`, both in their own units, such as cents for a
        gram of CO2e or for a day less to wait. Raises InputError for an unknown attribute, or one without effect."""
        first, second = self._place(wanted), self._place(paid)
        above, below = (self.coefficients[at] / self.scales[at] for at in (first, second))
        if below == 0:
            raise InputError(f"{paid} has no effect in this model", hint="take another attribute to pay with")
        value = float(above / below)
        if self.covariance is None:
            return Ratio(value, None)
        slope = np.zeros(len(self.names))
        slope[first] += 1 / (self.scales[first] * below)
        slope[second] -= above / (below**2 * self.scales[second])
        variance = float(slope @ self.covariance @ slope)
        return Ratio(value, float(np.sqrt(variance)) if np.isfinite(variance) and variance >= 0 else None)

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise InputError(f"the model has no attribute {name[:40]!r}", hint=f"it has {', '.join(self.names)}")
        return self.names.index(name)


def _probabilities(utilities: _Array, available: NDArray[np.bool_]) -> _Array:
    shown = np.where(available, utilities, -np.inf)
    raised = np.exp(shown - shown.max(axis=1, keepdims=True))
    found: _Array = raised / raised.sum(axis=1, keepdims=True)
    return found
