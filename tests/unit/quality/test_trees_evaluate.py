"""The evaluators of trees agree byte for byte, and agree with the float trees that a forest came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality import (
    Decision,
    InferenceError,
    InputError,
    Inspector,
    Scale,
    Verdict,
    build_model,
    verify_inference,
)
from millmark.quality.evaluate import EVALUATORS, load_evaluator
from millmark.quality.inference import MAX_FIXED, pack_window
from millmark.quality.trees import Derived, Forest, Operation, Tree, arrays, records, tensors
from millmark.quality.trees.export import FloatTree, Split
from millmark.quality.trees.records import leaf_word
from tests.unit.quality.trees_samples import Grown, forests, grown, random_words, seeds


@settings(max_examples=150, deadline=None)
@given(forests, seeds)
def test_all_evaluators_agree(forest: Forest, seed: int) -> None:
    inputs = random_words(forest, 6, seed)
    logits = {name: load_evaluator(name)(forest)(inputs) for name in EVALUATORS}
    assert logits["python"].shape == (6, forest.decision.outputs)
    assert {found.dtype.name for found in logits.values()} == {"int32"}
    assert len({found.tobytes() for found in logits.values()}) == 1


@settings(max_examples=150, deadline=None)
@given(grown, seeds)
def test_logits_are_those_of_the_float_trees_up_to_rounding(result: Grown, seed: int) -> None:
    inputs = random_words(result.forest, 6, seed)
    wanted = np.zeros((len(inputs), result.forest.decision.outputs))
    for row, own in enumerate(inputs.tolist()):
        columns = own + [combine(column, own) for column in result.derived]
        for output, tree in result.trees:
            wanted[row, output] += walk(tree, columns)
    # Half a step for each leaf and half for the base.
    error = np.abs(load_evaluator("numpy")(result.forest)(inputs) * result.logit_step - wanted)
    assert (error <= result.logit_step * (len(result.trees) + 1) / 2 * (1 + 1e-9)).all()


def combine(column: Derived, row: list[int]) -> int:
    first, second = row[column.first], row[column.second]
    return first - second if column.operation is Operation.DIFFERENCE else first * second


def walk(tree: FloatTree, columns: list[int]) -> float:
    while isinstance(tree, Split):
        tree = tree.left if columns[tree.column] <= tree.cut else tree.right
    return tree


@settings(max_examples=50, deadline=None)
@given(forests, st.data())
def test_both_quantisers_agree(forest: Forest, data: st.DataObject) -> None:
    values = st.integers(-MAX_FIXED, MAX_FIXED) | st.integers(-(10**4), 10**4)
    window = data.draw(st.lists(values, min_size=forest.width, max_size=forest.width))
    quantised = arrays.quantise(forest, np.array([window], dtype=np.int64))
    assert quantised.dtype == np.int32
    assert tuple(quantised[0].tolist()) == records.quantise_row(forest, window)


def build_forest() -> Forest:
    """Two logits. Column 2 is first - second, column 3 is first * second."""
    return Forest(
        width=2,
        decimals=0,
        decision=Decision(2, 2, 0),
        scales=(Scale(0, 1, 0),),
        derived=(Derived(Operation.DIFFERENCE, 0, 1), Derived(Operation.PRODUCT, 0, 1)),
        cuts=((3,), (), (-4,), (2**33,)),
        bases=(10, 20),
        trees=(
            Tree(0, (0, leaf_word(5), 1, leaf_word(-7), leaf_word(9))),
            Tree(1, (2, leaf_word(100), leaf_word(-100))),
        ),
    )


@pytest.mark.parametrize("name", EVALUATORS)
def test_a_forest_by_hand(name: str) -> None:
    inputs = np.array([[3, 0], [4, 9], [4, 8], [4, 7], [2**17, 2**16], [2**17, 2**16 + 1]], dtype=np.int32)
    # 3 <= 3; 4 - 9 <= -4; 4 - 8 <= -4; 4 - 7 > -4; 2^33 <= 2^33; 2^33 + 2^17 > 2^33.
    assert load_evaluator(name)(build_forest())(inputs).tolist() == [
        [15, 120],
        [3, 120],
        [3, 120],
        [19, 120],
        [19, 120],
        [19, -80],
    ]


@pytest.mark.parametrize("name", EVALUATORS)
def test_no_rows_give_no_logits(name: str) -> None:
    assert load_evaluator(name)(build_forest())(np.empty((0, 2), dtype=np.int32)).shape == (0, 2)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.random.default_rng(0).integers(-10, 10, (50, 2)).astype(np.int32)
    whole = [load_evaluator(name)(build_forest())(inputs) for name in ("numpy", "torch")]
    monkeypatch.setattr(arrays, "STEP_ELEMENTS", 7)
    monkeypatch.setattr(tensors, "STEP_ELEMENTS", 7)
    parts = [load_evaluator(name)(build_forest())(inputs) for name in ("numpy", "torch")]
    assert {logits.tobytes() for logits in whole + parts} == {whole[0].tobytes()}


@pytest.mark.parametrize("name", EVALUATORS)
@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((1, 3), dtype=np.int32),
        np.zeros(2, dtype=np.int32),
        np.zeros((1, 2), dtype=np.int8),
        np.array([[0, -(2**31)]], dtype=np.int32),
    ],
    ids=["another width", "one dimension", "words of a network", "the smallest int32"],
)
def test_refused_inputs(name: str, inputs: NDArray[np.int32]) -> None:
    with pytest.raises(InputError):
        load_evaluator(name)(build_forest())(inputs)


@pytest.mark.parametrize("window", [[1], [1, 2, 3], [MAX_FIXED + 1, 0], [0, -MAX_FIXED - 1]])
def test_refused_windows(window: list[int]) -> None:
    with pytest.raises(InputError):
        records.quantise_row(build_forest(), window)
    with pytest.raises(InputError):
        arrays.quantise(build_forest(), np.array([window], dtype=np.int64))


def test_an_inspection_by_trees_can_be_checked_and_not_be_bent() -> None:
    model = build_model(build_forest())
    inference = Inspector(model).inspect([4, 7], context=bytes(32), salt=bytes(32))
    assert inference.window == pack_window([4, 7])
    assert inference.logits == (19, 120)
    assert inference.verdict is Verdict.FAIL
    verify_inference(inference, model)
    for change in (
        {"logits": (19, 119)},
        {"logits": (19,)},
        {"verdict": Verdict.PASS},
        {"window": pack_window([4, 8])},
        {"window": pack_window([4])},
        {"window": pack_window([2**53, 7])},
        {"model_digest": bytes(32)},
    ):
        with pytest.raises(InferenceError):
            verify_inference(replace(inference, **change), model)
