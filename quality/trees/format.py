"""Canonical bytes of a tree ensemble after the header: section 3.3 of `quality/FORMAT.md`.

A forest has exactly one byte form, and `parse_body` accepts no other. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct

from millmark.quality.errors import ModelError
from millmark.quality.header import Header, Reader
from millmark.quality.trees.records import Derived, Forest, Operation, Tree, worst_sums
from millmark.quality.trees.shape import MAX_CUTS

MAGIC = b"MMQT"

_COUNT = struct.Struct(">B")  # derived columns
_DERIVED = struct.Struct(">BHH")  # operation, first, second
_CUTS = struct.Struct(">H")  # cuts of a column
_OUTPUT = struct.Struct(">iH")  # base, trees
_NODE = struct.Struct(">H")


def build_body(forest: Forest) -> bytes:
    """Bytes that follow the scales."""
    parts = [_COUNT.pack(len(forest.derived))]
    parts += [_DERIVED.pack(column.operation, column.first, column.second) for column in forest.derived]
    for column, cuts in enumerate(forest.cuts):
        parts.append(_CUTS.pack(len(cuts)) + _cut_layout(forest.width, column, len(cuts)).pack(*cuts))
    for output, base in enumerate(forest.bases):
        trees = [tree for tree in forest.trees if tree.output == output]
        parts.append(_OUTPUT.pack(base, len(trees)))
        parts += [struct.pack(f">{len(tree.nodes)}H", *tree.nodes) for tree in trees]
    return b"".join(parts)


def _cut_layout(width: int, column: int, count: int) -> struct.Struct:
    """Layout of a column's cuts: int32 for an input column, int64 for a derived one."""
    return struct.Struct(f">{count}{'i' if column < width else 'q'}")


def parse_body(header: Header, reader: Reader) -> Forest:
    """Parse a forest from its header and the untrusted bytes that follow. Raises ModelError."""
    (count,) = reader.take(_COUNT)
    derived = tuple(_parse_derived(*reader.take(_DERIVED)) for _ in range(count))
    cuts = tuple(_parse_cuts(reader, header.width, column) for column in range(header.width + count))
    bases: list[int] = []
    trees: list[Tree] = []
    for output in range(header.decision.outputs):
        base, count = reader.take(_OUTPUT)
        bases.append(base)
        trees += [Tree(output, _parse_nodes(reader)) for _ in range(count)]
    return Forest(
        width=header.width,
        decimals=header.decimals,
        decision=header.decision,
        scales=header.scales,
        derived=derived,
        cuts=cuts,
        bases=tuple(bases),
        trees=tuple(trees),
    )


def _parse_derived(operation: int, first: int, second: int) -> Derived:
    if operation not in tuple(Operation):
        raise ModelError(f"operation {operation} is unknown")
    return Derived(Operation(operation), first, second)


def _parse_cuts(reader: Reader, width: int, column: int) -> tuple[int, ...]:
    (count,) = reader.take(_CUTS)
    return reader.take(_cut_layout(width, column, count))


def _parse_nodes(reader: Reader) -> tuple[int, ...]:
    """The words of one tree. No length is stored: the tree ends where its last split has both subtrees."""
    nodes: list[int] = []
    wanted = 1
    while wanted:
        (word,) = reader.take(_NODE)
        nodes.append(word)
        wanted += 1 if word < MAX_CUTS else -1
    return tuple(nodes)


def describe(forest: Forest) -> tuple[list[str], list[int]]:
    """Lines for the card, one for the trees and one per derived column, and the largest magnitude of each logit's
    sums.
    """
    nodes = sum(len(tree.nodes) for tree in forest.trees)
    lines = [f"{len(forest.trees)} trees of {nodes} nodes"]
    lines += [
        f"{derived.operation.name.lower()} of columns {derived.first + 1} and {derived.second + 1}"
        for derived in forest.derived
    ]
    return lines, list(worst_sums(forest))
