"""Measured windows for the demonstration, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["write_windows"]


def write_windows(path: Path) -> None:
    """Windows that the demonstration's model passes, and silence, which it fails."""
    random = np.random.default_rng(7)
    labels = np.array([-1, 1] * 20)
    hum = np.sin(2 * np.pi * 5 * np.arange(500) / 500)
    values = np.where(labels[:, None] == 1, 0.0, hum) + random.normal(scale=0.001, size=(40, 500))
    np.savetxt(path, np.column_stack([labels, values]), delimiter="\t", fmt=["%d", *["%.6f"] * 500])
