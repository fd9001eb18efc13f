"""Quality inspection that anybody can re-execute: models of integers only, one canonical byte layout, one digest.

`import quality` needs neither numpy nor torch. `Inspector`, `verify_inference` and `to_fixed` import numpy when they
are first used; torch is imported by its evaluator and by the training of networks. `quality/FORMAT.md` specifies the
bytes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from quality.decision import Decision, Verdict
from quality.digest import Inference, build_input_commitment, combine_digests
from quality.errors import DataError, ExportError, InferenceError, InputError, ModelError, QualityError
from quality.header import FORMAT_VERSION
from quality.inputs import Scale
from quality.model import Model, build_model, model_digest, parse_model
from quality.network import Conv, Dense, Network, SumPool

if TYPE_CHECKING:
    from quality.data import to_fixed
    from quality.inspection import Inspector, verify_inference

__all__ = [
    "FORMAT_VERSION",
    "Conv",
    "DataError",
    "Decision",
    "Dense",
    "ExportError",
    "Inference",
    "InferenceError",
    "InputError",
    "Inspector",
    "Model",
    "ModelError",
    "Network",
    "QualityError",
    "Scale",
    "SumPool",
    "Verdict",
    "build_input_commitment",
    "build_model",
    "combine_digests",
    "model_digest",
    "parse_model",
    "to_fixed",
    "verify_inference",
]

_NEEDING_NUMPY = {
    "Inspector": "quality.inspection",
    "to_fixed": "quality.data",
    "verify_inference": "quality.inspection",
}


def __getattr__(name: str) -> object:
    """PEP 562: the names that need numpy are imported when first asked for."""
    if name not in _NEEDING_NUMPY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_NEEDING_NUMPY[name]), name)
