"""Canonical bytes of an integer network after the header: section 3.1 of `quality/FORMAT.md`.

A network has exactly one byte form, and `parse_body` accepts no other. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct

from millmark.quality.errors import ModelError
from millmark.quality.header import Header, Reader
from millmark.quality.network.records import Conv, Dense, Layer, Network, SumPool, worst_sums

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


def parse_body(header: Header, reader: Reader) -> Network:
    """Parse a network from its header and the untrusted bytes that follow. Raises ModelError."""
    (layers,) = reader.take(_COUNT)
    return Network(
        width=header.width,
        decimals=header.decimals,
        decision=header.decision,
        scales=header.scales,
        layers=tuple(_parse_layer(reader) for _ in range(layers)),
    )


def _parse_layer(reader: Reader) -> Layer:
    kind, inputs, outputs, kernel, stride, multiplier = reader.take(_LAYER)
    if kind == _SUM_POOL:
        if outputs != inputs or stride or multiplier:
            raise ModelError("a sum pool states other outputs than inputs, a stride or a multiplier")
        return SumPool(channels=inputs, length=kernel)
    if kind == _DENSE:
        if kernel or stride:
            raise ModelError("a dense layer states a kernel or a stride")
        return Dense(inputs, outputs, multiplier, *_parse_parameters(reader, outputs, inputs * outputs))
    if kind == _CONV:
        parameters = _parse_parameters(reader, outputs, inputs * outputs * kernel)
        return Conv(inputs, outputs, kernel, stride, multiplier, *parameters)
    raise ModelError(f"layer kind {kind} is unknown")


def _parse_parameters(reader: Reader, biases: int, weights: int) -> tuple[tuple[int, ...], bytes]:
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
