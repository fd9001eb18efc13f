"""The tree ensemble in pure Python: short and without dependencies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from millmark.quality.inputs import apply_scales
from millmark.quality.trees.records import MAX_INPUT, Forest, Operation


def quantise_row(forest: Forest, window: Sequence[int]) -> tuple[int, ...]:
    """Input (width words) from one window of fixed-point sensor values (width integers in units of 10^-decimals).

    Raises InputError if the window has another width, or a value above 2^53 - 1 in magnitude.
    """
    return apply_scales(forest.scales, window, width=forest.width, limit=MAX_INPUT)


def infer_row(forest: Forest, words: Sequence[int]) -> tuple[int, ...]:
    """Logits of one input (width words in -(2^31 - 1)..2^31 - 1)."""
    passed = _count_passed(forest, words)
    links = forest.links
    logits = list(forest.bases)
    for tree, root in zip(forest.trees, links.roots, strict=True):
        at, child = -1, root
        # Only a leaf is its own child.
        while child != at:
            at = child
            child = links.children[2 * at + (links.cuts[at] < passed[links.columns[at]])]
        logits[tree.output] += links.values[at]
    return tuple(logits)


def _count_passed(forest: Forest, words: Sequence[int]) -> list[int]:
    """For each column, the number of the first cut that its value does not pass.

    Cut numbers ascend with the cuts of a column, so the value passes exactly the column's cuts with smaller numbers:
    one binary search per column replaces the comparisons of all trees.
    """
    passed: list[int] = []
    first = 0
    for value, cuts in zip([*words, *_derive(forest, words)], forest.cuts, strict=True):
        passed.append(first + bisect_left(cuts, value))
        first += len(cuts)
    return passed


def _derive(forest: Forest, words: Sequence[int]) -> list[int]:
    return [
        words[column.first] - words[column.second]
        if column.operation is Operation.DIFFERENCE
        else words[column.first] * words[column.second]
        for column in forest.derived
    ]
