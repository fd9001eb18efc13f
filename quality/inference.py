"""What inferences of all model families share: the input, the decision, the header of the model, and the digest that
commits to all of an inference.

The byte layouts are sections 2, 5 and 6 of `quality/FORMAT.md`. Needs neither numpy nor torch.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from millmark.quality.errors import InputError, ModelError

# Turns logits into a verdict: which classes mean FAIL, and at which margin.

LOGIT_LIMIT = 2**31
"""Logits and all intermediate sums stay below this in magnitude, so that they fit in int32 in every evaluator."""
MAX_OUTPUTS = 32


class Verdict(enum.IntEnum):
    """The outcome of an inspection. 0 is unused, so that uninitialised storage never reads as a verdict."""

    PASS = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """How a model's logits become its verdict. Raises ModelError unless the three fields are in canonical form."""

    outputs: int
    """Number of logits, 1..32: a single logit scores the defect, several score one class each."""
    rejects: int
    """Bit c is set if class c means FAIL. Never 0; exactly 1 for a single logit."""
    threshold: int
    """The verdict is FAIL if the margin is at least this. Must be 0 if all of several classes are rejected."""

    def __post_init__(self) -> None:
        if not 1 <= self.outputs <= MAX_OUTPUTS:
            raise ModelError(f"number of logits is {self.outputs}, outside 1..{MAX_OUTPUTS}")
        if not 0 < self.rejects < 1 << self.outputs:
            raise ModelError(f"rejected classes {self.rejects:#x} are not among the {self.outputs} there are")
        if not -LOGIT_LIMIT < self.threshold < LOGIT_LIMIT:
            raise ModelError(f"threshold is {self.threshold}, outside {1 - LOGIT_LIMIT}..{LOGIT_LIMIT - 1}")
        # The margin is always 0 then: a negative threshold would repeat the same decision, a positive one pass all.
        if self._rejects_all and self.threshold:
            raise ModelError(f"threshold is {self.threshold}, where every class is rejected", hint="it must be 0")

    @property
    def _rejects_all(self) -> bool:
        return self.outputs > 1 and self.rejects == (1 << self.outputs) - 1

    @property
    def rejected(self) -> tuple[int, ...]:
        """Classes that mean FAIL, ascending; (0,) for a single logit."""
        return tuple(index for index in range(self.outputs) if self.rejects >> index & 1)

    @property
    def accepted(self) -> tuple[int, ...]:
        """Classes that mean PASS, ascending; empty for a single logit, or if all classes are rejected."""
        return tuple(index for index in range(self.outputs) if not self.rejects >> index & 1)

    def margin(self, logits: Sequence[int]) -> int:
        """How far the logits favour FAIL over PASS; needs up to 33 bits. A single logit is its own margin. Otherwise
        the margin is the largest rejected logit minus the largest accepted one; if all classes are rejected it is 0,
        like the threshold, so that the verdict is always FAIL."""
        if self.outputs == 1:
            return logits[0]
        if self._rejects_all:
            return 0
        return max(logits[index] for index in self.rejected) - max(logits[index] for index in self.accepted)

    def judge(self, logits: Sequence[int]) -> Verdict:
        """FAIL if the margin reaches the threshold, else PASS."""
        return Verdict.FAIL if self.margin(logits) >= self.threshold else Verdict.PASS

    def classify(self, logits: Sequence[int]) -> int:
        """The class to show to people: the one with the largest logit; on a tie, the lowest of them. For a single
        logit, 1 for FAIL and 0 for PASS. Verdicts do not depend on it."""
        if self.outputs == 1:
            return int(self.judge(logits) is Verdict.FAIL)
        # -index, so that max prefers the lowest class on a tie.
        return max(range(self.outputs), key=lambda index: (logits[index], -index))


# A model's input: fixed-point sensor values, their bytes, and the scales that turn them into words.

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
    int64. Raises ModelError if a field is out of range."""

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


# The header of a model, and a reader of fields from untrusted bytes.

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


ZERO = bytes(32)
"""Context and salt of an inference that is bound to nothing and hides nothing, as in `python -m millmark.quality
evaluate`."""
INPUT_TAG = b"millmark/input/1"
INFERENCE_TAG = b"millmark/infer/1"
MAX_WINDOW_BYTES = VALUE_BYTES * MAX_WIDTH


def _require_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise InputError(f"{name} has {len(value)} bytes", hint=f"expected {size}")


def _require_window(window: bytes) -> None:
    if len(window) % VALUE_BYTES or not VALUE_BYTES <= len(window) <= MAX_WINDOW_BYTES:
        raise InputError(f"window has {len(window)} bytes", hint=f"expected 8 for each of 1..{MAX_WIDTH} values")


def build_input_commitment(salt: bytes, window: bytes) -> bytes:
    """SHA-256 over the tag, the salt, the width and the window's packed values (32 bytes). It commits to what was
    measured, before any model's scales: so it is also that of an evidence entry. The commitment hides the window as
    long as the salt is random and secret. Raises InputError unless the salt is 32 bytes long, and the window 8 for each
    of at most 4096 values."""
    _require_size("salt", salt, 32)
    _require_window(window)
    return hashlib.sha256(INPUT_TAG + salt + (len(window) // VALUE_BYTES).to_bytes(2, "big") + window).digest()


@dataclass(frozen=True, slots=True)
class Inference:
    """One execution of a model on one input. Raises InputError if a field has the wrong size or range. Not established:
    that logits and verdict follow from model and input; `millmark.quality.inspection.verify_inference` checks that."""

    context: bytes
    """32 bytes chosen by the caller that identify what the inference belongs to."""
    model_digest: bytes
    """SHA-256 of the model's canonical bytes."""
    salt: bytes
    """32 random bytes; zero if the window need not be hidden."""
    window: bytes
    """The measured window, packed (`millmark.quality.inference.pack_window`); the model's scales quantise it."""
    logits: tuple[int, ...]
    """int32 each: a single one, or one per class."""
    verdict: Verdict

    def __post_init__(self) -> None:
        _require_size("context", self.context, 32)
        _require_size("model digest", self.model_digest, 32)
        _require_size("salt", self.salt, 32)
        _require_window(self.window)
        if not 1 <= len(self.logits) <= MAX_OUTPUTS:
            raise InputError(f"inference has {len(self.logits)} logits", hint=f"expected 1..{MAX_OUTPUTS}")
        if any(not -LOGIT_LIMIT <= logit < LOGIT_LIMIT for logit in self.logits):
            raise InputError("a logit is out of range", hint="logits are int32")

    @property
    def input_commitment(self) -> bytes:
        """See `build_input_commitment` (32 bytes)."""
        return build_input_commitment(self.salt, self.window)

    @property
    def digest(self) -> bytes:
        """SHA-256 over tag, format version, context, model digest, input commitment, logits and verdict (32 bytes)."""
        # Fields of fixed size, and a count in front of the logits: two inferences never share a preimage.
        count = len(self.logits)
        return hashlib.sha256(
            INFERENCE_TAG
            + FORMAT_VERSION.to_bytes(2, "big")
            + self.context
            + self.model_digest
            + self.input_commitment
            + struct.pack(f">H{count}iB", count, *self.logits, self.verdict)
        ).digest()


def combine_digests(inferences: Iterable[Inference]) -> bytes:
    """SHA-256 over the inference digests, in order (32 bytes): one value for a whole run."""
    total = hashlib.sha256()
    for inference in inferences:
        total.update(inference.digest)
    return total.digest()
