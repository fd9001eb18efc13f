"""Evaluators of a model. They agree byte for byte; any of them may check any other.

    python    pure Python, no dependency; the one to read, and the one to port
    numpy     what the inspection service and an auditor use
    torch     for large batches

`load_evaluator` imports what the one that is asked for needs, and nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from quality.errors import InputError
from quality.model import Model, load_family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EVALUATORS", "Evaluator", "Infer", "load_evaluator"]

Infer: TypeAlias = "Callable[[NDArray[np.signedinteger]], NDArray[np.int32]]"
"""Inputs (n, width) of one model to its logits (n, k). Raises InputError when they are no inputs of that model."""
Evaluator: TypeAlias = Callable[[Model], Infer]
"""Makes a model ready, which is worth doing once."""


def load_evaluator(name: str) -> Evaluator:
    """Evaluator of that name. Raises InputError when there is none, or when what it needs is not installed."""
    if name not in _PREPARE:
        raise InputError(f"there is no evaluator {name!r}", hint=f"choose one of {', '.join(EVALUATORS)}")
    needs = "torch" if name == "torch" else "numpy"
    try:
        importlib.import_module(needs)
    except ModuleNotFoundError as missing:
        raise InputError(f"evaluator {name} needs {missing.name}", hint="install millmark[quality]") from missing
    return lambda model: _verifying(model, _PREPARE[name](model))


def _verifying(model: Model, infer: Infer) -> Infer:
    from quality.evaluate.scaling import verify_inputs  # noqa: PLC0415  naming the evaluators must not need numpy

    def verified(inputs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        verify_inputs(model, inputs)
        return infer(inputs)

    return verified


def _prepare_plain(model: Model) -> Infer:
    import numpy as np  # noqa: PLC0415  only to speak numpy to the caller; the family's module does without

    infer_row = load_family(model.family, "plain").infer_row

    def infer(inputs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        rows = [infer_row(model, row) for row in inputs.tolist()]
        return np.array(rows, dtype=np.int32).reshape(len(rows), model.decision.outputs)

    return infer


def _prepare_arrays(model: Model) -> Infer:
    prepared: Infer = load_family(model.family, "arrays").prepare(model)
    return prepared


def _prepare_tensors(model: Model) -> Infer:
    import torch  # noqa: PLC0415  the other evaluators do without

    from quality.evaluate.precision import verify_precision  # noqa: PLC0415  likewise

    prepared: Infer = load_family(model.family, "tensors").prepare(model)

    def infer(inputs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        verify_precision()
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            return prepared(inputs)

    return infer


_PREPARE: dict[str, Evaluator] = {"numpy": _prepare_arrays, "python": _prepare_plain, "torch": _prepare_tensors}
EVALUATORS = tuple(_PREPARE)
