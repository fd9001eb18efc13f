"""What was learned of preferences, and what follows from it: shares, and ratios of coefficients."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError
from millmark.quality.preference.choices import Choices
from millmark.quality.preference.draws import normal_draws

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
        self._verify(choices)
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

    def _verify(self, choices: Choices) -> None:
        if (choices.names, choices.scales) != (self.names, self.scales):
            raise InputError("the choices have other attributes than the model", hint="build them in the same way")


def _probabilities(utilities: _Array, available: NDArray[np.bool_]) -> _Array:
    shown = np.where(available, utilities, -np.inf)
    raised = np.exp(shown - shown.max(axis=1, keepdims=True))
    found: _Array = raised / raised.sum(axis=1, keepdims=True)
    return found
