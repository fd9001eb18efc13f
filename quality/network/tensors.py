"""The integer network in torch: float matrix products at BLAS speed, with exact integer results.

Types are chosen as in `arrays`; requantisation is in float64 where that is exact, too. Convolutions are unfolded into
matrix products: torch's own convolution may use a transform (Winograd, FFT) that is not exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from millmark.quality.network.records import FLOAT32_EXACT, Conv, Dense, Layer, Network, SumPool, worst_sums

_SHIFT = 24
_ONE = 1 << _SHIFT
_HALF = _ONE >> 1
_LARGEST = 127
_FLOAT64_EXACT = 2**53
Step: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Maps (n, channels, positions) to (n, channels, positions)."""


def prepare(network: Network) -> Callable[[NDArray[np.int8]], NDArray[np.int32]]:
    """A function from int8 inputs (n, width) to logits int32 (n, k), with its weights converted once."""
    steps = [_prepare_layer(*pair) for pair in zip(network.layers, worst_sums(network.layers), strict=True)]

    def infer(inputs: NDArray[np.int8]) -> NDArray[np.int32]:
        # Nothing is written to them, but torch warns about read-only arrays, and refuses those that run backwards.
        is_plain = inputs.flags.writeable and min(inputs.strides) >= 0
        values = torch.from_numpy(inputs if is_plain else inputs.copy()).unsqueeze(1)
        for step in steps:
            values = step(values)
        logits: NDArray[np.int32] = values.squeeze(2).to(torch.int32).numpy()
        return logits

    return infer


def _prepare_layer(layer: Layer, bound: int) -> Step:
    exact = torch.float32 if bound < FLOAT32_EXACT else torch.float64
    if isinstance(layer, SumPool):
        return lambda values: values.to(exact).sum(dim=2, keepdim=True)
    weights = torch.frombuffer(bytearray(layer.weights), dtype=torch.int8).reshape(layer.outputs, -1).to(exact).T
    finish = _prepare_end(torch.tensor(layer.biases, dtype=torch.float64), layer.multiplier, bound, exact)
    if isinstance(layer, Dense):
        return lambda values: finish(values.to(exact).reshape(len(values), layer.inputs) @ weights).unsqueeze(2)
    return lambda values: finish(_unfold(layer, values.to(exact)) @ weights).transpose(1, 2)


def _unfold(layer: Conv, values: torch.Tensor) -> torch.Tensor:
    """What the kernel reads at each position, (n, positions, channels * kernel)."""
    fields = values.unfold(2, layer.kernel, layer.stride)  # (n, channels, positions, kernel)
    return fields.transpose(1, 2).reshape(len(values), fields.shape[2], layer.inputs * layer.kernel)


def _prepare_end(biases: torch.Tensor, multiplier: int, bound: int, exact: torch.dtype) -> Step:
    """A function from products (n, ..., outputs) to the next layer's 0..127, biases added; multiplier 0 marks the last
    layer, which keeps its sums."""
    if not multiplier:
        last = biases.to(exact)
        return lambda products: products + last
    if bound * multiplier + _HALF < _FLOAT64_EXACT:
        # All numbers on the way are multiples of 2^-24 with at most 53 bits, so that float64 holds each of them.
        factor = multiplier / _ONE
        offset = biases * factor + _HALF / _ONE
        # Whole numbers beyond 2^24 are rounded in float32, far above the largest output.
        return lambda products: torch.add(offset, products, alpha=factor).floor_().to(torch.float32).clamp_(0, _LARGEST)
    whole = biases.to(torch.int64)
    # Products need 62 bits. torch's >> is arithmetic on signed integers.
    return lambda products: (((products.to(torch.int64) + whole) * multiplier + _HALF) >> _SHIFT).clamp(0, _LARGEST)
