"""The integer network in pure Python: slow, short and without dependencies.

Python's integers do not overflow, and its `>>` rounds towards minus infinity, as FORMAT.md requires.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import mul

from millmark.quality.inputs import apply_scales
from millmark.quality.network.records import MAX_ACTIVATION, Conv, Dense, Network, SumPool


def quantise_row(network: Network, window: Sequence[int]) -> tuple[int, ...]:
    """Input (width words) from one window of fixed-point sensor values (width integers in units of 10^-decimals).

    Raises InputError if the window has another width, or a value above 2^53 - 1 in magnitude.
    """
    return apply_scales(network.scales, window, width=network.width, limit=MAX_ACTIVATION)


def infer_row(network: Network, words: Sequence[int]) -> tuple[int, ...]:
    """Logits of one input (width words in -127..127)."""
    # One list of positions per channel; a dense layer writes one position per channel.
    channels = [list(words)]
    for layer in network.layers:
        if isinstance(layer, SumPool):
            channels = [[sum(channel)] for channel in channels]
            continue
        sums = _dense(layer, channels) if isinstance(layer, Dense) else _conv(layer, channels)
        channels = [[_requantise(total, layer.multiplier) for total in channel] for channel in sums]
    return tuple(channel[0] for channel in channels)


def _dense(layer: Dense, channels: list[list[int]]) -> list[list[int]]:
    values = [value for channel in channels for value in channel]
    weights = array("b", layer.weights)
    return [
        [bias + sum(map(mul, weights[at : at + layer.inputs], values))]
        for bias, at in zip(layer.biases, range(0, len(weights), layer.inputs), strict=True)
    ]


def _conv(layer: Conv, channels: list[list[int]]) -> list[list[int]]:
    size = layer.inputs * layer.kernel
    weights = array("b", layer.weights)
    filters = [weights[at : at + size] for at in range(0, len(weights), size)]
    starts = range(0, len(channels[0]) - layer.kernel + 1, layer.stride)
    fields = [[value for channel in channels for value in channel[at : at + layer.kernel]] for at in starts]
    return [
        [bias + sum(map(mul, taps, field)) for field in fields]
        for bias, taps in zip(layer.biases, filters, strict=True)
    ]


def _requantise(total: int, multiplier: int) -> int:
    """Convert a sum to the next layer's 0..127; multiplier 0 marks the last layer, which keeps its sums."""
    return max(0, min(127, (total * multiplier + 2**23) >> 24)) if multiplier else total
