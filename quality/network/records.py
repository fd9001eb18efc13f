"""The integer network as dataclasses that enforce the rules of the format, including the bounds of all sums.

A network converts a window of `width` sensor values to int8 by its scales and passes them through its layers to the
logits. The specification is section 3.1 of `quality/FORMAT.md`; this module enforces its rules, reads and
writes its bytes, and evaluates it in pure Python. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import ClassVar, TypeAlias

from millmark.quality import inference
from millmark.quality.errors import ModelError

MAX_ACTIVATION = 127
MAX_UNITS = 1024
"""Largest number of channels or of dense outputs in one layer."""
MAX_LAYERS = 16
MAX_MULTIPLIER = 2**31 - 1
FLOAT32_EXACT = 2**24
"""Sums of integers that stay below this are exact in float32, in any order of addition."""


def _require_parameters(layer: Dense | Conv, weights: int) -> None:
    """Check the multiplier, biases and weights that dense and conv layers share."""
    inference.require_range("requantisation multiplier", layer.multiplier, 0, MAX_MULTIPLIER)
    if len(layer.biases) != layer.outputs:
        raise ModelError(f"layer has {len(layer.biases)} biases for {layer.outputs} outputs")
    if len(layer.weights) != weights:
        raise ModelError(f"layer has {len(layer.weights)} weight bytes, its dimensions ask for {weights}")
    # Without -128, magnitudes stay within 127, for which the bounds in `worst_sums` are computed.
    if b"\x80" in layer.weights:
        raise ModelError("weight -128 is not allowed", hint="weights are symmetric, -127..127")
    for bias in layer.biases:
        inference.require_range("bias", bias, 1 - inference.LOGIT_LIMIT, inference.LOGIT_LIMIT - 1)


@dataclass(frozen=True, slots=True)
class Dense:
    """Fully connected layer. Raises ModelError if a field is out of range."""

    inputs: int
    """Number of values read; the output of a conv layer is flattened channel by channel."""
    outputs: int
    multiplier: int
    """Requantisation: `clamp((acc * multiplier + 2^23) >> 24, 0, 127)`; 0 in the last layer, which keeps `acc`."""
    biases: tuple[int, ...]
    """One int32 per output, in units of the accumulator."""
    weights: bytes
    """int8, row-major (outputs, inputs)."""

    def __post_init__(self) -> None:
        inference.require_range("dense inputs", self.inputs, 1, MAX_UNITS * inference.MAX_WIDTH)
        inference.require_range("dense outputs", self.outputs, 1, MAX_UNITS)
        _require_parameters(self, self.inputs * self.outputs)


@dataclass(frozen=True, slots=True)
class Conv:
    """One-dimensional convolution without padding. Raises ModelError if a field is out of range."""

    inputs: int
    """Channels read."""
    outputs: int
    """Channels written."""
    kernel: int
    """Positions that a filter covers."""
    stride: int
    """Distance between the starts of neighbouring outputs, in positions read."""
    multiplier: int
    """As in `Dense`; never 0, since a conv layer is never the last."""
    biases: tuple[int, ...]
    """One int32 per output channel, in units of the accumulator."""
    weights: bytes
    """int8, row-major (outputs, inputs, kernel)."""

    def __post_init__(self) -> None:
        inference.require_range("conv input channels", self.inputs, 1, MAX_UNITS)
        inference.require_range("conv output channels", self.outputs, 1, MAX_UNITS)
        inference.require_range("conv kernel", self.kernel, 1, inference.MAX_WIDTH)
        inference.require_range("conv stride", self.stride, 1, inference.MAX_WIDTH)
        _require_parameters(self, self.inputs * self.outputs * self.kernel)

    def length_after(self, length: int) -> int:
        """Positions written for `length` positions read; 0 if the kernel does not fit."""
        return 0 if length < self.kernel else (length - self.kernel) // self.stride + 1


@dataclass(frozen=True, slots=True)
class SumPool:
    """Sum of each channel over all positions. The division that makes it a mean is in the next layer's multiplier."""

    channels: int
    length: int
    """Positions summed: all that the previous layer writes."""

    def __post_init__(self) -> None:
        inference.require_range("pool channels", self.channels, 1, MAX_UNITS)
        inference.require_range("pool length", self.length, 1, inference.MAX_WIDTH)


Layer: TypeAlias = Dense | Conv | SumPool


@dataclass(frozen=True, slots=True)
class Network:
    """An integer network. Construction checks that the layers fit together and that no sum can overflow. Raises
    ModelError. Not established: that the network is accurate; its card reports how it performed, and on which data."""

    family: ClassVar[str] = "network"
    word_size: ClassVar[int] = 1
    word_limit: ClassVar[int] = MAX_ACTIVATION

    width: int
    """Sensor values in one window."""
    decimals: int
    """Sensor values are integers in units of 10^-decimals of the sensor's unit (6: millionths)."""
    decision: inference.Decision
    scales: tuple[inference.Scale, ...]
    """One for the whole window, or one per column."""
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        # Built for its checks only.
        inference.Header(self.decimals, self.decision, self.width, self.scales)
        inference.require_scales(self.width, self.scales)
        inference.require_range("number of layers", len(self.layers), 1, MAX_LAYERS)
        _verify_chain(self.width, self.layers, self.decision.outputs)
        for index, bound in enumerate(worst_sums(self.layers)):
            if bound >= inference.LOGIT_LIMIT:
                raise ModelError(f"sums of layer {index} can reach {bound}, the limit is {inference.LOGIT_LIMIT - 1}")


def _verify_chain(width: int, layers: tuple[Layer, ...], outputs: int) -> None:
    """Raise ModelError unless each layer reads exactly what the previous one writes, and the last writes the logits."""
    channels, length, flat = 1, width, False
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        if isinstance(layer, Dense):
            _require_same(index, "inputs", layer.inputs, channels * length)
            channels, length, flat = layer.outputs, 1, True
        elif flat:
            raise ModelError(f"layer {index} needs positions, but the layer before it writes none")
        elif isinstance(layer, Conv):
            _require_same(index, "input channels", layer.inputs, channels)
            channels, length = layer.outputs, layer.length_after(length)
            if not length:
                raise ModelError(f"kernel of layer {index} is longer than what it reads")
        else:
            _require_same(index, "channels", layer.channels, channels)
            _require_same(index, "pooled positions", layer.length, length)
            length, flat = 1, True
        if not isinstance(layer, SumPool) and last != (layer.multiplier == 0):
            raise ModelError(f"layer {index} has multiplier {layer.multiplier}", hint="0 marks the last layer only")
    if not isinstance(layers[-1], Dense) or layers[-1].outputs != outputs:
        raise ModelError(f"the last layer must be dense with {outputs} outputs, one a logit")


def _require_same(index: int, name: str, stated: int, actual: int) -> None:
    if stated != actual:
        raise ModelError(f"layer {index} states {stated} {name}, what comes in has {actual}")


def worst_sums(layers: tuple[Layer, ...]) -> tuple[int, ...]:
    """Largest magnitude that any partial sum of each layer can reach, in any order of addition. Dense and conv: max
    over outputs of `sum(|w|) * max|x| + |bias|`. Pool: `127 * length`."""
    sums: list[int] = []
    largest = MAX_ACTIVATION
    for layer in layers:
        if isinstance(layer, SumPool):
            # Not clamped to 127: the next layer reads the sums themselves.
            largest *= layer.length
            sums.append(largest)
            continue
        size = len(layer.weights) // layer.outputs
        weights = array("b", layer.weights)
        rows = (sum(map(abs, weights[at : at + size])) for at in range(0, len(weights), size))
        sums.append(max(row * largest + abs(bias) for row, bias in zip(rows, layer.biases, strict=True)))
        largest = MAX_ACTIVATION
    return tuple(sums)


# Canonical bytes of an integer network after the header: section 3.1 of `quality/FORMAT.md`.
# A network has exactly one byte form, and `parse_body` accepts no other.

MAGIC = b"MMQN"

_COUNT = struct.Struct(">B")  # layers
_LAYER = struct.Struct(">BIHHHI")  # kind, inputs, outputs, kernel, stride, multiplier
_DENSE, _CONV, _SUM_POOL = 1, 2, 3


def build_body(network: Network) -> bytes:
    """Bytes that follow the scales."""
    return _COUNT.pack(len(network.layers)) + b"".join(_build_layer(layer) for layer in network.layers)


def _build_layer(layer: Layer) -> bytes:
    if isinstance(layer, SumPool):
        return _LAYER.pack(_SUM_POOL, layer.channels, layer.channels, layer.length, 0, 0)
    if isinstance(layer, Conv):
        head = _LAYER.pack(_CONV, layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.multiplier)
    else:
        head = _LAYER.pack(_DENSE, layer.inputs, layer.outputs, 0, 0, layer.multiplier)
    return head + struct.pack(f">{layer.outputs}i", *layer.biases) + layer.weights


def parse_body(header: inference.Header, reader: inference.Reader) -> Network:
    """Parse a network from its header and the untrusted bytes that follow. Raises ModelError."""
    (layers,) = reader.take(_COUNT)
    return Network(
        width=header.width,
        decimals=header.decimals,
        decision=header.decision,
        scales=header.scales,
        layers=tuple(_parse_layer(reader) for _ in range(layers)),
    )


def _parse_layer(reader: inference.Reader) -> Layer:
    kind, inputs, outputs, kernel, stride, multiplier = reader.take(_LAYER)
    if kind == _SUM_POOL:
        if outputs != inputs or stride or multiplier:
            raise ModelError("a sum pool cannot have a stride, a multiplier, or more or fewer outputs than inputs")
        return SumPool(channels=inputs, length=kernel)
    if kind == _DENSE:
        if kernel or stride:
            raise ModelError("a dense layer cannot have a kernel or a stride")
        return Dense(inputs, outputs, multiplier, *_parse_parameters(reader, outputs, inputs * outputs))
    if kind == _CONV:
        parameters = _parse_parameters(reader, outputs, inputs * outputs * kernel)
        return Conv(inputs, outputs, kernel, stride, multiplier, *parameters)
    raise ModelError(f"layer kind {kind} is unknown")


def _parse_parameters(reader: inference.Reader, biases: int, weights: int) -> tuple[tuple[int, ...], bytes]:
    packed = reader.take_bytes(4 * biases)
    return struct.unpack(f">{biases}i", packed), reader.take_bytes(weights)


def describe(network: Network) -> tuple[list[str], list[int]]:
    """Lines for the card, one per layer, and the largest magnitude that each layer's sums can reach."""
    return [_describe_layer(layer) for layer in network.layers], list(worst_sums(network.layers))


def _describe_layer(layer: Layer) -> str:
    if isinstance(layer, Conv):
        return f"conv {layer.inputs}-{layer.outputs}, kernel {layer.kernel}, stride {layer.stride}"
    if isinstance(layer, Dense):
        return f"dense {layer.inputs}-{layer.outputs}"
    return f"sum of {layer.length} positions"


# The integer network in pure Python: slow, short and without dependencies.
# Python's integers do not overflow, and its `>>` rounds towards minus infinity, as FORMAT.md requires.


def quantise_row(network: Network, window: Sequence[int]) -> tuple[int, ...]:
    """Input (width words) from one window of fixed-point sensor values (width integers in units of 10^-decimals).
    Raises InputError if the window has another width, or a value above 2^53 - 1 in magnitude."""
    return inference.apply_scales(network.scales, window, width=network.width, limit=MAX_ACTIVATION)


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
