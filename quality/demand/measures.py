"""What forecasts are judged by, the intervals that follow from their errors, and how a total is brought in line with
its parts. Errors are scaled by those of the (seasonal) naive forecast within the history."""

from __future__ import annotations

import math
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


# Intervals by split conformal prediction: no distribution is assumed, only that errors go on as in the back-test.
# An error is divided by how large errors are at its step of the horizon (over all series), and by how large they are
# for its series (in the other windows, so that no error is judged by itself). The quantile of these quotients,
# multiplied by the same two sizes, is half the width of the interval (Papadopoulos et al. 2002; Lei et al. 2018).

LEAST_ERRORS = 6
"""Fewer errors than these say nothing about an interval of 80 %."""
_OWN = 0.5
"""Weight of the series' own errors against those of all, in the size of its errors."""


def conformal_rank(count: float, level: float) -> int:
    """The rank k, counted from the least, for which the next error is at most the k-th of `count` errors with at least
    the probability `level`."""
    # Of n errors and the next one, each is equally likely to be the largest. Rounded, as 0.55 * 100 is above 55.
    return math.ceil(round((count + 1) * level, 9))


def reaches(count: float, level: float) -> bool:
    """Whether the next value is at most the largest of `count` values with at least the probability `level`."""
    return conformal_rank(count, level) <= count


def half_widths(errors: Sequence[Values], scales: Sequence[float], horizon: int, level: float) -> list[Values] | None:
    """Half the width of each series' interval at each step; None where there are too few errors for the level.
    `errors`: for each series the back-test's absolute errors, a row for each window, a column for each step; without
    rows for a series that has none. `scales`: of each series, that make errors of different series comparable."""
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


# Brings a total and its parts in line: the figures that add up and are nearest to those that were forecast.
# That is MinT with equal weights (Wickramasuriya, Athanasopoulos and Hyndman 2019), for a total that is split in
# several ways at once: the values of each option add up to the product's demand.


def reconcile(total: Values, groups: Sequence[Sequence[Values]]) -> tuple[Values, list[Values]]:
    """Return the total, and for each group its parts as rows, so that in every step the parts of a group add up to the
    total and nothing is below zero."""
    if not groups:
        return np.maximum(total, 0.0), []
    stacked = np.vstack([total, *(part for group in groups for part in group)])
    # Each row says: the total less the parts of one group is zero.
    rules = np.zeros((len(groups), len(stacked)))
    rules[:, 0], place = 1.0, 1
    for row, group in enumerate(groups):
        rules[row, place : place + len(group)] = -1.0
        place += len(group)
    nearest = stacked - rules.T @ np.linalg.solve(rules @ rules.T, rules @ stacked)
    top, place, found = np.maximum(nearest[0], 0.0), 1, []
    for group in groups:
        parts = np.maximum(nearest[place : place + len(group)], 0.0)
        place += len(group)
        # Where a part was below zero, the others are too large by as much.
        sums = parts.sum(axis=0)
        even = np.full_like(parts, 1.0 / len(group))
        found.append(top * np.divide(parts, sums, out=even, where=sums > 0))
    return top, found
