"""Where the public test data is, when it is on this machine; tests collect what they find there."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CORPUS"]

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
