"""A model's input: fixed-point sensor values, the scales that turn them into words, and the bytes of those words.

Shared by all model families. Needs neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quality.errors import InputError, ModelError

__all__ = [
    "MAX_FIXED",
    "MAX_WIDTH",
    "Scale",
    "apply_scales",
    "pack_words",
    "require_range",
    "unpack_words",
    "verify_window",
]

MAX_FIXED = 2**53 - 1
"""Largest magnitude of a fixed-point sensor value: JSON and float64 represent all integers up to it exactly."""
MAX_WIDTH = 4096
MAX_DECIMALS = 9
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


def apply_scales(scales: Sequence[Scale], window: Sequence[int], *, width: int, limit: int) -> tuple[int, ...]:
    """Words of one window of fixed-point sensor values, by a shared scale or one per column. Raises InputError."""
    verify_window(window, width)
    columns = zip(window, list(scales) * (width // len(scales)), strict=True)
    scaled = (((x - scale.zero) * scale.multiplier + ((1 << scale.shift) >> 1)) >> scale.shift for x, scale in columns)
    return tuple(max(-limit, min(limit, value)) for value in scaled)


def pack_words(words: Sequence[int], size: int) -> bytes:
    """Two's complement big-endian words of `size` bytes each, as an input commitment hashes them."""
    return b"".join(word.to_bytes(size, "big", signed=True) for word in words)


def unpack_words(packed: bytes, *, width: int, size: int, limit: int) -> tuple[int, ...]:
    """Words of an untrusted input.

    Raises InputError unless it has `width` words of `size` bytes each, none above `limit` in magnitude.
    """
    if len(packed) != width * size:
        raise InputError(f"input has {len(packed)} bytes, the model reads {width * size}")
    cuts = range(0, len(packed), size)
    words = tuple(int.from_bytes(packed[at : at + size], "big", signed=True) for at in cuts)
    if any(abs(word) > limit for word in words):
        raise InputError(f"an input word is outside {-limit}..{limit}")
    return words
