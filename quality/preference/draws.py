"""Draws from the normal distribution that are the same everywhere: Halton sequences, shifted by a seed."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
_SKIPPED = 50


def normal_draws(count: int, width: int, seed: int) -> NDArray[np.float64]:
    """`count` x `width`; more evenly spread than random numbers, so that fewer suffice (Train 2009, chapter 9)."""
    shifts = np.random.default_rng(seed).random(width)
    normal, found = NormalDist(), np.empty((count, width))
    for column in range(width):
        base = _PRIMES[column % len(_PRIMES)]
        for row in range(count):
            place = (_radical_inverse(row + _SKIPPED, base) + shifts[column]) % 1.0
            found[row, column] = normal.inv_cdf(min(max(place, 1e-9), 1 - 1e-9))
    return found


def _radical_inverse(number: int, base: int) -> float:
    found, unit = 0.0, 1.0
    while number:
        unit /= base
        number, digit = divmod(number, base)
        found += digit * unit
    return found
