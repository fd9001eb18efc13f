"""The rocket model in torch, for large batches. Types are those of `arrays`: float32 products and float64 sums, exact
by their bounds, with int16 in between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from millmark.quality.rocket.records import KERNELS, REACH, TAPS, Rocket, Section

_CHUNK_BYTES = 2**21
"""Responses in memory at a time: about the size of a processor's cache."""


def prepare(model: Rocket) -> Callable[[NDArray[np.int8]], NDArray[np.int32]]:
    """A function from int8 inputs (n, width) to logits int32 (n, k), with its kernels and weights converted once."""
    counters = [prepare_section(section, model.width) for section in model.sections]
    features = [feature for section in model.sections for feature in section.features]
    weights = torch.tensor([feature.weights for feature in features], dtype=torch.float64)
    biases = torch.tensor(model.biases, dtype=torch.float64)

    def infer(inputs: NDArray[np.int8]) -> NDArray[np.int32]:
        words = torch.from_numpy(inputs.copy()).to(torch.float32)
        counts = torch.cat([count(words) for count in counters], dim=1)
        logits: NDArray[np.int32] = (counts.to(torch.float64) @ weights + biases).to(torch.int32).numpy()
        return logits

    return infer


def prepare_section(section: Section, width: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from float32 words (n, width) to counts int16 (n, features) of one section."""
    used = sorted({feature.kernel for feature in section.features})
    kernels = torch.full((len(used), TAPS), -1.0)
    for row, kernel in enumerate(used):
        kernels[row, list(KERNELS[kernel])] = 2.0
    which = torch.tensor([used.index(feature.kernel) for feature in section.features])
    biases = torch.tensor([[feature.bias] for feature in section.features], dtype=torch.int16)
    margin = REACH // 2 * section.dilation if section.padded else 0
    positions = section.positions(width)
    rows = max(1, _CHUNK_BYTES // (2 * positions * len(which)))

    def count_chunk(words: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(words, (margin, margin))
        starts = range(0, TAPS * section.dilation, section.dilation)
        taps = torch.stack([padded[:, start : start + positions] for start in starts], dim=1)  # (n, 9, positions)
        responses = torch.matmul(kernels, taps).to(torch.int16)  # (n, kernels used, positions)
        if len(used) < len(which):
            responses = responses[:, which]
        return (responses > biases).sum(dim=2, dtype=torch.int16)

    def count(words: torch.Tensor) -> torch.Tensor:
        chunks = [count_chunk(words[start : start + rows]) for start in range(0, len(words), rows)]
        return torch.cat(chunks) if chunks else torch.zeros((0, len(which)), dtype=torch.int16)

    return count
