"""Chooses a rocket's features: kernels, dilations, and biases that are quantiles of training responses. Needs numpy.

Labels play no part, so the features cannot overfit them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quality.rocket.arrays import prepare_section
from quality.rocket.records import KERNELS, MAX_RESPONSE, REACH, TAPS, Feature, Section

__all__ = ["Floats", "Inputs", "Layout", "build_counter", "lay_out", "list_positions"]

_GOLDEN = (np.sqrt(5) + 1) / 2

Floats: TypeAlias = NDArray[np.float64]
Inputs: TypeAlias = NDArray[np.int8]
Layout: TypeAlias = list[tuple[int, bool, list[tuple[int, int]]]]
"""[(dilation, padded, [(kernel, bias)])], all ascending."""


def lay_out(inputs: Inputs, features_a_kernel: int, generator: np.random.Generator) -> Layout:
    """Choose features: dilations in powers of two, and biases at quantiles of the responses to single training windows.

    As in MiniRocket, dilations grow exponentially up to the window's width, quantiles follow the golden ratio, and
    every other kernel is padded, alternating between dilations. Duplicate features are dropped.
    """
    width = inputs.shape[1]
    layout: dict[tuple[int, bool], set[tuple[int, int]]] = {}
    quantile = 0
    for index, (dilation, features) in enumerate(_spread_dilations(width, features_a_kernel)):
        for padded in (False, True):
            kernels = range((index + padded) % 2, len(KERNELS), 2)
            for kernel in kernels:
                window = inputs[generator.integers(len(inputs))]
                responses = _respond(window, kernel, dilation, padded=padded)
                # The sequence of quantiles continues from kernel to kernel, so that each one gets different ones.
                shares = [(quantile + step) * _GOLDEN % 1 for step in range(1, features + 1)]
                quantile += features
                biases = np.clip(np.floor(np.quantile(responses, shares)), -MAX_RESPONSE, MAX_RESPONSE - 1)
                layout.setdefault((dilation, padded), set()).update((kernel, int(bias)) for bias in biases)
    return [(*key, sorted(features)) for key, features in sorted(layout.items())]


def _spread_dilations(width: int, features_a_kernel: int) -> list[tuple[int, int]]:
    """(dilation, features per kernel) pairs, ascending; the features add up to `features_a_kernel`."""
    largest = np.log2((width - 1) / REACH)
    dilations = np.floor(2 ** np.linspace(0, largest, features_a_kernel)).astype(int)
    return [
        (int(dilation), int(count)) for dilation, count in zip(*np.unique(dilations, return_counts=True), strict=True)
    ]


def _respond(window: Inputs, kernel: int, dilation: int, *, padded: bool) -> NDArray[np.int64]:
    """Responses (positions,) of one kernel to one window (width,)."""
    margin = REACH // 2 * dilation if padded else 0
    words = np.pad(window.astype(np.int64), margin)
    positions = len(words) - REACH * dilation
    taps = [words[tap * dilation : tap * dilation + positions] for tap in range(TAPS)]
    # Weights are 2 on three taps and -1 on all others: three times the three taps, minus the sum of all nine.
    heavy = sum((taps[tap] for tap in KERNELS[kernel]), start=np.zeros(positions, dtype=np.int64))
    return 3 * heavy - sum(taps, start=np.zeros(positions, dtype=np.int64))


def build_counter(layout: Layout, width: int) -> Callable[[Inputs], Floats]:
    """A function from int8 inputs (n, width) to counts (n, features), in the layout's order."""
    counters = [
        prepare_section(Section(dilation, padded, tuple(Feature(*key, (1,)) for key in features)), width)
        for dilation, padded, features in layout
    ]
    return lambda inputs: np.concatenate([counter(inputs) for counter in counters], axis=1).astype(np.float64)


def list_positions(layout: Layout, width: int) -> NDArray[np.int64]:
    """Largest possible count of each feature (features,), in the layout's order."""
    sizes = [np.full(len(keys), width if padded else width - REACH * dilation) for dilation, padded, keys in layout]
    return np.concatenate(sizes)
