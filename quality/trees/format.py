"""Canonical bytes of a tree ensemble, after the header: the section "Trees" of `quality/FORMAT.md`.

There is exactly one byte string per forest, and `parse_body` accepts nothing else. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct

from quality.errors import ModelError
from quality.header import Header, Reader
from quality.trees.records import Derived, Forest, Operation, Tree, worst_sums
from quality.trees.shape import MAX_CUTS

__all__ = ["MAGIC", "build_body", "describe", "parse_body"]

MAGIC = b"MMQT"

_COUNT = struct.Struct(">B")  # derived columns
_DERIVED = struct.Struct(">BHH")  # operation, first, second
_CUTS = struct.Struct(">H")  # cuts of a column
_OUTPUT = struct.Struct(">iH")  # base, trees
_NODE = struct.Struct(">H")


def build_body(forest: Forest) -> bytes:
    """What follows the scales."""
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
    """A column of the input has int32 cuts, a derived one int64."""
    return struct.Struct(f">{count}{'i' if column < width else 'q'}")


def parse_body(header: Header, reader: Reader) -> Forest:
    """Forest of the header and the untrusted bytes behind it. Raises ModelError."""
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
    """The words of one tree: as many as its own splits ask for."""
    nodes: list[int] = []
    wanted = 1
    while wanted:
        (word,) = reader.take(_NODE)
        nodes.append(word)
        wanted += 1 if word < MAX_CUTS else -1
    return tuple(nodes)


def describe(forest: Forest) -> tuple[list[str], list[int]]:
    """Trees and derived columns in a line each, and the largest magnitude that the sums of each logit can reach."""
    nodes = sum(len(tree.nodes) for tree in forest.trees)
    lines = [f"{len(forest.trees)} trees of {nodes} nodes"]
    lines += [
        f"{derived.operation.name.lower()} of columns {derived.first + 1} and {derived.second + 1}"
        for derived in forest.derived
    ]
    return lines, list(worst_sums(forest))
