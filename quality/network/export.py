"""Quantises a trained float network: folds batch norms, calibrates activation ranges, rounds weights. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from millmark.quality.decision import LOGIT_LIMIT
from millmark.quality.errors import ExportError, ModelError
from millmark.quality.fitting import undecided
from millmark.quality.inputs import Scale
from millmark.quality.network.floatnet import INPUT_STEP, Block, FloatNetwork
from millmark.quality.network.records import MAX_MULTIPLIER, Conv, Dense, Layer, Network, SumPool

_ACTIVATION_QUANTILE = 0.9999
"""Activations above this quantile saturate at 127: a few clipped peaks cost less than a coarser step for all."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An integer network, and the size of its logit unit."""

    network: Network
    """With the decision of `undecided`, which training replaces."""
    logit_step: float
    """Float logit per unit of integer logit."""


def export(
    trained: FloatNetwork, calibration: NDArray[np.int8], *, scales: tuple[Scale, ...], decimals: int
) -> Exported:
    """Quantise a trained network. `calibration` (n, width), int8 training inputs, determines the activation ranges.

    On return, every sum is proved to stay within int32. Raises ExportError if one would not, or if the network has
    weights that do not fit the integer format.
    """
    # Evaluation mode: batch norms use their running statistics, which are what is folded in.
    trained.eval()
    layers: list[Layer] = []
    step = INPUT_STEP
    with torch.inference_mode():
        values = trained.spread(torch.from_numpy(calibration.astype(np.float32)) * INPUT_STEP)
        for block in trained.blocks.children():
            if not isinstance(block, Block):
                raise ExportError("the network has a layer that the integer format does not support")
            values = block(values)
            # `or 1.0`: a block that never fires on these inputs still needs a step.
            limit = float(np.quantile(values.numpy(), _ACTIVATION_QUANTILE)) or 1.0
            layers.append(_build_layer(*_fold(block), block.op, step, limit / 127))
            step = limit / 127
        if trained.pools:
            layers.append(SumPool(channels=values.shape[1], length=values.shape[2]))
            # The float network averages where the integer one sums.
            step /= values.shape[2]
        head = trained.head
        weight, bias = _to_numpy(head.weight), _to_numpy(head.bias)
        layers.append(_build_layer(weight, bias, head, step, None))
    try:
        network = Network(calibration.shape[1], decimals, undecided(trained.head.out_features), scales, tuple(layers))
    except ModelError as error:
        raise ExportError(
            f"the network does not fit the integer format: {error.cause}", hint="train again with another seed"
        ) from error
    return Exported(network, step * _weight_step(weight))


def _to_numpy(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy().astype(np.float64)


def _fold(block: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and biases of a block with its batch norm folded in: y = (w x - mean) * gain + shift."""
    norm = block.norm
    if norm.running_mean is None or norm.running_var is None:
        raise ExportError("a batch norm has no running statistics")
    gain = _to_numpy(norm.weight) / np.sqrt(_to_numpy(norm.running_var) + norm.eps)
    weight = _to_numpy(block.op.weight)
    biases = _to_numpy(norm.bias) - _to_numpy(norm.running_mean) * gain
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), biases


def _weight_step(weight: NDArray[np.float64]) -> float:
    """Float weight per unit of int8 weight; 1 if all weights are 0."""
    return float(np.abs(weight).max()) / 127 or 1.0


def _build_layer(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    op: nn.Conv1d | nn.Linear,
    input_step: float,
    output_step: float | None,
) -> Dense | Conv:
    """Integer layer from float weights (outputs, inputs[, kernel]) and biases (outputs,).

    A step is the float value of one integer unit, of the layer's input or output; the last layer has no output step.
    Raises ExportError if a number does not fit.
    """
    weight_step = _weight_step(weight)
    biases = np.rint(bias / (weight_step * input_step))
    multiplier = 0 if output_step is None else round(weight_step * input_step / output_step * 2**24)
    if not (np.isfinite(weight).all() and np.isfinite(biases).all() and np.abs(biases).max() < LOGIT_LIMIT):
        raise ExportError("a weight or bias does not fit the integer format", hint="train again with another seed")
    if output_step is not None and not 1 <= multiplier <= MAX_MULTIPLIER:
        raise ExportError(
            f"a layer needs multiplier {multiplier}, outside 1..{MAX_MULTIPLIER}", hint="train again with another seed"
        )
    packed = np.rint(weight / weight_step).astype(np.int8).tobytes()
    integers = tuple(int(value) for value in biases)
    if isinstance(op, nn.Linear):
        return Dense(op.in_features, op.out_features, multiplier, integers, packed)
    return Conv(op.in_channels, op.out_channels, op.kernel_size[0], op.stride[0], multiplier, integers, packed)
