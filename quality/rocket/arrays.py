"""The rocket model in numpy, for n windows at once.

Responses are float32 matrix products of integers. No partial sum exceeds 12 * 127, so they are exact in any order of
addition and fit in int16, the type in which they are compared and counted. Products of counts and weights are summed in
float64, which is exact too: `Rocket` checks that no partial sum reaches 2^31, let alone 2^53.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from millmark.quality.evaluate.scaling import quantise_windows
from millmark.quality.rocket.records import KERNELS, REACH, TAPS, Rocket, Section

Words = NDArray[np.int8]
Counts = NDArray[np.int16]
_CHUNK_BYTES = 2**21
"""Responses in memory at a time: about the size of a processor's cache."""


def quantise(model: Rocket, windows: NDArray[np.int64]) -> Words:
    """int8 inputs (n, width) of fixed-point sensor values (n, width) in units of 10^-decimals. Raises InputError if the
    shape differs, or a value exceeds 2^53 - 1 in magnitude."""
    return quantise_windows(model, windows).astype(np.int8)


def prepare(model: Rocket) -> Callable[[Words], NDArray[np.int32]]:
    """A function from int8 inputs (n, width) to logits int32 (n, k), with its kernels and weights converted once."""
    counters = [prepare_section(section, model.width) for section in model.sections]
    features = [feature for section in model.sections for feature in section.features]
    weights = np.array([feature.weights for feature in features], dtype=np.float64)
    biases = np.array(model.biases, dtype=np.float64)

    def infer(inputs: Words) -> NDArray[np.int32]:
        counts = np.concatenate([count(inputs) for count in counters], axis=1)
        return (counts @ weights + biases).astype(np.int32)

    return infer


def prepare_section(section: Section, width: int) -> Callable[[Words], Counts]:
    """A function from int8 inputs (n, width) to counts int16 (n, features) of one section."""
    # Each kernel is applied once, however many features compare its responses with different biases.
    used = sorted({feature.kernel for feature in section.features})
    kernels = np.full((len(used), TAPS), -1, dtype=np.float32)
    for row, kernel in enumerate(used):
        kernels[row, list(KERNELS[kernel])] = 2
    which = np.array([used.index(feature.kernel) for feature in section.features])
    biases = np.array([feature.bias for feature in section.features], dtype=np.int16)[:, np.newaxis]
    margin = REACH // 2 * section.dilation if section.padded else 0
    positions = section.positions(width)
    starts = range(0, TAPS * section.dilation, section.dilation)
    rows = max(1, _CHUNK_BYTES // (2 * positions * len(which)))

    def count_chunk(inputs: Words) -> Counts:
        padded = np.zeros((len(inputs), width + 2 * margin), dtype=np.float32)
        padded[:, margin : margin + width] = inputs
        taps = np.stack([padded[:, start : start + positions] for start in starts], axis=1)  # (n, 9, positions)
        responses = (kernels @ taps).astype(np.int16)  # (n, kernels used, positions)
        if len(used) < len(which):
            responses = responses[:, which]
        counts: Counts = (responses > biases).sum(axis=2, dtype=np.int16)
        return counts

    def count(inputs: Words) -> Counts:
        chunks = [count_chunk(inputs[start : start + rows]) for start in range(0, len(inputs), rows)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(which)), dtype=np.int16)

    return count
