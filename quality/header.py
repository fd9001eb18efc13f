"""The header that the models of all families share, and a reader of fields from untrusted bytes.

The layout is section 2 of `quality/FORMAT.md`. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from millmark.quality.decision import Decision
from millmark.quality.errors import ModelError
from millmark.quality.inputs import MAX_DECIMALS, MAX_WIDTH, Scale, require_range

FORMAT_VERSION = 1
MAGIC_SIZE = 4

_HEADER = struct.Struct(">HBBIiHH")  # version, decimals, logits, rejects, threshold, width, scales
_SCALE = struct.Struct(">qBB")  # zero, multiplier, shift


@dataclass(frozen=True, slots=True)
class Header:
    """The fields at the start of every model. Raises ModelError if one is out of range."""

    decimals: int
    """Sensor values are integers in units of 10^-decimals of the sensor's unit (6: millionths)."""
    decision: Decision
    width: int
    """Sensor values in one window."""
    scales: tuple[Scale, ...]
    """The family decides how many are allowed: see `require_scales`."""

    def __post_init__(self) -> None:
        require_range("width", self.width, 1, MAX_WIDTH)
        require_range("decimals", self.decimals, 0, MAX_DECIMALS)


def require_scales(width: int, scales: tuple[Scale, ...]) -> None:
    """Raise ModelError unless there is one scale for the whole window, or one per column."""
    if len(scales) not in (1, width):
        raise ModelError(f"model has {len(scales)} scales for {width} columns", hint="expected 1, or one per column")


class Reader:
    """Reads fields from a byte string, front to back; raises ModelError where it ends early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next bytes, unpacked. Raises ModelError if fewer are left."""
        return layout.unpack(self.take_bytes(layout.size))

    def take_bytes(self, size: int) -> bytes:
        """The next `size` bytes. Raises ModelError if fewer are left."""
        # Checked before slicing, so that a forged length costs no memory.
        if size > self.left:
            raise ModelError(f"model ends early: {size} bytes expected at offset {self._at}, {self.left} there")
        self._at += size
        return self._data[self._at - size : self._at]


def build_header(magic: bytes, header: Header) -> bytes:
    """Bytes of magic, fields and scales: everything in front of the family's body."""
    decision = header.decision
    fields = _HEADER.pack(
        FORMAT_VERSION,
        header.decimals,
        decision.outputs,
        decision.rejects,
        decision.threshold,
        header.width,
        len(header.scales),
    )
    return magic + fields + b"".join(_SCALE.pack(scale.zero, scale.multiplier, scale.shift) for scale in header.scales)


def parse_header(reader: Reader) -> Header:
    """Parse the fields and scales that follow the magic. Raises ModelError."""
    version, decimals, outputs, rejects, threshold, width, scales = reader.take(_HEADER)
    if version != FORMAT_VERSION:
        raise ModelError(f"model has format version {version}", hint=f"this release reads {FORMAT_VERSION}")
    return Header(
        decimals=decimals,
        decision=Decision(outputs, rejects, threshold),
        width=width,
        scales=tuple(Scale(*reader.take(_SCALE)) for _ in range(scales)),
    )
