"""Evaluators of the integer network. They agree byte for byte; any of them may check any other.

    plain     pure Python, no dependency; the one to read, and the one to port
    arrays    numpy, int64; what the inspection service and an auditor use
    tensors   torch, exact in floating point; for large batches

Each module offers `infer`. `load_evaluator` imports the one that is asked for, and nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from quality.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quality.network import Network

__all__ = ["EVALUATORS", "Evaluator", "load_evaluator"]

_MODULES = {
    "numpy": "quality.evaluate.arrays",
    "python": "quality.evaluate.plain",
    "torch": "quality.evaluate.tensors",
}
EVALUATORS = tuple(_MODULES)


class Evaluator(Protocol):
    """int8 inputs (n, width), never -128, to int32 logits (n, 1)."""

    def __call__(self, network: Network, inputs: NDArray[np.int8]) -> NDArray[np.int32]: ...


def load_evaluator(name: str) -> Evaluator:
    """Evaluator of that name. Raises InputError when there is none, or when what it needs is not installed."""
    if name not in _MODULES:
        raise InputError(f"there is no evaluator {name!r}", mend=f"choose one of {', '.join(EVALUATORS)}")
    try:
        module = importlib.import_module(_MODULES[name])
    except ModuleNotFoundError as missing:
        raise InputError(f"evaluator {name} needs {missing.name}", mend="install millmark[quality]") from missing
    return cast("Evaluator", module.infer)
