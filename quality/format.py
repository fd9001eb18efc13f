"""The canonical bytes of a model: file, hash preimage and contract input are one and the same.

Layout, limits and arithmetic are specified in `quality/FORMAT.md`. There is exactly one byte string per network, and
`parse_model` accepts nothing else. Needs neither numpy nor torch.
"""

from __future__ import annotations

import hashlib
import struct
from array import array

from quality.errors import ModelError
from quality.network import Conv, Dense, Layer, Network, Scale, SumPool

__all__ = ["FORMAT_VERSION", "build_model", "model_digest", "parse_model"]

FORMAT_VERSION = 1
MAGIC = b"MMQN"
MAX_MODEL_BYTES = 2**20

_HEADER = struct.Struct(">HBBHHi")  # after the magic: version, decimals, layers, width, scales, threshold
_SCALE = struct.Struct(">qBB")  # zero, multiplier, shift
_LAYER = struct.Struct(">BIHHHI")  # kind, inputs, outputs, kernel, stride, multiplier
_DENSE, _CONV, _SUM_POOL = 1, 2, 3


def model_digest(model: bytes) -> bytes:
    """SHA-256 of the model's canonical bytes (32 bytes): the name of the model everywhere."""
    return hashlib.sha256(model).digest()


def build_model(network: Network) -> bytes:
    """Canonical bytes of a network. Raises ModelError when they would exceed 1 MiB."""
    parts = [
        MAGIC,
        _HEADER.pack(
            FORMAT_VERSION,
            network.decimals,
            len(network.layers),
            network.width,
            len(network.scales),
            network.threshold,
        ),
    ]
    parts += [_SCALE.pack(scale.zero, scale.multiplier, scale.shift) for scale in network.scales]
    parts += [_build_layer(layer) for layer in network.layers]
    model = b"".join(parts)
    if len(model) > MAX_MODEL_BYTES:
        raise ModelError(f"model has {len(model)} bytes, the limit is {MAX_MODEL_BYTES}")
    return model


def _build_layer(layer: Layer) -> bytes:
    if isinstance(layer, SumPool):
        return _LAYER.pack(_SUM_POOL, layer.channels, layer.channels, layer.length, 0, 0)
    if isinstance(layer, Conv):
        head = _LAYER.pack(_CONV, layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.multiplier)
    else:
        head = _LAYER.pack(_DENSE, layer.inputs, layer.outputs, 0, 0, layer.multiplier)
    return head + struct.pack(f">{layer.outputs}i", *layer.biases) + layer.weights


def parse_model(model: bytes) -> Network:
    """Network of untrusted bytes.

    On return `build_model(result) == model`, every field is within its limits and no sum can leave int32. Lengths are
    compared with what is there before anything of that length is made. Raises ModelError.
    """
    if len(model) > MAX_MODEL_BYTES:
        raise ModelError(f"model has {len(model)} bytes, the limit is {MAX_MODEL_BYTES}")
    reader = _Reader(model)
    if reader.take_bytes(len(MAGIC)) != MAGIC:
        raise ModelError("not a model: it does not begin with MMQN", mend="give the model.bin that training wrote")
    version, decimals, layers, width, scales, threshold = reader.take(_HEADER)
    if version != FORMAT_VERSION:
        raise ModelError(f"model has format version {version}", mend=f"this release reads {FORMAT_VERSION}")
    if scales not in (1, width):
        raise ModelError(f"model has {scales} scales for {width} columns")
    network = Network(
        width=width,
        decimals=decimals,
        threshold=threshold,
        scales=tuple(Scale(*reader.take(_SCALE)) for _ in range(scales)),
        layers=tuple(_parse_layer(reader) for _ in range(layers)),
    )
    if reader.left:
        raise ModelError(f"model is followed by {reader.left} more bytes")
    return network


class _Reader:
    """Takes fields off the front of a byte string; raises ModelError where it ends early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take_bytes(layout.size))

    def take_bytes(self, size: int) -> bytes:
        if size > self.left:
            raise ModelError(f"model ends early: {size} bytes expected at offset {self._at}, {self.left} there")
        self._at += size
        return self._data[self._at - size : self._at]


def _parse_layer(reader: _Reader) -> Layer:
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


def _parse_parameters(reader: _Reader, biases: int, weights: int) -> tuple[tuple[int, ...], bytes]:
    packed = reader.take_bytes(4 * biases)
    return struct.unpack(f">{biases}i", packed), reader.take_bytes(weights)


def signed(weights: bytes) -> array[int]:
    """The int8 values of packed weights or inputs."""
    return array("b", weights)
