"""Evaluators of a model. They agree byte for byte, so any of them can check another.

    python    pure Python without dependencies; the one to read, and to port
    numpy     used by the inspection service and by auditors
    torch     for large batches

`load_evaluator` imports only what the requested evaluator needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from millmark.quality.errors import InputError
from millmark.quality.model import Model, load_family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EVALUATORS", "Evaluator", "Infer", "load_evaluator"]

Infer: TypeAlias = "Callable[[NDArray[np.signedinteger]], NDArray[np.int32]]"
"""Maps inputs (n, width) of one model to its logits (n, k). Raises InputError if they are not inputs of that model."""
Evaluator: TypeAlias = Callable[[Model], Infer]
"""Prepares a model for inference: the costly part, to be done once per model."""


def load_evaluator(name: str) -> Evaluator:
    """The evaluator of that name. Raises InputError if it is unknown, or a package that it needs is not installed."""
    if name not in _PREPARE:
        raise InputError(f"unknown evaluator {name!r}", hint=f"choose one of {', '.join(EVALUATORS)}")
    # "python" needs numpy too: its callers pass arrays. The pure functions in a family's `plain` do not.
    needs = "torch" if name == "torch" else "numpy"
    try:
        importlib.import_module(needs)
    except ModuleNotFoundError as missing:
        raise InputError(f"evaluator {name} needs {missing.name}", hint="install millmark[quality]") from missing
    return lambda model: _verifying(model, _PREPARE[name](model))


def _verifying(model: Model, infer: Infer) -> Infer:
    """Check inputs in one place, so that every evaluator refuses the same ones."""
    from millmark.quality.evaluate.scaling import verify_inputs  # noqa: PLC0415  listing the evaluators must not need numpy

    def verified(inputs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        verify_inputs(model, inputs)
        return infer(inputs)

    return verified


def _prepare_plain(model: Model) -> Infer:
    import numpy as np  # noqa: PLC0415  only for the caller's arrays; the family's module does not need it

    infer_row = load_family(model.family, "records").infer_row

    def infer(inputs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        rows = [infer_row(model, row) for row in inputs.tolist()]
        return np.array(rows, dtype=np.int32).reshape(len(rows), model.decision.outputs)

    return infer


def _prepare_arrays(model: Model) -> Infer:
    prepared: Infer = load_family(model.family, "arrays").prepare(model)
    return prepared


def _prepare_tensors(model: Model) -> Infer:
    import torch  # noqa: PLC0415  the other evaluators do not need it

    from millmark.quality.evaluate.precision import verify_precision  # noqa: PLC0415  listing needs no numpy

    prepared: Infer = load_family(model.family, "tensors").prepare(model)

    def infer(inputs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        # Checked on each call: these are global settings, which other code may change at any time.
        verify_precision()
        with torch.inference_mode():
            if not torch.is_autocast_enabled("cpu"):
                return prepared(inputs)
            # Autocast would run the products in bfloat16, which is not exact. Only then: switching it off takes a tenth
            # of a batch.
            with torch.autocast("cpu", enabled=False):
                return prepared(inputs)

    return infer


_PREPARE: dict[str, Evaluator] = {"numpy": _prepare_arrays, "python": _prepare_plain, "torch": _prepare_tensors}
EVALUATORS = tuple(_PREPARE)
