"""The columns that trees compare: scales that keep sensor values apart, and candidates for derived columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from quality.inputs import Scale
from quality.trees.records import MAX_INPUT, Derived, Operation

__all__ = ["derive_floats", "fit_scales", "propose_derived"]

_SHIFT_STEP = 8
"""Shifts are multiples of this, so that columns with the same unit mostly share a scale."""
_HEADROOM = 4
"""Values up to this many times the largest one in training are not clamped."""


def fit_scales(fixed: NDArray[np.int64]) -> tuple[Scale, ...]:
    """Scales for fixed-point values (n, width): one if all columns can share it, else one per column.

    Zero maps to zero, so that the product of two columns is a product of two physical quantities. The shift is the
    smallest multiple of 8 that leaves headroom. With such coarse steps, columns with the same unit mostly share a
    scale; only then is their difference meaningful.
    """
    scales = []
    for largest in np.abs(fixed).max(axis=0).tolist():
        shift = 0
        while largest * _HEADROOM >> shift > MAX_INPUT:
            shift += _SHIFT_STEP
        scales.append(Scale(zero=0, multiplier=1, shift=shift))
    return (scales[0],) if len(set(scales)) == 1 else tuple(scales)


def propose_derived(columns: Sequence[int], scales: Sequence[Scale]) -> tuple[Derived, ...]:
    """All differences of two of these columns that share a scale, then all products of two; ascending."""
    pairs = list(combinations(sorted(columns), 2))
    alike = [pair for pair in pairs if len(scales) == 1 or scales[pair[0]] == scales[pair[1]]]
    return tuple(Derived(Operation.DIFFERENCE, *pair) for pair in alike) + tuple(
        Derived(Operation.PRODUCT, *pair) for pair in pairs
    )


def derive_floats(fixed: NDArray[np.int64], scales: Sequence[Scale], derived: Sequence[Derived]) -> NDArray[np.float64]:
    """Columns (n, width + derived) of fixed-point values (n, width), in the integer columns' units but unrounded."""
    zero, factor = np.array([(scale.zero, scale.multiplier / 2**scale.shift) for scale in scales], dtype=np.float64).T
    columns = (fixed - zero) * factor
    extra = [
        columns[:, column.first] - columns[:, column.second]
        if column.operation is Operation.DIFFERENCE
        else columns[:, column.first] * columns[:, column.second]
        for column in derived
    ]
    return np.column_stack([columns, *extra])
