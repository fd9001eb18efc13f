"""The integer network in torch, exact in floating point: BLAS speed, integer results.

A float32 product or sum of integers is exact as long as every partial sum stays below 2^24, in float64 below 2^53,
whatever the order, the thread count or the use of fused multiply-add. `worst_sums` gives the bound of each layer, so
each layer takes the cheaper type that is exact for it. Convolutions are unfolded into matrix products, because a
library's own convolution may use a transform (Winograd, FFT) that is not exact.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from quality.errors import InferenceError
from quality.evaluate.arrays import verify_inputs
from quality.network import FLOAT32_EXACT, Conv, Dense, Network, SumPool, worst_sums

__all__ = ["infer"]


def infer(network: Network, inputs: NDArray[np.int8]) -> NDArray[np.int32]:
    """Logits int32 (n, 1) of int8 inputs (n, width).

    Raises InputError when they are no inputs of this model, InferenceError when torch is set to reduced precision.
    """
    verify_inputs(network, inputs)
    _verify_precision()
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        values = torch.from_numpy(inputs.copy()).unsqueeze(1)  # (n, channels, positions)
        for layer, bound in zip(network.layers, worst_sums(network.layers), strict=True):
            values = values.to(torch.float32 if bound < FLOAT32_EXACT else torch.float64)
            if isinstance(layer, SumPool):
                values = values.sum(dim=2, keepdim=True)
            else:
                sums = _dense(layer, values) if isinstance(layer, Dense) else _conv(layer, values)
                values = _requantise(sums, layer.multiplier)
        logits: NDArray[np.int32] = values[:, :, 0].to(torch.int32).numpy()
    return logits


def _verify_precision() -> None:
    """bfloat16 and TF32 products, which torch may use below "highest", are not exact."""
    if torch.get_float32_matmul_precision() != "highest":
        raise InferenceError(
            "torch is set to reduced matrix precision", mend='call torch.set_float32_matmul_precision("highest")'
        )


def _parameters(layer: Dense | Conv, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (inputs [* kernel], outputs) and biases (outputs)."""
    weights = torch.frombuffer(bytearray(layer.weights), dtype=torch.int8).reshape(layer.outputs, -1)
    return weights.to(dtype).T, torch.tensor(layer.biases, dtype=dtype)


def _dense(layer: Dense, values: torch.Tensor) -> torch.Tensor:
    weights, biases = _parameters(layer, values.dtype)
    return (values.reshape(len(values), layer.inputs) @ weights + biases).unsqueeze(2)


def _conv(layer: Conv, values: torch.Tensor) -> torch.Tensor:
    weights, biases = _parameters(layer, values.dtype)
    fields = values.unfold(2, layer.kernel, layer.stride)  # (n, channels, positions, kernel)
    columns = fields.transpose(1, 2).reshape(len(values), fields.shape[2], layer.inputs * layer.kernel)
    return (columns @ weights + biases).transpose(1, 2)


def _requantise(sums: torch.Tensor, multiplier: int) -> torch.Tensor:
    if not multiplier:
        return sums
    # The product needs 62 bits: past float64, so it is taken in int64. torch's >> on signed integers is arithmetic.
    return ((sums.to(torch.int64) * multiplier + 2**23) >> 24).clamp(0, 127)
