"""The rocket model in numpy: n windows at once, in int16.

Responses stay within 1524 and sums of nine words within 1143, so nothing leaves int16. Counts times weights are added
up in float64, which is exact: no partial sum reaches 2^31 (`Rocket` checks it), let alone 2^53.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from quality.evaluate.scaling import quantise_windows
from quality.rocket.records import KERNELS, REACH, TAPS, Rocket, Section

__all__ = ["prepare", "prepare_section", "quantise"]

Words = NDArray[np.int8]
Counts = NDArray[np.int32]
_CHUNK_BYTES = 2**22
"""Responses that are in memory at a time: about what a processor's cache holds."""


def quantise(model: Rocket, windows: NDArray[np.int64]) -> Words:
    """int8 inputs (n, width) of fixed-point sensor values (n, width) in units of 10^-decimals.

    Raises InputError when the shape is another or a value exceeds 2^53 - 1 in magnitude.
    """
    return quantise_windows(model, windows).astype(np.int8)


def prepare(model: Rocket) -> Callable[[Words], NDArray[np.int32]]:
    """A function from int8 inputs (n, width) to logits int32 (n, k)."""
    counters = [prepare_section(section, model.width) for section in model.sections]
    features = [feature for section in model.sections for feature in section.features]
    weights = np.array([feature.weights for feature in features], dtype=np.float64)
    biases = np.array(model.biases, dtype=np.float64)

    def infer(inputs: Words) -> NDArray[np.int32]:
        counts = np.concatenate([count(inputs) for count in counters], axis=1)
        return (counts @ weights + biases).astype(np.int32)

    return infer


def prepare_section(section: Section, width: int) -> Callable[[Words], Counts]:
    """A function from int8 inputs (n, width) to counts int32 (n, features) of one section."""
    used = sorted({feature.kernel for feature in section.features})
    heavy = np.array([KERNELS[kernel] for kernel in used]).T  # (3, kernels used)
    which = np.array([used.index(feature.kernel) for feature in section.features])
    biases = np.array([feature.bias for feature in section.features], dtype=np.int16)[:, np.newaxis]
    margin = REACH // 2 * section.dilation if section.padded else 0
    positions = section.positions(width)
    taps = [slice(tap * section.dilation, tap * section.dilation + positions) for tap in range(TAPS)]
    rows = max(1, _CHUNK_BYTES // (2 * positions * len(which)))

    def count_chunk(inputs: Words) -> Counts:
        padded = np.pad(inputs.astype(np.int16), ((0, 0), (margin, margin)))
        seen = np.stack([padded[:, tap] for tap in taps], axis=1)  # (n, 9, positions)
        # A kernel weighs its three taps 2 and the others -1: three times its own, less all.
        total = seen.sum(axis=1, keepdims=True, dtype=np.int16)
        seen *= 3
        responses = seen[:, heavy[0]] + seen[:, heavy[1]] + seen[:, heavy[2]] - total  # (n, kernels used, positions)
        counts: Counts = np.count_nonzero(responses[:, which] > biases, axis=2).astype(np.int32)
        return counts

    def count(inputs: Words) -> Counts:
        chunks = [count_chunk(inputs[start : start + rows]) for start in range(0, len(inputs), rows)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(which)), dtype=np.int32)

    return count
