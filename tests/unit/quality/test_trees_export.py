"""From float trees to the canonical forest: what is left out, what is merged, what is refused."""

from __future__ import annotations

import pytest

from millmark.quality import Decision, ExportError, InputError, Scale
from millmark.quality.trees import Derived, Operation
from millmark.quality.trees.export import Exported, FloatTree, Split, export
from millmark.quality.trees.records import MAX_LEAF, leaf_value

ONE = Decision(1, 1, 0)


def run(*trees: FloatTree, width: int = 2, derived: tuple[Derived, ...] = (), decision: Decision = ONE) -> Exported:
    pairs = [(0, tree) for tree in trees]
    return export(pairs, decimals=6, decision=decision, width=width, scales=(Scale(0, 1, 0),), derived=derived)


def test_leaves_are_centred_and_use_the_whole_range() -> None:
    exported = run(Split(0, 1.5, 2.0, 6.0))
    (tree,) = exported.forest.trees
    assert [leaf_value(word) for word in tree.nodes[1:]] == [-MAX_LEAF, MAX_LEAF]
    assert exported.logit_step == 2.0 / MAX_LEAF
    assert exported.forest.bases == (2 * MAX_LEAF,)


@pytest.mark.parametrize(("cut", "integer"), [(1.5, 1), (1.0, 1), (-1.5, -2), (1e-35, 0), (-1e-35, -1)])
def test_cuts_are_rounded_down(cut: float, integer: int) -> None:
    assert run(Split(0, cut, 0.0, 1.0)).forest.cuts == ((integer,), ())


def test_cuts_that_round_to_the_same_integer_leave_one_split() -> None:
    # Between 1.2 and 1.7 there is no integer, so the leaf of 9 cannot be reached.
    forest = run(Split(0, 1.2, 0.0, Split(0, 1.7, 9.0, 1.0))).forest
    assert forest.cuts == ((1,), ())
    assert len(forest.trees[0].nodes) == 3
    assert forest == run(Split(0, 1.2, 0.0, 1.0)).forest


@pytest.mark.parametrize(("cut", "side"), [(2.0**31 - 1, 3.0), (1e300, 3.0), (-(2.0**31), 1.0), (-1e300, 1.0)])
def test_cuts_beyond_every_value_go_with_their_split(cut: float, side: float) -> None:
    nested = run(Split(1, 0.5, 0.0, Split(0, cut, 3.0, 1.0))).forest
    assert nested == run(Split(1, 0.5, 0.0, side)).forest


def test_a_tree_without_splits_moves_to_the_base() -> None:
    exported = run(Split(0, 0.5, -1.0, 1.0), 3.0)
    assert len(exported.forest.trees) == 1
    assert exported.forest.bases == (3 * MAX_LEAF,)


def test_sides_that_round_to_the_same_are_merged() -> None:
    coarse, fine = Split(0, 0.5, -1.0, 1.0), Split(1, 5.0, 1e-9, -1e-9)
    exported = run(coarse, fine)
    assert exported.forest == run(coarse).forest
    assert exported.forest.cuts == ((0,), ())


def test_unused_derived_columns_are_dropped_and_the_rest_sorted() -> None:
    product, square, difference = (
        Derived(Operation.PRODUCT, 0, 1),
        Derived(Operation.PRODUCT, 0, 0),
        Derived(Operation.DIFFERENCE, 0, 1),
    )
    tree = Split(2, 2.0**40, Split(4, -3.5, 0.0, 1.0), 5.0)
    forest = run(tree, derived=(product, square, difference)).forest
    assert forest.derived == (difference, product)
    assert forest.cuts == ((), (), (-4,), (2**40,))
    # The root, by the product, is cut 1 now.
    assert forest.trees[0].nodes[:2] == (1, 0)


def test_trees_are_ordered_by_output() -> None:
    pairs = [(output, Split(0, float(at), 0.0, 1.0)) for at, output in enumerate([1, 0, 1, 0])]
    forest = export(pairs, decimals=6, decision=Decision(2, 2, 0), width=1, scales=(Scale(0, 1, 0),), derived=()).forest
    assert [(tree.output, tree.nodes[0]) for tree in forest.trees] == [(0, 1), (0, 3), (1, 0), (1, 2)]


def test_a_large_base_makes_the_step_coarser() -> None:
    exported = run(Split(0, 0.5, 1e6 - 1, 1e6 + 1))
    assert exported.forest.bases == (2**30,)
    assert exported.logit_step == 1e6 / 2**30


@pytest.mark.parametrize(
    "tree", [0.0, 2.5, Split(0, 0.5, 1.0, 1.0), Split(0, 1e300, 1.0, 2.0), Split(0, 0.5, 1e12 - 1, 1e12 + 1)]
)
def test_constant_trees_are_refused(tree: FloatTree) -> None:
    with pytest.raises(InputError, match="training produced a constant model"):
        run(tree)


def test_trees_that_are_too_deep_are_refused() -> None:
    tree: FloatTree = 0.0
    for at in range(33):
        tree = Split(0, float(at), tree, float(at + 1))
    with pytest.raises(ExportError, match="deeper than 32 splits"):
        run(tree)
