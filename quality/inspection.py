"""Inspects windows, and re-executes inferences made by others. Needs numpy, not torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InferenceError, InputError
from millmark.quality.evaluate import Infer, load_evaluator
from millmark.quality.evaluate.scaling import pack_windows
from millmark.quality.inference import ZERO, Inference, unpack_window
from millmark.quality.model import Model, load_family, model_digest, parse_model


class Inspector:
    """A model prepared for inspection. Raises ModelError if the bytes are not a canonical model. Inspecting changes no
    state, so threads may share one inspector."""

    def __init__(self, model: bytes) -> None:
        self.model: Model = parse_model(model)
        self.model_digest: bytes = model_digest(model)
        self._arrays = load_family(self.model.family, "arrays")
        self._infer = load_evaluator("numpy")(self.model)

    def inspect(self, window: Sequence[int], *, context: bytes, salt: bytes) -> Inference:
        """Inference on one window of fixed-point sensor values (width integers, in units of 10^-decimals). `context`
        (32 bytes) identifies what the inference belongs to; `salt` (32 random bytes) hides the window behind its
        commitment. Raises InputError if a value is not an integer, or a size or range is wrong."""
        # No dtype given: numpy would silently truncate floats to int64.
        values = np.array(window)
        if values.dtype.kind != "i":
            raise InputError("window does not contain int64 integers", hint="convert sensor values with to_fixed")
        if values.shape != (self.model.width,):
            raise InputError(f"window has shape {values.shape}", hint=f"the model reads ({self.model.width},)")
        return self.inspect_all(values.astype(np.int64)[np.newaxis], contexts=[context], salts=[salt])[0]

    def inspect_all(
        self,
        windows: NDArray[np.int64],
        *,
        contexts: Sequence[bytes] | None = None,
        salts: Sequence[bytes] | None = None,
        infer: Infer | None = None,
    ) -> tuple[Inference, ...]:
        """Inferences on many windows (n, width), in order. Contexts and salts default to zero. `infer` is this model as
        prepared by another evaluator; it affects only the speed. Raises InputError as `inspect` does."""
        inputs = self._arrays.quantise(self.model, windows)
        contexts = [ZERO] * len(inputs) if contexts is None else contexts
        salts = [ZERO] * len(inputs) if salts is None else salts
        if not len(contexts) == len(salts) == len(inputs):
            raise InputError(f"{len(inputs)} windows have {len(contexts)} contexts and {len(salts)} salts")
        rows = (self._infer if infer is None else infer)(inputs).tolist()
        return tuple(
            Inference(
                context=context,
                model_digest=self.model_digest,
                salt=salt,
                window=packed,
                logits=tuple(logits),
                verdict=self.model.decision.judge(logits),
            )
            for context, salt, packed, logits in zip(contexts, salts, pack_windows(windows), rows, strict=True)
        )


def verify_inference(inference: Inference, model: bytes) -> None:
    """Re-execute an inference and raise unless it follows from this model and its own window.

    1. The model is canonical (ModelError).
    2. The inference names this model.
    3. The window is valid for the model.
    4. The model computes the stated logits from the window.
    5. The model's threshold turns them into the stated verdict.

    Steps 2 to 5 raise InferenceError. Not established: that a sensor measured this window, or what the context stands
    for.
    """
    parsed = parse_model(model)
    if inference.model_digest != model_digest(model):
        raise InferenceError(f"inference names model {inference.model_digest.hex()}", hint="obtain that model")
    try:
        window = np.array([unpack_window(inference.window)], dtype=np.int64)
        inputs = load_family(parsed.family, "arrays").quantise(parsed, window)
    except InputError as error:
        raise InferenceError(error.cause) from error
    logits = tuple(load_evaluator("numpy")(parsed)(inputs)[0].tolist())
    if inference.logits != logits:
        raise InferenceError(f"logits are {inference.logits}, the model computes {logits}")
    verdict = parsed.decision.judge(logits)
    if inference.verdict is not verdict:
        raise InferenceError(f"verdict is {inference.verdict.name}, the model computes {verdict.name}")
