"""The tree ensemble in torch, with integers throughout: trees are walked together, one level at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from millmark.quality.trees.arrays import STEP_ELEMENTS
from millmark.quality.trees.records import Forest, Operation


def prepare(forest: Forest) -> Callable[[NDArray[np.int32]], NDArray[np.int32]]:
    """A function from int32 inputs (n, width) to logits int32 (n, k), with its trees converted once."""
    links = forest.links
    node_cuts, node_columns, children, values, roots = (
        torch.tensor(part.tolist(), dtype=torch.int64)
        for part in (links.cuts, links.columns, links.children, links.values, links.roots)
    )
    count_passed = _prepare_columns(forest)
    outputs = torch.tensor([tree.output for tree in forest.trees])
    bases = torch.tensor(forest.bases, dtype=torch.int64)

    def walk(inputs: torch.Tensor) -> torch.Tensor:
        passed = count_passed(inputs)
        nodes = roots.expand(len(inputs), -1)
        for _ in range(links.depth):
            right = node_cuts[nodes] < passed.gather(1, node_columns[nodes])
            nodes = children[2 * nodes + right]
        return bases.repeat(len(inputs), 1).index_add_(1, outputs, values[nodes])

    def infer(inputs: NDArray[np.int32]) -> NDArray[np.int32]:
        size = max(1, STEP_ELEMENTS // len(roots))
        chunks = [walk(chunk) for chunk in torch.split(torch.from_numpy(inputs.copy()).to(torch.int64), size)]
        logits: NDArray[np.int32] = torch.cat(chunks).to(torch.int32).numpy()
        return logits

    return infer


def _prepare_columns(forest: Forest) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from int64 inputs (n, width) to (n, columns): for each column, derived ones last, the number of the
    first cut that its value does not pass."""
    first = torch.tensor([column.first for column in forest.derived], dtype=torch.int64)
    second = torch.tensor([column.second for column in forest.derived], dtype=torch.int64)
    differs = torch.tensor([column.operation is Operation.DIFFERENCE for column in forest.derived], dtype=torch.bool)
    cuts = [torch.tensor(cuts, dtype=torch.int64) for cuts in forest.cuts]
    firsts = torch.tensor([0, *accumulate(map(len, forest.cuts))][:-1])

    def count_passed(inputs: torch.Tensor) -> torch.Tensor:
        left, right = inputs[:, first], inputs[:, second]
        columns = torch.cat([inputs, torch.where(differs, left - right, left * right)], dim=1)
        # searchsorted is fast only on contiguous memory.
        pairs = zip(cuts, columns.T.contiguous(), strict=True)
        return torch.stack([torch.searchsorted(own, column) for own, column in pairs], dim=1) + firsts

    return count_passed
