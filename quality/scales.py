"""Fits scales to training values. Needs numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from millmark.quality.inputs import MAX_SHIFT, Scale

_SPREAD_QUANTILE = 0.999
"""Values whose distance from the mean is above this quantile saturate: a few clipped outliers cost less than coarse
steps."""


def fit_scales(fixed: NDArray[np.int64], limit: int, *, shared: bool) -> tuple[Scale, ...]:
    """Scales that spread fixed-point training values (n, width) over -limit..limit around their mean.

    One scale for all columns if `shared` (a time series keeps its shape), else one per column (the columns of a table
    have different units). About one value in a thousand saturates.
    """
    columns = [fixed.ravel()] if shared else list(fixed.T)
    return tuple(_fit_scale(column, limit) for column in columns)


def _fit_scale(column: NDArray[np.int64], limit: int) -> Scale:
    zero = round(float(column.mean()))
    distances = np.abs(column - zero)
    # A column that is almost always constant has quantile 0; its extremes still carry information.
    spread = int(np.quantile(distances, _SPREAD_QUANTILE)) or int(distances.max())
    if not spread:
        # A constant column: every value becomes word 0.
        return Scale(zero=zero, multiplier=1, shift=MAX_SHIFT)
    # The largest shift with an 8-bit multiplier: the finest approximation of limit / spread that the format allows.
    shift = 0
    while shift < MAX_SHIFT and (limit << (shift + 1)) // spread <= 255:
        shift += 1
    return Scale(zero=zero, multiplier=min(255, max(1, (limit << shift) // spread)), shift=shift)
