"""The integer network in numpy, all in int64: n windows at once.

int64 suffices: sums stay below 2^31 and multipliers below 2^31 (`Network` checks both), so products stay below 2^62.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quality.errors import InputError
from quality.network import MAX_FIXED, Conv, Dense, Network, Scale, SumPool

__all__ = ["apply_scales", "infer", "quantise", "verify_inputs"]

Integers = NDArray[np.int64]


def quantise(network: Network, windows: NDArray[np.int64]) -> NDArray[np.int8]:
    """int8 inputs (n, width) of fixed-point sensor values (n, width) in units of 10^-decimals.

    Raises InputError when the shape is another or a value exceeds 2^53 - 1 in magnitude.
    """
    if windows.ndim != 2 or windows.shape[1] != network.width:
        raise InputError(f"windows have shape {windows.shape}", mend=f"the model reads (n, {network.width})")
    if windows.size and (windows.min() < -MAX_FIXED or windows.max() > MAX_FIXED):
        raise InputError("a sensor value exceeds 2^53 - 1", mend="give it in a coarser unit")
    return apply_scales(network.scales, windows)


def apply_scales(scales: tuple[Scale, ...], windows: NDArray[np.int64]) -> NDArray[np.int8]:
    """int8 inputs of windows (n, width) that are within range, by one scale or by one a column."""
    zero, multiplier, shift = np.array(
        [(scale.zero, scale.multiplier, scale.shift) for scale in scales], dtype=np.int64
    ).T
    half = (np.int64(1) << shift) >> 1
    quantised: Integers = ((windows - zero) * multiplier + half) >> shift
    inputs: NDArray[np.int8] = np.clip(quantised, -127, 127).astype(np.int8)
    return inputs


def verify_inputs(network: Network, inputs: NDArray[np.int8]) -> None:
    """Raise InputError unless these are int8 inputs (n, width) of this model, none of them -128."""
    if inputs.dtype != np.int8 or inputs.ndim != 2 or inputs.shape[1] != network.width:
        raise InputError(
            f"inputs are {inputs.dtype} of shape {inputs.shape}", mend=f"the model reads int8 of (n, {network.width})"
        )
    if inputs.size and inputs.min() == -128:
        raise InputError("input -128 is not allowed", mend="quantised values are symmetric, -127..127")


def infer(network: Network, inputs: NDArray[np.int8]) -> NDArray[np.int32]:
    """Logits int32 (n, 1) of int8 inputs (n, width). Raises InputError when they are no inputs of this model."""
    verify_inputs(network, inputs)
    values: Integers = inputs.astype(np.int64)[:, np.newaxis, :]  # (n, channels, positions)
    for layer in network.layers:
        if isinstance(layer, SumPool):
            values = values.sum(axis=2, keepdims=True)
            continue
        sums = _dense(layer, values) if isinstance(layer, Dense) else _conv(layer, values)
        if layer.multiplier:
            sums = np.clip((sums * layer.multiplier + 2**23) >> 24, 0, 127)
        values = sums
    return values[:, :, 0].astype(np.int32)


def _dense(layer: Dense, values: Integers) -> Integers:
    weights = np.frombuffer(layer.weights, dtype=np.int8).reshape(layer.outputs, layer.inputs).astype(np.int64)
    sums: Integers = values.reshape(len(values), layer.inputs) @ weights.T + np.array(layer.biases, dtype=np.int64)
    return sums[:, :, np.newaxis]


def _conv(layer: Conv, values: Integers) -> Integers:
    weights = np.frombuffer(layer.weights, dtype=np.int8).reshape(layer.outputs, -1).astype(np.int64)
    fields = sliding_window_view(values, layer.kernel, axis=2)[
        :, :, :: layer.stride
    ]  # (n, channels, positions, kernel)
    # fields are (n, channels, positions, kernel), columns (n, positions, channels * kernel)
    columns = fields.transpose(0, 2, 1, 3).reshape(len(values), fields.shape[2], layer.inputs * layer.kernel)
    sums: Integers = columns @ weights.T + np.array(layer.biases, dtype=np.int64)
    return sums.transpose(0, 2, 1)
