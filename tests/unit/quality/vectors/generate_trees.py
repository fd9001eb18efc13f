"""Writes `trees.json`: bytes of tree ensembles that a parser must accept, with everything that follows, or refuse.

    python -m tests.unit.quality.vectors.generate_trees

The bytes are packed here, field by field, and not by `millmark.quality.trees.records`, so that they also check the
builder.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from pathlib import Path

from tests.unit.quality import model_vectors
from tests.unit.quality.model_vectors import build_vectors

OUTPUT = Path(__file__).parent / "trees.json"

Derived = tuple[int, int, int]
Trees = Sequence[Sequence[int]]

header = functools.partial(model_vectors.header, magic=b"MMQT")


def scale(zero: int = 0, multiplier: int = 1, shift: int = 0) -> bytes:
    return struct.pack(">qBB", zero, multiplier, shift)


def leaf(value: int) -> int:
    return 2**15 + 2**14 + value


DERIVED: tuple[Derived, ...] = ((1, 0, 1), (2, 1, 2))  # column 3 is 0 - 1, column 4 is 1 * 2
CUTS: tuple[tuple[int, ...], ...] = ((10, 20), (), (-5,), (0,), (2**40,))  # numbered 0, 1; none; 2; 3; 4
SMALL = (0, leaf(-3), 1, leaf(4), leaf(7))
MIXED = (3, 2, leaf(1), leaf(2), 4, leaf(5), leaf(-9))


def derive(columns: Sequence[Derived] = DERIVED, count: int | None = None) -> bytes:
    return bytes([len(columns) if count is None else count]) + b"".join(struct.pack(">BHH", *each) for each in columns)


def cut(cuts: Sequence[Sequence[int]] = CUTS, width: int = 3) -> bytes:
    return b"".join(
        struct.pack(f">H{len(own)}{'i' if column < width else 'q'}", len(own), *own) for column, own in enumerate(cuts)
    )


def output(*trees: Sequence[int], base: int = 1, count: int | None = None) -> bytes:
    words = b"".join(struct.pack(f">{len(tree)}H", *tree) for tree in trees)
    return struct.pack(">iH", base, len(trees) if count is None else count) + words


TREES = output(SMALL, MIXED)
START = header() + scale()
FOREST = START + derive() + cut() + TREES


def plain(*trees: Sequence[int], cuts: Sequence[int] = (10, 20), base: int = 1) -> bytes:
    """One column, no derived ones."""
    return header(width=1) + scale() + derive(()) + cut([cuts], 1) + output(*trees, base=base)


def derived_only(column: Derived, cuts: Sequence[int]) -> bytes:
    """Two columns and one derived column, which one tree splits by each cut in turn."""
    words = [word for number in range(len(cuts)) for word in (number, leaf(number))]
    tree = (*words, leaf(-1))
    return header(width=2) + scale() + derive((column,)) + cut([(), (), cuts], 2) + output(tree)


def chain(depth: int) -> bytes:
    """One tree of so many splits below each other."""
    words = [word for number in range(depth) for word in (number, leaf(number))]
    return plain((*words, leaf(-1)), cuts=range(depth))


LARGEST = 2**31 - 1
THREE = header(outputs=3, rejects=6) + scale() + derive() + cut()

ACCEPTED: list[tuple[str, bytes, list[int]]] = [
    ("two trees, a difference and a product", FOREST, [15, 15, -5]),
    ("a value equal to its cut goes left", FOREST, [10, 10, 0]),
    ("one more goes right", FOREST, [11, 10, 0]),
    ("values that saturate, and a product of 62 bits", FOREST, [2**53 - 1, -(2**53 - 1), -(2**53 - 1)]),
    ("one scale a column", header(scales=3) + scale() + scale(7, 3, 2) + scale() + FOREST[30:], [1, 2, 3]),
    ("three logits, one without trees", THREE + output(SMALL) + output(base=9) + output(MIXED, base=-9), [30, -7, 8]),
    (
        "no derived column, the smallest and the largest cut",
        plain((0, leaf(1), 1, leaf(2), leaf(3)), cuts=(-LARGEST, LARGEST - 1)),
        [2**40],
    ),
    ("a square", derived_only((2, 1, 1), (0, LARGEST**2 - 1)), [0, -(2**40)]),
    ("a difference at its bounds", derived_only((1, 0, 1), (-2 * LARGEST, 2 * LARGEST - 1)), [2**40, -(2**40)]),
    ("leaves at their bounds", plain((0, leaf(2**14 - 1), 1, leaf(1 - 2**14), leaf(0))), [9]),
    ("32 splits deep", chain(32), [31]),
    ("the threshold itself is a FAIL", plain((0, leaf(4), 1, leaf(3), leaf(0))), [10]),
    ("one below the threshold is a PASS", plain((0, leaf(3), 1, leaf(4), leaf(0))), [10]),
]

REFUSED: list[tuple[str, bytes]] = [
    ("the magic of another family", header(magic=b"MMQN") + FOREST[20:]),
    ("a later version", header(version=2) + FOREST[20:]),
    ("no scale", header(scales=0) + FOREST[30:]),
    ("2 scales for 3 columns", header(scales=2) + scale() * 2 + FOREST[30:]),
    ("the same scale three times", header(scales=3) + scale() * 3 + FOREST[30:]),
    ("a byte too many", FOREST + b"\x00"),
    ("a byte too few", FOREST[:-1]),
    ("nothing behind the scales", START),
    ("operation 0", START + derive(((0, 0, 1), DERIVED[1])) + cut() + TREES),
    ("operation 3", START + derive((DERIVED[0], (3, 1, 2))) + cut() + TREES),
    ("the difference of a column and itself", START + derive(((1, 1, 1), DERIVED[1])) + cut() + TREES),
    ("a difference whose later column goes first", START + derive(((1, 1, 0), DERIVED[1])) + cut() + TREES),
    ("a product whose later column goes first", START + derive((DERIVED[0], (2, 2, 1))) + cut() + TREES),
    ("a product with a column that is not there", START + derive((DERIVED[0], (2, 1, 3))) + cut() + TREES),
    ("derived columns in descending order", START + derive(DERIVED[::-1]) + cut() + TREES),
    ("a derived column twice", START + derive((DERIVED[0],) * 2) + cut() + TREES),
    ("more derived columns announced than there are", START + derive(count=255) + cut() + TREES),
    ("a derived column without a cut", START + derive() + cut((*CUTS[:4], ())) + output(SMALL)),
    ("cuts in descending order", START + derive() + cut(((20, 10), *CUTS[1:])) + TREES),
    ("a cut twice", START + derive() + cut(((10, 10), *CUTS[1:])) + TREES),
    ("a cut that no split uses", START + derive() + cut(((10, 20), (7,), *CUTS[2:])) + TREES),
    ("a cut below every value", plain((0, leaf(1), 1, leaf(2), leaf(3)), cuts=(-(2**31), 20))),
    ("a cut that no value passes", plain((0, leaf(1), 1, leaf(2), leaf(3)), cuts=(10, LARGEST))),
    ("a square cut below zero", derived_only((2, 1, 1), (-1,))),
    ("a square cut that no value passes", derived_only((2, 1, 1), (LARGEST**2,))),
    ("a product cut below every value", derived_only((2, 0, 1), (-(LARGEST**2) - 1,))),
    ("a difference cut that no value passes", derived_only((1, 0, 1), (2 * LARGEST,))),
    ("more cuts announced than there are", START + derive() + b"\xff\xff" + cut()[2:] + TREES),
    ("no cut", header(width=1) + scale() + derive(()) + cut([()], 1) + output()),
    ("no tree", header(width=1) + scale() + derive(()) + cut([(10,)], 1) + output()),
    ("a split by a cut that is not there", START + derive() + cut() + output(SMALL, (*MIXED[:4], 5, *MIXED[5:]))),
    ("a tree that is a single leaf", START + derive() + cut() + output(SMALL, MIXED, (leaf(4),))),
    ("a tree that ends early", START + derive() + cut() + output(SMALL, MIXED[:-1])),
    ("a tree of more words than its splits ask for", START + derive() + cut() + output(SMALL, (*MIXED, leaf(1)))),
    ("fewer trees than announced", START + derive() + cut() + output(SMALL, MIXED, count=3)),
    ("more trees than announced", START + derive() + cut() + output(SMALL, MIXED, count=1)),
    ("a leaf of -2^14", plain((0, leaf(-(2**14)), 1, leaf(4), leaf(0)))),
    ("a base of -2^31", plain((0, leaf(1), 1, leaf(4), leaf(0)), base=-(2**31))),
    ("a sum that can reach 2^31", plain((0, leaf(1), 1, leaf(4), leaf(0)), base=2**31 - 4)),
    ("a sum that can reach -2^31", plain((0, leaf(1), 1, leaf(-4), leaf(0)), base=-(2**31) + 4)),
    ("a split whose two leaves are equal", plain((0, leaf(1), 1, leaf(4), leaf(4)))),
    (
        "a split whose two subtrees are equal",
        START + derive() + cut() + output(SMALL, (3, 2, leaf(1), leaf(2), 2, leaf(1), leaf(2)), (4, leaf(1), leaf(2))),
    ),
    ("a split like the one above it", plain((0, leaf(1), 0, leaf(4), leaf(5)), (1, leaf(1), leaf(2)))),
    ("a split that the right side of another decides", plain((1, leaf(1), 0, leaf(4), leaf(5)))),
    ("a split that the left side of another decides", plain((0, 1, leaf(4), leaf(5), leaf(1)))),
    ("33 splits deep", chain(33)),
    ("a logit missing", THREE + output(SMALL) + output(MIXED)),
    ("a logit too many", START + derive() + cut() + output(SMALL) + output(MIXED)),
    ("rejects of a class that is not there", header(outputs=3, rejects=8) + THREE[20:] + TREES + output() + output()),
]


def build_all() -> str:
    return build_vectors(ACCEPTED, REFUSED)


if __name__ == "__main__":
    OUTPUT.write_text(build_all())
