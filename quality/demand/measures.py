"""What forecasts are judged by. Errors are scaled by those of the (seasonal) naive forecast within the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Values", "coverage", "mase", "scale_of", "scaled_pinball", "smape"]

Values: TypeAlias = NDArray[np.float64]


def scale_of(history: Values, season: int) -> float:
    """Mean absolute error of the seasonal naive forecast within the history (Hyndman and Koehler 2006); that of the
    naive one where the history is no longer than a season; 1 for a history that never changes."""
    lag = season if len(history) > season else 1
    changes = np.abs(history[lag:] - history[:-lag])
    found = float(changes.mean()) if len(changes) else 0.0
    return found if found > 0 else 1.0


def mase(forecast: Values, actual: Values, history: Values, season: int) -> float:
    """Mean absolute scaled error, as the M4 competition defines it."""
    return float(np.abs(forecast - actual).mean()) / scale_of(history, season)


def smape(forecast: Values, actual: Values) -> float:
    """Symmetric mean absolute percentage error in per cent, as the M4 competition defines it; 0 of 0 counts as 0."""
    sizes = np.abs(forecast) + np.abs(actual)
    errors = np.divide(np.abs(forecast - actual), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return float(200 * errors.mean())


def coverage(low: Values, high: Values, actual: Values) -> float:
    """Share of the values that lie within their interval, both ends included."""
    return float(((low <= actual) & (actual <= high)).mean())


def scaled_pinball(quantiles: Values, levels: Sequence[float], actual: Values, scale: float) -> float:
    """Mean pinball loss over levels and steps, over the scale. `quantiles`: a row for each level, a column for each
    step, or a single column for all of them."""
    wide = np.broadcast_to(quantiles, (len(levels), len(actual)))
    wanted = np.asarray(levels)[:, None]
    gaps = actual[None, :] - wide
    return float(np.maximum(wanted * gaps, (wanted - 1) * gaps).mean()) / scale
