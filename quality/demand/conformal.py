"""Intervals by split conformal prediction: no distribution is assumed, only that errors go on as in the back-test.

An error is divided by how large errors are at its step of the horizon (over all series), and by how large they are for
its series (in the other windows, so that no error is judged by itself). The quantile of these quotients, multiplied by
the same two sizes, is half the width of the interval (Papadopoulos et al. 2002; Lei et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from millmark.quality.demand.measures import Values

LEAST_ERRORS = 6
"""Fewer errors than these say nothing about an interval of 80 %."""
_OWN = 0.5
"""Weight of the series' own errors against those of all, in the size of its errors."""


def conformal_rank(count: float, level: float) -> int:
    """Which of so many errors, from the least on, the next one is within with at least this probability."""
    # Of n errors and the next one, each is equally likely to be the largest. Rounded, as 0.55 * 100 is above 55.
    return math.ceil(round((count + 1) * level, 9))


def reaches(count: float, level: float) -> bool:
    """Whether the largest of so many values is beyond the next one with at least this probability."""
    return conformal_rank(count, level) <= count


def half_widths(errors: Sequence[Values], scales: Sequence[float], horizon: int, level: float) -> list[Values] | None:
    """Half the width of each series' interval at each step; None where there are too few errors for the level.

    `errors`: for each series the back-test's absolute errors, a row for each window, a column for each step; without
    rows for a series that has none. `scales`: of each series, that make errors of different series comparable.
    """
    scaled = [rows / scale for rows, scale in zip(errors, scales, strict=True)]
    together = np.concatenate(scaled) if scaled else np.empty((0, horizon))
    if together.size < LEAST_ERRORS or not reaches(together.size, level):
        return None
    growth = _growth(together)
    everyone = float((together / growth).mean())
    if everyone == 0:
        return [np.zeros(horizon) for _ in errors]
    quotients = np.concatenate([_quotients(rows / growth, everyone) for rows in scaled])
    quantile = float(np.sort(quotients)[conformal_rank(len(quotients), level) - 1])
    return [
        quantile * _size(rows / growth, everyone) * growth * scale for rows, scale in zip(scaled, scales, strict=True)
    ]


def _growth(together: Values) -> Values:
    """How large errors are at each step, never less than at the step before."""
    means = np.maximum.accumulate(together.mean(axis=0))
    first = means[means > 0]
    return np.maximum(means, first[0] if len(first) else 1.0)


def _quotients(rows: Values, everyone: float) -> Values:
    return np.concatenate(
        [rows[place] / _size(np.delete(rows, place, axis=0), everyone) for place in range(len(rows))] or [np.empty(0)]
    )


def _size(rows: Values, everyone: float) -> float:
    own = float(rows.mean()) if rows.size else everyone
    return _OWN * own + (1 - _OWN) * everyone
