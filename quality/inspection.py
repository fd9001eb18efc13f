"""Inspecting one window, and re-executing what somebody else's inspection says. Needs numpy, not torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quality.digest import ZERO, Inference
from quality.errors import InferenceError, InputError
from quality.evaluate import Evaluator, arrays
from quality.format import model_digest, parse_model
from quality.network import Network

__all__ = ["Inspector", "verify_inference"]


class Inspector:
    """A model made ready to inspect. Raises ModelError when the bytes are no canonical model.

    Holds no state that an inspection changes, so threads may share one.
    """

    def __init__(self, model: bytes) -> None:
        self.network: Network = parse_model(model)
        self.model_digest: bytes = model_digest(model)

    def inspect(self, window: Sequence[int], *, context: bytes, salt: bytes) -> Inference:
        """Inference on one window of fixed-point sensor values (width integers, units of 10^-decimals).

        `context` (32 bytes) says what the inference belongs to, `salt` (32 random bytes) hides the input behind its
        commitment. Raises InputError when a value is no integer, or a size or range is wrong.
        """
        values = np.array(window)
        if values.dtype.kind != "i":
            raise InputError("window does not hold int64 integers", mend="convert sensor values with to_fixed")
        if values.shape != (self.network.width,):
            raise InputError(f"window has shape {values.shape}", mend=f"the model reads ({self.network.width},)")
        return self.inspect_all(values.astype(np.int64)[np.newaxis], contexts=[context], salts=[salt])[0]

    def inspect_all(
        self,
        windows: NDArray[np.int64],
        *,
        contexts: Sequence[bytes] | None = None,
        salts: Sequence[bytes] | None = None,
        evaluator: Evaluator = arrays.infer,
    ) -> tuple[Inference, ...]:
        """Inferences on many windows (n, width), in order; the evaluator changes nothing but the speed.

        Contexts and salts are zero when not given. Raises InputError as `inspect` does.
        """
        inputs = arrays.quantise(self.network, windows)
        contexts = [ZERO] * len(inputs) if contexts is None else contexts
        salts = [ZERO] * len(inputs) if salts is None else salts
        if not len(contexts) == len(salts) == len(inputs):
            raise InputError(f"{len(inputs)} windows have {len(contexts)} contexts and {len(salts)} salts")
        logits = evaluator(self.network, inputs)
        return tuple(
            Inference(
                context=context,
                model_digest=self.model_digest,
                salt=salt,
                input=row.tobytes(),
                logits=(int(scores[0]),),
                verdict=self.network.judge(int(scores[0])),
            )
            for context, salt, row, scores in zip(contexts, salts, inputs, logits, strict=True)
        )


def verify_inference(inference: Inference, model: bytes) -> None:
    """Re-execute an inference, and raise unless it follows from this model and its own input.

    1. The model is canonical (ModelError).
    2. The inference names this model.
    3. Its input is one that the model reads.
    4. The logits are what the model gives for it.
    5. The verdict is what the model's threshold makes of them.

    Steps 2 to 5 raise InferenceError. Not established: that the input is what a sensor measured, nor what the context
    stands for.
    """
    network = parse_model(model)
    if inference.model_digest != model_digest(model):
        raise InferenceError(f"inference names model {inference.model_digest.hex()}", mend="fetch that model")
    if len(inference.input) != network.width:
        raise InferenceError(f"input has {len(inference.input)} values, the model reads {network.width}")
    inputs = np.frombuffer(inference.input, dtype=np.int8)[np.newaxis]
    logits = tuple(int(logit) for logit in arrays.infer(network, inputs)[0])
    if inference.logits != logits:
        raise InferenceError(f"logits are {inference.logits}, the model gives {logits}")
    if inference.verdict is not network.judge(logits[0]):
        raise InferenceError(f"verdict is {inference.verdict.name}, the model says {network.judge(logits[0]).name}")
