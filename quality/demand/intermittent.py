"""Demand that is zero in many weeks: quantiles from what was seen, and a mean that is right in sum.

An error per week says little here (a forecast of nothing has the least absolute error), so these series are judged by
the pinball loss over nine quantiles, over the series' scale. Quantiles are those of past weeks, recent ones counting
more in some candidates; which candidate counts is decided by the back-test over all series of the set. The mean is that
of Croston's method, TSB (Teunter, Syntetos and Babai 2011), ADIDA or the past weeks, whichever has the least squared
error.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from millmark.quality.demand.conformal import reaches
from millmark.quality.demand.measures import Values, scaled_pinball
from millmark.quality.demand.members import intermittent_models

LEVELS: Final = tuple(step / 10 for step in range(1, 10))
_LONGEST_GAP = 1.32
"""Mean weeks from one demand to the next from which demand is intermittent (Syntetos, Boylan and Croston 2005)."""
_LEAST = 8
_SPANS: Final = {"all weeks": 0, "26 weeks": 26, "52 weeks": 52}
_HALF_LIVES: Final = {"half-life 8": 8.0, "half-life 26": 26.0}
MEANS: Final = ("Past mean", "CrostonOptimized", "TSB", "ADIDA")


class Choice:
    """Which candidates are used, and how each did on the back-test."""

    def __init__(self, quantiles: Mapping[str, float], means: Mapping[str, float]) -> None:
        self.quantile_losses, self.mean_losses = dict(quantiles), dict(means)
        self.quantiles = min(quantiles, key=lambda name: quantiles[name], default="Blend")
        self.mean = min(means, key=lambda name: means[name], default="Past mean")


def is_intermittent(history: Values) -> bool:
    """Whether demand comes on average less than every 1.32 weeks; not said of what was never or always zero."""
    wanted = int((history > 0).sum())
    return bool((history >= 0).all()) and wanted > 0 and len(history) / wanted > _LONGEST_GAP


def scale_of_demand(history: Values) -> float:
    """Mean absolute change from week to week since the first demand, as the M5 competition scales its losses."""
    wanted = np.flatnonzero(history)
    active = history[wanted[0] :] if len(wanted) else history
    changes = np.abs(np.diff(active))
    found = float(changes.mean()) if len(changes) else 0.0
    return found if found > 0 else 1.0


def choose(histories: Sequence[Values], horizon: int, windows: int, *, plain: bool = False) -> Choice:
    """Judges all candidates where each history has the weeks for it; without any, their blend and the past mean. If
    `plain`, the past mean is the only one."""
    quantile_losses: dict[str, list[float]] = {}
    mean_losses: dict[str, list[float]] = {}
    for history in histories:
        for window in range(1, windows + 1):
            past, actual = history[: -window * horizon], history[len(history) - window * horizon :][:horizon]
            if len(past) < _LEAST or not past.any():
                break
            scale = scale_of_demand(past)
            for name, quantiles in _candidates(past).items():
                loss = scaled_pinball(quantiles[:, None], LEVELS, actual, scale)
                quantile_losses.setdefault(name, []).append(loss)
            for name, mean in ({} if plain else _means(past, horizon)).items():
                mean_losses.setdefault(name, []).append(((float(actual.mean()) - mean) / scale) ** 2)
    return Choice(
        {name: float(np.mean(losses)) for name, losses in quantile_losses.items()},
        {name: float(np.mean(losses)) for name, losses in mean_losses.items()},
    )


def forecast_quantiles(history: Values, name: str, levels: Sequence[float] = LEVELS) -> Values:
    """Quantiles of a week's demand at these levels, the same for all coming weeks."""
    return _candidates(history, levels)[name]


def forecast_interval(history: Values, name: str, level: float) -> tuple[float, float] | None:
    """The interval that leaves out as much below as above; None where so few weeks count that the largest of them says
    too little about so high a level."""
    if not reaches(_counting(len(history), name), level):
        return None
    tail = (1 - level) / 2
    low, high = forecast_quantiles(history, name, (tail, 1 - tail))
    return float(low), float(high)


def forecast_mean(history: Values, horizon: int, name: str) -> float:
    """Mean demand in a week, never below zero."""
    return _means(history, horizon)[name] if name != "Past mean" else float(history[-52:].mean())


def _candidates(history: Values, levels: Sequence[float] = LEVELS) -> dict[str, Values]:
    found = {}
    for name, span in _SPANS.items():
        part = history[-span:]
        found[name] = _weighted(part, np.ones(len(part)), levels)
    for name, half_life in _HALF_LIVES.items():
        found[name] = _weighted(history, _weights(len(history), half_life), levels)
    found["Blend"] = np.mean(list(found.values()), axis=0)
    return found


def _weights(weeks: int, half_life: float) -> Values:
    return np.asarray(0.5 ** (np.arange(weeks)[::-1] / half_life))


def _counting(weeks: int, name: str) -> float:
    """How many weeks of equal weight say as much as those that a candidate takes its quantiles from (Kish 1965)."""
    if name in _SPANS:
        return min(weeks, _SPANS[name] or weeks)
    if name in _HALF_LIVES:
        weights = _weights(weeks, _HALF_LIVES[name])
        return float(weights.sum() ** 2 / (weights**2).sum())
    return min(_counting(weeks, one) for one in (*_SPANS, *_HALF_LIVES))


def _weighted(values: Values, weights: Values, levels: Sequence[float]) -> Values:
    """Quantiles of a weighted sample: linear between the middles of the steps, so that they do not jump."""
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order])
    middles = (summed - weights[order] / 2) / summed[-1]
    return np.asarray(np.interp(levels, middles, values[order]))


def _means(history: Values, horizon: int) -> dict[str, float]:
    found = {"Past mean": float(history[-52:].mean())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about smoothing that hit its bounds
        for name, model in intermittent_models().items():
            made = float(np.mean(model.forecast(history, horizon)["mean"]))
            found[name] = max(made, 0.0) if np.isfinite(made) else found["Past mean"]
    return found
