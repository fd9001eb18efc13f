"""The integer network in pure Python: slow, short, and without any dependency but the language.

Python's integers do not overflow and its `>>` rounds towards minus infinity, which is what FORMAT.md asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import TYPE_CHECKING

from quality.errors import InputError
from quality.format import signed
from quality.network import MAX_FIXED, Conv, Dense, Network, SumPool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["infer", "infer_row", "quantise_row"]


def quantise_row(network: Network, window: Sequence[int]) -> bytes:
    """int8 input of one window of fixed-point sensor values (width integers in units of 10^-decimals).

    Raises InputError when the window has another width or a value beyond 2^53 - 1 in magnitude.
    """
    if len(window) != network.width:
        raise InputError(f"window has {len(window)} values", mend=f"the model reads {network.width}")
    if any(abs(value) > MAX_FIXED for value in window):
        raise InputError("a sensor value exceeds 2^53 - 1", mend="give it in a coarser unit")
    scales = network.scales * (network.width // len(network.scales))
    quantised = (
        ((value - scale.zero) * scale.multiplier + ((1 << scale.shift) >> 1)) >> scale.shift
        for value, scale in zip(window, scales, strict=True)
    )
    return bytes(max(-127, min(127, value)) & 0xFF for value in quantised)


def infer_row(network: Network, quantised: bytes) -> tuple[int, ...]:
    """Logits of one int8 input (width bytes). Raises InputError when it is no input of this model."""
    if len(quantised) != network.width or b"\x80" in quantised:
        raise InputError(f"input is not {network.width} values in -127..127")
    # One list of positions a channel; a dense layer writes one position a channel.
    channels = [list(signed(quantised))]
    for layer in network.layers:
        if isinstance(layer, SumPool):
            channels = [[sum(channel)] for channel in channels]
            continue
        sums = _dense(layer, channels) if isinstance(layer, Dense) else _conv(layer, channels)
        channels = [[_requantise(total, layer.multiplier) for total in channel] for channel in sums]
    return tuple(channel[0] for channel in channels)


def _dense(layer: Dense, channels: list[list[int]]) -> list[list[int]]:
    values = [value for channel in channels for value in channel]
    weights = signed(layer.weights)
    return [
        [bias + sum(map(mul, weights[at : at + layer.inputs], values))]
        for bias, at in zip(layer.biases, range(0, len(weights), layer.inputs), strict=True)
    ]


def _conv(layer: Conv, channels: list[list[int]]) -> list[list[int]]:
    size = layer.inputs * layer.kernel
    weights = signed(layer.weights)
    filters = [weights[at : at + size] for at in range(0, len(weights), size)]
    starts = range(0, len(channels[0]) - layer.kernel + 1, layer.stride)
    fields = [[value for channel in channels for value in channel[at : at + layer.kernel]] for at in starts]
    return [
        [bias + sum(map(mul, taps, field)) for field in fields]
        for bias, taps in zip(layer.biases, filters, strict=True)
    ]


def _requantise(total: int, multiplier: int) -> int:
    """Sum to the next layer's 0..127; multiplier 0 marks the last layer, which keeps its sums."""
    return max(0, min(127, (total * multiplier + 2**23) >> 24)) if multiplier else total


def infer(network: Network, inputs: NDArray[np.int8]) -> NDArray[np.int32]:
    """Logits int32 (n, 1) of int8 inputs (n, width). Raises InputError when they are no inputs of this model."""
    import numpy as np  # noqa: PLC0415  this function speaks numpy to its caller; the rest of the module does without

    rows = [infer_row(network, row.tobytes()) for row in inputs]
    return np.array(rows, dtype=np.int32).reshape(len(rows), 1)
