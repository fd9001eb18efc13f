"""An inference, and the digest that commits to all of it.

The byte layouts are sections 5 and 6 of `quality/FORMAT.md`. Needs neither numpy nor torch.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from millmark.quality.decision import LOGIT_LIMIT, MAX_OUTPUTS, Verdict
from millmark.quality.errors import InputError
from millmark.quality.header import FORMAT_VERSION
from millmark.quality.inputs import MAX_WIDTH, VALUE_BYTES

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
    """SHA-256 over the tag, the salt, the width and the window's packed values (32 bytes).

    It commits to what was measured, before any model's scales: so it is also that of an evidence entry. The commitment
    hides the window as long as the salt is random and secret. Raises InputError unless the salt is 32 bytes long, and
    the window 8 for each of at most 4096 values.
    """
    _require_size("salt", salt, 32)
    _require_window(window)
    return hashlib.sha256(INPUT_TAG + salt + (len(window) // VALUE_BYTES).to_bytes(2, "big") + window).digest()


@dataclass(frozen=True, slots=True)
class Inference:
    """One execution of a model on one input.

    Raises InputError if a field has the wrong size or range. Not established: that logits and verdict follow from
    model and input; `millmark.quality.inspection.verify_inference` checks that.
    """

    context: bytes
    """32 bytes chosen by the caller that identify what the inference belongs to."""
    model_digest: bytes
    """SHA-256 of the model's canonical bytes."""
    salt: bytes
    """32 random bytes; zero if the window need not be hidden."""
    window: bytes
    """The measured window, packed (`millmark.quality.inputs.pack_window`); the model's scales quantise it."""
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
