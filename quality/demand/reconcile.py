"""Brings a total and its parts in line: the figures that add up and are nearest to those that were forecast.

That is MinT with equal weights (Wickramasuriya, Athanasopoulos and Hyndman 2019), for a total that is split in several
ways at once: the values of each option add up to the product's demand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from millmark.quality.demand.measures import Values


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
