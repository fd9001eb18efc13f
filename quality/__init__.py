"""Quality inspection that anybody can re-execute: integer-only models, one canonical byte layout, one digest.

Names are imported on first use. `Inspector`, `verify_inference` and `to_fixed` need numpy; only the torch evaluator and
the training of networks import torch. `quality/FORMAT.md` specifies the byte layouts.

This package imports neither `ledger` nor `services`, so that an auditor can run it alone. Its `Inference`, `Verdict`
and `build_context` therefore have counterparts in `ledger`; a test holds the two contexts equal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millmark.quality.data import to_fixed
    from millmark.quality.errors import DataError, ExportError, InferenceError, InputError, ModelError, QualityError
    from millmark.quality.inference import (
        FORMAT_VERSION,
        Decision,
        Inference,
        Scale,
        Verdict,
        build_input_commitment,
        combine_digests,
    )
    from millmark.quality.inspection import Inspector, verify_inference
    from millmark.quality.model import Model, build_model, model_digest, parse_model
    from millmark.quality.network import Conv, Dense, Network, SumPool

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

_HOMES = {
    "millmark.quality.data": ("to_fixed",),
    "millmark.quality.errors": (
        "DataError",
        "ExportError",
        "InferenceError",
        "InputError",
        "ModelError",
        "QualityError",
    ),
    "millmark.quality.inference": (
        "FORMAT_VERSION",
        "Decision",
        "Inference",
        "Scale",
        "Verdict",
        "build_input_commitment",
        "combine_digests",
    ),
    "millmark.quality.inspection": (
        "Inspector",
        "verify_inference",
    ),
    "millmark.quality.model": (
        "Model",
        "build_model",
        "model_digest",
        "parse_model",
    ),
    "millmark.quality.network": (
        "Conv",
        "Dense",
        "Network",
        "SumPool",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562): the errors alone are needed by commands that judge nothing."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
