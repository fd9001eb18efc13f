"""Turns sensor values into inputs by a model's scales, in numpy, for all families."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError
from millmark.quality.inference import MAX_FIXED, Scale
from millmark.quality.model import Model

Words = NDArray[np.signedinteger]
Numbers = NDArray[np.integer | np.floating]


def verify_windows(model: Model, windows: NDArray[np.int64]) -> None:
    """Raise InputError unless these are fixed-point values (n, width), none above 2^53 - 1 in magnitude."""
    if windows.ndim != 2 or windows.shape[1] != model.width:
        raise InputError(f"windows have shape {windows.shape}", hint=f"the model reads (n, {model.width})")
    if windows.size and (windows.min() < -MAX_FIXED or windows.max() > MAX_FIXED):
        raise InputError("a sensor value exceeds 2^53 - 1", hint="use a coarser unit")


def quantise_windows(model: Model, windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Words (n, width) of fixed-point windows (n, width), by the model's scales. Raises InputError."""
    verify_windows(model, windows)
    return apply_scales(model.scales, windows, model.word_limit)


def apply_scales(scales: tuple[Scale, ...], windows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Words (n, width) of verified windows (n, width), by a shared scale or one per column. Same formula as
    `millmark.quality.inference.apply_scales`. The bounds of `Scale` keep every step in int64."""
    zero, multiplier, shift = np.array(
        [(scale.zero, scale.multiplier, scale.shift) for scale in scales], dtype=np.int64
    ).T
    half = (np.int64(1) << shift) >> 1
    scaled: NDArray[np.int64] = ((windows - zero) * multiplier + half) >> shift
    return np.minimum(np.maximum(scaled, -limit), limit)


def verify_inputs(model: Model, inputs: Words) -> None:
    """Raise InputError unless these are inputs (n, width) of this model: words of its size and within its limit."""
    if inputs.dtype != np.dtype(f"i{model.word_size}") or inputs.ndim != 2 or inputs.shape[1] != model.width:
        expected = f"int{8 * model.word_size} of (n, {model.width})"
        raise InputError(f"inputs are {inputs.dtype} of shape {inputs.shape}", hint=f"the model reads {expected}")
    # Both sides are compared, since abs() of the type's smallest value overflows to itself. A limit that is the type's
    # largest value cannot be exceeded, so the comparison is skipped.
    low, high = -model.word_limit, model.word_limit
    largest = 2 ** (8 * model.word_size - 1) - 1
    if inputs.size and (inputs.min() < low or (high < largest and inputs.max() > high)):
        raise InputError(f"an input word is outside {-model.word_limit}..{model.word_limit}")


def multiply(left: Numbers, right: Numbers) -> Numbers:
    """The matrix product of finite floats, without the warning that BLAS raises now and then: its kernels also compute
    lanes past the end of small matrices and drop them, but the processor's flag for an invalid value stays set. A
    product that is no number is still refused where it is converted to integers."""
    with np.errstate(invalid="ignore"):
        product: Numbers = left @ right
    return product


def pack_windows(windows: NDArray[np.int64]) -> list[bytes]:
    """Bytes of each row, as an input commitment hashes them; the same as those of `quality.inference.pack_window`."""
    return [row.tobytes() for row in windows.astype(">i8")]
