"""Random models and windows, for measurements that do not depend on what a model has learnt. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quality.fitting import undecided
from quality.inputs import Scale
from quality.network import Dense, Network

__all__ = ["build_random_mlp", "build_random_windows"]


def build_random_mlp(sizes: Sequence[int], seed: int) -> Network:
    """Dense layers of these sizes, with activations that spread over 0..127 as in a trained network."""
    rng = np.random.default_rng(seed)
    layers = []
    pairs = list(pairwise(sizes))
    for index, (reads, writes) in enumerate(pairs):
        weights = rng.integers(-127, 128, (writes, reads), dtype=np.int8)
        biases = rng.integers(-1000, 1001, writes).tolist()
        # Sums have a standard deviation of about 64 * 73 * sqrt(reads); the multiplier scales that to 40.
        multiplier = 0 if index == len(pairs) - 1 else round(2**24 * 40 / (64 * 73 * reads**0.5))
        layers.append(Dense(reads, writes, multiplier, tuple(biases), weights.tobytes()))
    return Network(sizes[0], 6, undecided(sizes[-1]), (Scale(0, 130, 20),), tuple(layers))


def build_random_windows(rows: int, width: int, seed: int) -> NDArray[np.int64]:
    """Fixed-point windows (rows, width): normal noise with a standard deviation of one unit, in millionths."""
    noise = np.random.default_rng(seed).normal(size=(rows, width)) * 1e6
    windows: NDArray[np.int64] = np.rint(noise).astype(np.int64)
    return windows
