"""Checks that torch computes float32 products by IEEE 754, not in a reduced precision. Imports torch."""

from __future__ import annotations

import os

import torch

from millmark.quality.errors import InferenceError

_EXACT = {"none", "ieee"}


def verify_precision() -> None:
    """Raise InferenceError if torch may replace float32 products by bfloat16 or TF32 ones, which are not exact."""
    # torch.set_float32_matmul_precision and the newer settings both set these attributes. Its getter is not used here,
    # because it raises once the newer settings have been used.
    everywhere: str = torch.backends.fp32_precision  # type: ignore[attr-defined]  # set at import, missing in the stubs
    products: str = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]  # likewise
    stated = {everywhere, products} - _EXACT
    if stated:
        raise InferenceError(
            f"torch is set to reduced matrix precision ({', '.join(sorted(stated))})",
            hint='call torch.set_float32_matmul_precision("highest")',
        )
    mode = os.environ.get("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT")
    if mode.upper() != "STRICT":
        raise InferenceError(f"oneDNN may compute in {mode}", hint="unset ONEDNN_DEFAULT_FPMATH_MODE")
