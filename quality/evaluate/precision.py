"""Whether torch computes float32 products exactly as IEEE 754 says, or was told that less will do. Imports torch."""

from __future__ import annotations

import os

import torch

from quality.errors import InferenceError

__all__ = ["verify_precision"]

_EXACT = {"none", "ieee"}


def verify_precision() -> None:
    """Raise InferenceError when torch may take bfloat16 or TF32 products, which are not exact, for float32 ones."""
    # torch.set_float32_matmul_precision and the newer settings both end here; asking the former while the latter are in
    # use is an error of torch's own.
    everywhere: str = torch.backends.fp32_precision  # type: ignore[attr-defined]  # set at import, unknown to its stubs
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
