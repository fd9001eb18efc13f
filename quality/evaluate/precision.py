"""Whether torch computes float32 products exactly as IEEE 754 says, or was told that less will do. Imports torch."""

from __future__ import annotations

import os

import torch

from quality.errors import InferenceError

__all__ = ["verify_precision"]


def verify_precision() -> None:
    """Raise InferenceError when torch may take bfloat16 or TF32 products, which are not exact, for float32 ones."""
    if torch.get_float32_matmul_precision() != "highest":
        raise InferenceError(
            "torch is set to reduced matrix precision", mend='call torch.set_float32_matmul_precision("highest")'
        )
    mode = os.environ.get("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT")
    if mode.upper() != "STRICT":
        raise InferenceError(f"oneDNN may compute in {mode}", mend="unset ONEDNN_DEFAULT_FPMATH_MODE")
