"""Evaluating trees needs numpy or nothing; only training imports LightGBM."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import quality, quality.trees.format, quality.trees.plain", {"numpy", "torch", "lightgbm"}),
        ("from quality import Inspector; import quality.trees.arrays", {"torch", "lightgbm", "scipy"}),
        ("import quality.trees.tensors", {"lightgbm", "scipy"}),
        ("import quality.trees.train", {"torch"}),
    ],
)
def test_importing_does_not_bring(statement: str, absent: set[str]) -> None:
    program = f"{statement}; import sys; print(*set(sys.modules).intersection({sorted(absent)}))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
