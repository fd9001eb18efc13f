"""Series of demand that are drawn from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_intermittent", "draw_series"]

_Values = NDArray[np.float64]


def draw_series(
    count: int, weeks: int, horizon: int, seed: int, season: int = 12
) -> tuple[list[_Values], list[_Values]]:
    """Regular demand: level, trend, errors that last, half of it with a season. Returns histories, and what followed
    each."""
    random = np.random.default_rng(seed)
    histories, actual = [], []
    for number in range(count):
        steps = np.arange(weeks + horizon)
        errors = np.zeros(weeks + horizon)
        for place in range(1, weeks + horizon):
            errors[place] = 0.6 * errors[place - 1] + random.normal(0, 3)
        wave = 8 * np.sin(2 * np.pi * steps / season) if number % 2 else 0.0
        values = 60 + random.uniform(-0.3, 0.6) * steps + wave + errors
        histories.append(values[:weeks])
        actual.append(values[weeks:])
    return histories, actual


def draw_intermittent(count: int, weeks: int, seed: int) -> list[_Values]:
    """Demand in few weeks: how many, and how much then, differs between series and drifts within each; sizes are
    negative binomial, as of spare parts."""
    random = np.random.default_rng(seed)
    found: list[_Values] = []
    while len(found) < count:
        often = np.clip(random.uniform(0.1, 0.45) + random.normal(0, 0.01, weeks).cumsum(), 0.05, 0.6)
        sizes = 1 + random.negative_binomial(2, random.uniform(0.2, 0.6), weeks)
        values = np.where(random.random(weeks) < often, sizes, 0).astype(np.float64)
        if np.count_nonzero(values) >= 8:
            found.append(values)
    return found
