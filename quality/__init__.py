"""Quality inspection that anybody can re-execute: integer-only models, one canonical byte layout, one digest.

`import quality` needs neither numpy nor torch. `Inspector`, `verify_inference` and `to_fixed` import numpy on first
use; only the torch evaluator and the training of networks import torch. `quality/FORMAT.md` specifies the byte layouts.

This package imports neither `ledger` nor `services`, so that an auditor can run it alone. Its `Inference`, `Verdict`
and `build_context` therefore have counterparts in `ledger`; a test holds the two contexts equal.
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
    """Import the names that need numpy on first access (PEP 562)."""
    if name not in _NEEDING_NUMPY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_NEEDING_NUMPY[name]), name)
