"""An inference, and the digest that commits to all of it.

The byte layouts are sections 5 and 6 of `quality/FORMAT.md`. Needs neither numpy nor torch.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from quality.decision import LOGIT_LIMIT, MAX_OUTPUTS, Verdict
from quality.errors import InputError
from quality.header import FORMAT_VERSION
from quality.inputs import MAX_WIDTH

__all__ = ["ZERO", "Inference", "build_input_commitment", "combine_digests"]

ZERO = bytes(32)
"""Context and salt of an inference that is bound to nothing and hides nothing, as in `python -m quality evaluate`."""
INPUT_TAG = b"millmark/input/1"
INFERENCE_TAG = b"millmark/infer/1"
MAX_INPUT_BYTES = 8 * MAX_WIDTH
"""The widest window in the largest words, whatever the family: this module does not know the model."""


def _require_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise InputError(f"{name} has {len(value)} bytes", hint=f"expected {size}")


def build_input_commitment(salt: bytes, quantised: bytes) -> bytes:
    """SHA-256 over the tag, the salt and the input's words (32 bytes).

    The commitment hides the input as long as the salt is random and secret. Raises InputError unless the salt is 32
    bytes long.
    """
    _require_size("salt", salt, 32)
    return hashlib.sha256(INPUT_TAG + salt + quantised).digest()


@dataclass(frozen=True, slots=True)
class Inference:
    """One execution of a model on one input.

    Raises InputError if a field has the wrong size or range. Not established: that logits and verdict follow from
    model and input; `quality.inspection.verify_inference` checks that.
    """

    context: bytes
    """32 bytes chosen by the caller that identify what the inference belongs to."""
    model_digest: bytes
    """SHA-256 of the model's canonical bytes."""
    salt: bytes
    """32 random bytes; zero if the input need not be hidden."""
    input: bytes
    """The quantised window: one big-endian word per column, of the size that the model's family reads."""
    logits: tuple[int, ...]
    """int32 each: a single one, or one per class."""
    verdict: Verdict

    def __post_init__(self) -> None:
        _require_size("context", self.context, 32)
        _require_size("model digest", self.model_digest, 32)
        _require_size("salt", self.salt, 32)
        if not 1 <= len(self.input) <= MAX_INPUT_BYTES:
            raise InputError(f"input has {len(self.input)} bytes", hint=f"expected 1..{MAX_INPUT_BYTES}")
        if not 1 <= len(self.logits) <= MAX_OUTPUTS:
            raise InputError(f"inference has {len(self.logits)} logits", hint=f"expected 1..{MAX_OUTPUTS}")
        if any(not -LOGIT_LIMIT <= logit < LOGIT_LIMIT for logit in self.logits):
            raise InputError("a logit is out of range", hint="logits are int32")

    @property
    def input_commitment(self) -> bytes:
        """See `build_input_commitment` (32 bytes)."""
        return build_input_commitment(self.salt, self.input)

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
