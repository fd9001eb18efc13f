"""What an inference is, and the one digest that commits to all of it.

The byte layout is section 6 of `quality/FORMAT.md`. Needs neither numpy nor torch.
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
"""Context and salt where nothing is to be bound or hidden, as in `python -m quality evaluate`."""
INPUT_TAG = b"millmark/input/1"
INFERENCE_TAG = b"millmark/infer/1"
MAX_INPUT_BYTES = 8 * MAX_WIDTH


def _require_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise InputError(f"{name} has {len(value)} bytes", hint=f"give {size}")


def build_input_commitment(salt: bytes, quantised: bytes) -> bytes:
    """SHA-256 over tag, salt and the input's words (32 bytes); hides them as long as the salt is secret and random.

    Raises InputError when the salt is not 32 bytes.
    """
    _require_size("salt", salt, 32)
    return hashlib.sha256(INPUT_TAG + salt + quantised).digest()


@dataclass(frozen=True, slots=True)
class Inference:
    """One execution of a model on one input.

    Raises InputError when a field has the wrong size or range. Not established: that logits and verdict follow from
    model and input; `quality.inspection.verify_inference` checks that.
    """

    context: bytes
    """32 bytes chosen by the caller: what the inference belongs to."""
    model_digest: bytes
    """SHA-256 of the model's canonical bytes."""
    salt: bytes
    """32 random bytes; zero where nothing is to be hidden."""
    input: bytes
    """The quantised window: big-endian words of the size that the model's family reads, one a column."""
    logits: tuple[int, ...]
    """int32 each: one, or one a class."""
    verdict: Verdict

    def __post_init__(self) -> None:
        _require_size("context", self.context, 32)
        _require_size("model digest", self.model_digest, 32)
        _require_size("salt", self.salt, 32)
        if not 1 <= len(self.input) <= MAX_INPUT_BYTES:
            raise InputError(f"input has {len(self.input)} bytes", hint=f"give 1..{MAX_INPUT_BYTES}")
        if not 1 <= len(self.logits) <= MAX_OUTPUTS:
            raise InputError(f"inference has {len(self.logits)} logits", hint=f"give 1..{MAX_OUTPUTS}")
        if any(not -LOGIT_LIMIT <= logit < LOGIT_LIMIT for logit in self.logits):
            raise InputError("a logit is not an int32")

    @property
    def input_commitment(self) -> bytes:
        """Commits to salt and input (32 bytes)."""
        return build_input_commitment(self.salt, self.input)

    @property
    def digest(self) -> bytes:
        """SHA-256 over tag, format version, context, model digest, input commitment, logits and verdict (32 bytes)."""
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
    """SHA-256 over the inference digests in order (32 bytes): one value for a whole run."""
    total = hashlib.sha256()
    for inference in inferences:
        total.update(inference.digest)
    return total.digest()
