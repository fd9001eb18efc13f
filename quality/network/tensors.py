"""The integer network in torch: float matrix products at BLAS speed, with exact integer results.

Types are chosen as in `arrays`. Convolutions are unfolded into matrix products: torch's own convolution may use a
transform (Winograd, FFT) that is not exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from quality.network.records import FLOAT32_EXACT, Conv, Dense, Layer, Network, SumPool, worst_sums

__all__ = ["prepare"]

Step: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Maps (n, channels, positions) to (n, channels, positions)."""


def prepare(network: Network) -> Callable[[NDArray[np.int8]], NDArray[np.int32]]:
    """A function from int8 inputs (n, width) to logits int32 (n, k), with its weights converted once."""
    steps = [_prepare_layer(*pair) for pair in zip(network.layers, worst_sums(network.layers), strict=True)]

    def infer(inputs: NDArray[np.int8]) -> NDArray[np.int32]:
        # A copy, since torch warns about read-only arrays.
        values = torch.from_numpy(inputs.copy()).unsqueeze(1)
        for step in steps:
            values = step(values)
        logits: NDArray[np.int32] = values[:, :, 0].to(torch.int32).numpy()
        return logits

    return infer


def _prepare_layer(layer: Layer, bound: int) -> Step:
    exact = torch.float32 if bound < FLOAT32_EXACT else torch.float64
    if isinstance(layer, SumPool):
        return lambda values: values.to(exact).sum(dim=2, keepdim=True)
    weights = torch.frombuffer(bytearray(layer.weights), dtype=torch.int8).reshape(layer.outputs, -1).to(exact).T
    biases = torch.tensor(layer.biases, dtype=exact)
    add_up = (
        _prepare_dense(layer, weights, biases) if isinstance(layer, Dense) else _prepare_conv(layer, weights, biases)
    )
    return lambda values: _requantise(add_up(values.to(exact)), layer.multiplier)


def _prepare_dense(layer: Dense, weights: torch.Tensor, biases: torch.Tensor) -> Step:
    return lambda values: (values.reshape(len(values), layer.inputs) @ weights + biases).unsqueeze(2)


def _prepare_conv(layer: Conv, weights: torch.Tensor, biases: torch.Tensor) -> Step:
    def add_up(values: torch.Tensor) -> torch.Tensor:
        fields = values.unfold(2, layer.kernel, layer.stride)  # (n, channels, positions, kernel)
        columns = fields.transpose(1, 2).reshape(len(values), fields.shape[2], layer.inputs * layer.kernel)
        return (columns @ weights + biases).transpose(1, 2)

    return add_up


def _requantise(sums: torch.Tensor, multiplier: int) -> torch.Tensor:
    """Convert sums to the next layer's 0..127; multiplier 0 marks the last layer, which keeps them."""
    if not multiplier:
        return sums
    # In int64, since the product needs 62 bits and float64 has 53. torch's >> is arithmetic on signed integers.
    return ((sums.to(torch.int64) * multiplier + 2**23) >> 24).clamp(0, 127)
