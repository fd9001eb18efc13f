"""The tree ensemble in numpy: the trees of many windows are walked together, one level at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from millmark.quality.evaluate.scaling import quantise_windows
from millmark.quality.trees.records import Derived, Forest, Operation

STEP_ELEMENTS = 2**20
"""Trees times windows that are walked at a time, to bound memory."""


def quantise(forest: Forest, windows: NDArray[np.int64]) -> NDArray[np.int32]:
    """int32 inputs (n, width) of fixed-point sensor values (n, width) in units of 10^-decimals. Raises InputError if
    the shape differs, or a value exceeds 2^53 - 1 in magnitude."""
    return quantise_windows(forest, windows).astype(np.int32)


def derive_columns(inputs: NDArray[np.int32], derived: Sequence[Derived]) -> NDArray[np.int64]:
    """int64 (n, width + derived): the input's columns, then the derived ones; their magnitudes are below 2^62."""
    columns = np.empty((len(inputs), inputs.shape[1] + len(derived)), dtype=np.int64)
    columns[:, : inputs.shape[1]] = inputs
    for at, column in enumerate(derived, inputs.shape[1]):
        operation = np.subtract if column.operation is Operation.DIFFERENCE else np.multiply
        operation(columns[:, column.first], columns[:, column.second], out=columns[:, at])
    return columns


def prepare(forest: Forest) -> Callable[[NDArray[np.int32]], NDArray[np.int32]]:
    """A function from int32 inputs (n, width) to logits int32 (n, k), with its trees converted once."""
    links = forest.links
    # intp, numpy's own index type: any other would be converted at every step.
    node_cuts, node_columns, children, values, roots = (
        np.array(part, dtype=np.intp) for part in (links.cuts, links.columns, links.children, links.values, links.roots)
    )
    cuts = [np.array(cuts, dtype=np.int64) for cuts in forest.cuts]
    firsts = [0, *accumulate(map(len, forest.cuts))]
    bounds = [sum(tree.output < output for tree in forest.trees) for output in range(forest.decision.outputs + 1)]

    def walk(inputs: NDArray[np.int32]) -> NDArray[np.int64]:
        columns = derive_columns(inputs, forest.derived)
        # For each column, the number of the first cut that is not passed: see `plain`.
        passed = np.zeros(columns.shape, dtype=np.intp)
        for at, (column_cuts, first) in enumerate(zip(cuts, firsts[:-1], strict=True)):
            if len(column_cuts):
                passed[:, at] = first + np.searchsorted(column_cuts, columns[:, at], side="left")
        flat = passed.ravel()
        rows = np.arange(0, flat.size, columns.shape[1])[:, np.newaxis]
        at_nodes = np.broadcast_to(roots, (len(inputs), len(roots)))
        # A fixed number of steps: leaves are their own children, so shallow trees stay where they are.
        for _ in range(links.depth):
            right = node_cuts[at_nodes] < flat[rows + node_columns[at_nodes]]
            at_nodes = children[2 * at_nodes + right]
        leaves = values[at_nodes]
        sums = [leaves[:, low:high].sum(axis=1) for low, high in pairwise(bounds)]
        return np.stack(sums, axis=1) + np.array(forest.bases, dtype=np.int64)

    def infer(inputs: NDArray[np.int32]) -> NDArray[np.int32]:
        size = max(1, STEP_ELEMENTS // len(roots))
        logits = np.empty((len(inputs), forest.decision.outputs), dtype=np.int32)
        for start in range(0, len(inputs), size):
            logits[start : start + size] = walk(inputs[start : start + size])
        return logits

    return infer
