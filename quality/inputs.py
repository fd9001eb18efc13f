"""A model's input: fixed-point sensor values, their bytes, and the scales that turn them into words.

Shared by all model families. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.quality.errors import InputError, ModelError

MAX_FIXED = 2**53 - 1
"""Largest magnitude of a fixed-point sensor value: JSON and float64 represent all integers up to it exactly."""
MAX_WIDTH = 4096
MAX_DECIMALS = 9
VALUE_BYTES = 8
"""Length of a sensor value in a packed window."""
MAX_SHIFT = 62
"""The rounding term 2^shift >> 1, added to a product below 2^62, keeps the sum in int64."""


def require_range(name: str, value: int, low: int, high: int) -> None:
    """Raise ModelError unless low <= value <= high."""
    if not low <= value <= high:
        raise ModelError(f"{name} is {value}, outside {low}..{high}")


@dataclass(frozen=True, slots=True)
class Scale:
    """Sensor value to word: `clamp(((x - zero) * multiplier + half) >> shift, -limit, limit)`, `half = 2^shift >> 1`.

    The limit is that of the model's words. With |x| and |zero| below 2^53 and an 8-bit multiplier, no step overflows
    int64. Raises ModelError if a field is out of range.
    """

    zero: int
    """The fixed-point value that becomes word 0."""
    multiplier: int
    """1..255."""
    shift: int
    """0..62."""

    def __post_init__(self) -> None:
        require_range("scale zero", self.zero, -MAX_FIXED, MAX_FIXED)
        require_range("scale multiplier", self.multiplier, 1, 255)
        require_range("scale shift", self.shift, 0, MAX_SHIFT)


def verify_window(window: Sequence[int], width: int) -> None:
    """Raise InputError unless a window has `width` values, none above 2^53 - 1 in magnitude."""
    if len(window) != width:
        raise InputError(f"window has {len(window)} values", hint=f"the model reads {width}")
    if any(abs(value) > MAX_FIXED for value in window):
        raise InputError("a sensor value exceeds 2^53 - 1", hint="use a coarser unit")


def pack_window(window: Sequence[int]) -> bytes:
    """Two's complement big-endian integers of 8 bytes each, as an input commitment hashes them. Raises InputError
    unless all of them fit."""
    try:
        return struct.pack(f">{len(window)}q", *window)
    except struct.error:
        raise InputError("a window contains something else than int64 integers") from None


def unpack_window(packed: bytes) -> tuple[int, ...]:
    """The sensor values of an untrusted window. Raises InputError unless they have 8 bytes each."""
    if len(packed) % VALUE_BYTES:
        raise InputError(f"window has {len(packed)} bytes", hint=f"expected {VALUE_BYTES} for each value")
    return struct.unpack(f">{len(packed) // VALUE_BYTES}q", packed)


def apply_scales(scales: Sequence[Scale], window: Sequence[int], *, width: int, limit: int) -> tuple[int, ...]:
    """Words of one window of fixed-point sensor values, by a shared scale or one per column. Raises InputError."""
    verify_window(window, width)
    columns = zip(window, list(scales) * (width // len(scales)), strict=True)
    scaled = (((x - scale.zero) * scale.multiplier + ((1 << scale.shift) >> 1)) >> scale.shift for x, scale in columns)
    return tuple(max(-limit, min(limit, value)) for value in scaled)
