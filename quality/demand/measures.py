"""What forecasts are judged by. Errors are scaled by those of the (seasonal) naive forecast within the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]


def scale_of(history: Values, season: int) -> float:
    """Mean absolute error of the seasonal naive forecast within the history (Hyndman and Koehler 2006); that of the
    naive one where the history is no longer than a season; 1 for a history that never changes."""
    lag = season if len(history) > season else 1
    changes = np.abs(history[lag:] - history[:-lag])
    found = float(changes.mean()) if len(changes) else 0.0
    return found if found > 0 else 1.0


def scaled_pinball(quantiles: Values, levels: Sequence[float], actual: Values, scale: float) -> float:
    """Mean pinball loss over levels and steps, over the scale. `quantiles`: a row for each level, a column for each
    step, or a single column for all of them."""
    wide = np.broadcast_to(quantiles, (len(levels), len(actual)))
    wanted = np.asarray(levels)[:, None]
    gaps = actual[None, :] - wide
    return float(np.maximum(wanted * gaps, (wanted - 1) * gaps).mean()) / scale
