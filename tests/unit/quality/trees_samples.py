"""Random forests, and inputs for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality import Decision, Scale
from millmark.quality.trees import Derived, Forest, Operation
from millmark.quality.trees.export import FloatTree, Split, export

LARGEST = 2**31 - 1
_FAR_CUTS = (-1e12, -(2.0**31), 0.5, LARGEST - 1.0, 2.0**62, 1e19)
_COMMON_LEAVES = (-1.5, 0.0, 1e-9, 0.25, 1.0)


@dataclass(frozen=True, slots=True)
class Grown:
    """A forest, and the trees from which it was exported."""

    forest: Forest
    logit_step: float
    trees: list[tuple[int, FloatTree]]
    derived: tuple[Derived, ...]


def all_derived(width: int) -> list[Derived]:
    """Every possible derived column, ascending."""
    pairs = [(first, second) for first in range(width) for second in range(first, width)]
    differences = [Derived(Operation.DIFFERENCE, *pair) for pair in pairs if pair[0] < pair[1]]
    return differences + [Derived(Operation.PRODUCT, *pair) for pair in pairs]


def build_random_tree(rng: np.random.Generator, columns: int, depth: int) -> FloatTree:
    """A tree that is not in canonical form: it may have equal leaves, redundant splits, and cuts beyond all values."""
    if depth == 0 or rng.random() < 0.25:
        return float(rng.choice(_COMMON_LEAVES)) if rng.integers(2) else float(rng.uniform(-10, 10))
    cut = float(rng.choice(_FAR_CUTS)) if rng.random() < 0.2 else float(rng.uniform(-30, 30))
    below = [build_random_tree(rng, columns, depth - 1) for _ in range(2)]
    return Split(int(rng.integers(columns)), cut, *below)


def build_random_grown(seed: int) -> Grown:
    """A forest of random shape and numbers, whose first tree always splits."""
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 4))
    derived = tuple(column for column in all_derived(width) if rng.random() < 0.3)
    outputs = int(rng.choice([1, 2, 5]))
    rejects = 1 if outputs == 1 else int(rng.integers(1, (1 << outputs) - 1))
    trees: list[tuple[int, FloatTree]] = [(int(rng.integers(outputs)), Split(0, 0.5, -1.0, 2.0))]
    for _ in range(int(rng.integers(0, 6))):
        trees.append((int(rng.integers(outputs)), build_random_tree(rng, width + len(derived), 4)))
    # The zeros differ, so that no two scales are the same.
    scales = tuple(
        Scale(1000 * at + int(rng.integers(-100, 100)), int(rng.integers(1, 256)), int(rng.integers(0, 13)))
        for at in range(width if rng.integers(2) else 1)
    )
    decision = Decision(outputs, rejects, int(rng.integers(-100, 100)))
    exported = export(trees, decimals=6, decision=decision, width=width, scales=scales, derived=derived)
    return Grown(exported.forest, exported.logit_step, trees, derived)


def random_words(forest: Forest, rows: int, seed: int) -> NDArray[np.int32]:
    """int32 inputs (rows, width): near the cuts, random, and extreme."""
    rng = np.random.default_rng(seed)
    shape = (rows, forest.width)
    near, anywhere = rng.integers(-40, 41, shape), rng.integers(-LARGEST, LARGEST + 1, shape)
    limits = rng.choice([-LARGEST, LARGEST], shape)
    return np.choose(rng.choice(3, shape, p=[0.6, 0.2, 0.2]), [near, anywhere, limits]).astype(np.int32)


seeds = st.integers(0, 2**32 - 1)
grown = seeds.map(build_random_grown)
forests = grown.map(lambda result: result.forest)
