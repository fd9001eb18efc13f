"""The integer network in numpy, for n windows at once.

Float products and sums of integers are exact as long as every partial sum stays below 2^24 in float32, or 2^53 in
float64, whatever the order of addition, the thread count or the use of fused multiply-add. `worst_sums` bounds each
layer, so each uses the cheapest type that is exact for it, and numpy's fast BLAS computes exact integers.
Requantisation uses int64: sums and multipliers are below 2^31 (`Network` checks both), so products are below 2^62.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from millmark.quality.evaluate.scaling import multiply, quantise_windows
from millmark.quality.network.records import FLOAT32_EXACT, Conv, Dense, Layer, Network, SumPool, worst_sums

Values: TypeAlias = NDArray[np.integer | np.floating]
"""(n, channels, positions), or (n, channels) for a single position."""
Step: TypeAlias = Callable[[Values], Values]


def quantise(network: Network, windows: NDArray[np.int64]) -> NDArray[np.int8]:
    """int8 inputs (n, width) of fixed-point sensor values (n, width) in units of 10^-decimals. Raises InputError if the
    shape differs, or a value exceeds 2^53 - 1 in magnitude."""
    return quantise_windows(network, windows).astype(np.int8)


def prepare(network: Network) -> Callable[[NDArray[np.int8]], NDArray[np.int32]]:
    """A function from int8 inputs (n, width) to logits int32 (n, k), with its weights converted once."""
    steps = [_prepare_layer(*pair) for pair in zip(network.layers, worst_sums(network.layers), strict=True)]

    def infer(inputs: NDArray[np.int8]) -> NDArray[np.int32]:
        values: Values = inputs[:, np.newaxis, :]
        for step in steps:
            values = step(values)
        return values.astype(np.int32)

    return infer


def _prepare_layer(layer: Layer, bound: int) -> Step:
    """One layer as a function with as few numpy calls as possible: for a single window, their fixed cost dominates."""
    if isinstance(layer, SumPool):
        return lambda values: values.sum(axis=2, dtype=np.int64)
    # float64 is always exact here: `Network` keeps all sums below 2^31.
    exact = np.dtype(np.float32 if bound < FLOAT32_EXACT else np.float64)
    weights = np.frombuffer(layer.weights, dtype=np.int8).reshape(layer.outputs, -1).T.astype(exact)
    biases = np.array(layer.biases, dtype=exact)
    add_up = (
        _prepare_dense(layer, weights, biases) if isinstance(layer, Dense) else _prepare_conv(layer, weights, biases)
    )
    if not layer.multiplier:
        return lambda values: add_up(values.astype(exact))
    requantise = _prepare_requantisation(layer.multiplier)
    return lambda values: requantise(add_up(values.astype(exact)))


def _prepare_dense(layer: Dense, weights: Values, biases: Values) -> Step:
    def add_up(values: Values) -> Values:
        sums: Values = multiply(values.reshape(len(values), layer.inputs), weights)
        np.add(sums, biases, out=sums)
        return sums

    return add_up


def _prepare_conv(layer: Conv, weights: Values, biases: Values) -> Step:
    def add_up(values: Values) -> Values:
        # fields is (n, channels, positions, kernel), columns is (n, positions, channels * kernel)
        fields = sliding_window_view(values, layer.kernel, axis=2)[:, :, :: layer.stride]
        columns = fields.transpose(0, 2, 1, 3).reshape(len(values), fields.shape[2], layer.inputs * layer.kernel)
        return (multiply(columns, weights) + biases).transpose(0, 2, 1)

    return add_up


def _prepare_requantisation(multiplier: int) -> Step:
    """A function from a layer's sums to the next layer's inputs, 0..127."""
    # Zero-dimensional arrays are faster operands than Python integers, which numpy converts on each call.
    factor, half, shift, low, high = (np.array(value, dtype=np.int64) for value in (multiplier, 2**23, 24, 0, 127))

    def requantise(sums: Values) -> Values:
        scaled: NDArray[np.int64] = sums.astype(np.int64)
        np.multiply(scaled, factor, out=scaled)
        np.add(scaled, half, out=scaled)
        np.right_shift(scaled, shift, out=scaled)
        np.maximum(scaled, low, out=scaled)
        np.minimum(scaled, high, out=scaled)
        return scaled

    return requantise
