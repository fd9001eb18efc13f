"""From a trained float network to integers: folding, calibration, rounding. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quality.decision import LOGIT_LIMIT
from quality.errors import ExportError, ModelError
from quality.fitting import undecided
from quality.inputs import Scale
from quality.network.floatnet import INPUT_STEP, Block, FloatNetwork
from quality.network.records import MAX_MULTIPLIER, Conv, Dense, Layer, Network, SumPool

__all__ = ["Exported", "export"]

_ACTIVATION_QUANTILE = 0.9999
"""Activations above it saturate at 127: a few clipped peaks cost less than a coarser step for all."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An integer network, and what ties it to the float network it came from."""

    network: Network
    """Its decision is still to be made."""
    logit_step: float
    """Float logit of one unit of integer logit."""


def export(
    trained: FloatNetwork, calibration: NDArray[np.int8], *, scales: tuple[Scale, ...], decimals: int
) -> Exported:
    """Integer network of a trained one; `calibration` (n, width) int8 are training inputs that set activation ranges.

    On return every sum is proved to stay within int32. Raises ExportError when one would not, or when the network
    holds numbers that integers cannot carry.
    """
    trained.eval()
    layers: list[Layer] = []
    step = INPUT_STEP
    with torch.inference_mode():
        values = trained.spread(torch.from_numpy(calibration.astype(np.float32)) * INPUT_STEP)
        for block in trained.blocks.children():
            if not isinstance(block, Block):
                raise ExportError("the network holds a layer that the integer format does not know")
            values = block(values)
            limit = float(np.quantile(values.numpy(), _ACTIVATION_QUANTILE)) or 1.0
            layers.append(_build_layer(*_fold(block), block.op, step, limit / 127))
            step = limit / 127
        if trained.pools:
            layers.append(SumPool(channels=values.shape[1], length=values.shape[2]))
            step /= values.shape[2]
        head = trained.head
        weight, bias = _to_numpy(head.weight), _to_numpy(head.bias)
        layers.append(_build_layer(weight, bias, head, step, None))
    try:
        network = Network(calibration.shape[1], decimals, undecided(trained.head.out_features), scales, tuple(layers))
    except ModelError as error:
        raise ExportError(f"the network does not fit the integer format: {error.cause}", hint="train again") from error
    return Exported(network, step * _weight_step(weight))


def _to_numpy(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy().astype(np.float64)


def _fold(block: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and biases of the operation with its batch norm folded in: y = (w x - mean) * gain + shift."""
    norm = block.norm
    if norm.running_mean is None or norm.running_var is None:
        raise ExportError("a batch norm keeps no running statistics")
    gain = _to_numpy(norm.weight) / np.sqrt(_to_numpy(norm.running_var) + norm.eps)
    weight = _to_numpy(block.op.weight)
    biases = _to_numpy(norm.bias) - _to_numpy(norm.running_mean) * gain
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), biases


def _weight_step(weight: NDArray[np.float64]) -> float:
    return float(np.abs(weight).max()) / 127 or 1.0


def _build_layer(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    op: nn.Conv1d | nn.Linear,
    input_step: float,
    output_step: float | None,
) -> Dense | Conv:
    """Integer layer of float weights (outputs, inputs[, kernel]) and biases (outputs); the last has no output step."""
    weight_step = _weight_step(weight)
    biases = np.rint(bias / (weight_step * input_step))
    multiplier = 0 if output_step is None else round(weight_step * input_step / output_step * 2**24)
    if not (np.isfinite(weight).all() and np.isfinite(biases).all() and np.abs(biases).max() < LOGIT_LIMIT):
        raise ExportError("a weight or bias is beyond what integers carry", hint="train again with another seed")
    if output_step is not None and not 1 <= multiplier <= MAX_MULTIPLIER:
        raise ExportError(f"a layer needs the multiplier {multiplier}", hint="train again with another seed")
    packed = np.rint(weight / weight_step).astype(np.int8).tobytes()
    integers = tuple(int(value) for value in biases)
    if isinstance(op, nn.Linear):
        return Dense(op.in_features, op.out_features, multiplier, integers, packed)
    return Conv(op.in_channels, op.out_channels, op.kernel_size[0], op.stride[0], multiplier, integers, packed)
