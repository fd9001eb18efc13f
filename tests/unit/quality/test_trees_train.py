"""Training trees: what is chosen, what is refused, and that nothing depends on rows that were not given."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from millmark.quality import InputError, build_model, parse_model
from millmark.quality.evaluate import load_evaluator
from millmark.quality.fitting import Fit, Fitted, Problem
from millmark.quality.inference import MAX_FIXED, Scale
from millmark.quality.metrics import Goal, choose_threshold
from millmark.quality.trees import Derived, Operation
from millmark.quality.trees.arrays import quantise
from millmark.quality.trees.train import FittedForest, derive_floats, fit, fit_scales, most_rounds, propose_derived


def pose_two(rows: int = 400, seed: int = 0, weights: tuple[float, ...] = (1, 1)) -> Problem:
    """Three columns; a part is bad if the product of the first two exceeds a limit."""
    values = np.random.default_rng(seed).uniform(1, 10, (rows, 3)).round(2)
    return Problem(values, (values[:, 0] * values[:, 1] > 40).astype(np.int64), 2, weights)


def pose_three(rows: int = 300, seed: int = 0) -> Problem:
    """Two columns, each with a limit."""
    values = np.random.default_rng(seed).normal(0, 1, (rows, 2))
    return Problem(values, (values[:, 0] > 0).astype(np.int64) + (values[:, 1] > 0.5), 3, (1, 1, 1))


def infer(fitted: FittedForest, problem: Problem) -> NDArray[np.int64]:
    return load_evaluator("numpy")(fitted.model)(quantise(fitted.model, problem.fixed)).astype(np.int64)


@pytest.fixture(scope="module")
def two() -> FittedForest:
    return fit(pose_two(), seed=0)


@pytest.fixture(scope="module")
def three() -> FittedForest:
    return fit(pose_three(), seed=0)


def test_it_is_what_training_asks_of_a_family(two: FittedForest) -> None:
    offered: Fit = fit
    fitted: Fitted = two
    assert callable(offered)
    assert fitted.recipe.startswith("small trees, derived columns, ")


def test_a_product_that_matters_is_found(two: FittedForest) -> None:
    assert Derived(Operation.PRODUCT, 0, 1) in two.model.derived


def test_unseen_rows_are_judged_well(two: FittedForest) -> None:
    problem = pose_two(seed=1)
    fails = infer(two, problem)[:, 0] >= 0
    assert np.mean(fails == problem.classes) > 0.97
    assert np.mean(fails == (two.float_logits(problem.fixed)[:, 0] >= 0)) >= 0.995


def test_three_classes_get_three_logits(three: FittedForest) -> None:
    problem = pose_three(seed=1)
    said = infer(three, problem).argmax(axis=1)
    assert three.model.decision.outputs == 3
    assert np.mean(said == problem.classes) > 0.9
    assert np.mean(said == three.float_logits(problem.fixed).argmax(axis=1)) >= 0.98


def test_integer_logits_are_float_ones_in_steps(three: FittedForest) -> None:
    problem = pose_three(seed=2)
    apart = np.abs(infer(three, problem) * three.logit_step - three.float_logits(problem.fixed)).max(axis=1)
    # Half a step a tree at most; a row beside a cut may take the other side where its columns are rounded.
    assert np.quantile(apart, 0.95) <= three.logit_step * len(three.model.trees) / 2


def test_the_model_survives_its_bytes(two: FittedForest, three: FittedForest) -> None:
    for fitted in (two, three):
        assert parse_model(build_model(fitted.model)) == fitted.model


def test_the_same_seed_gives_the_same_model(two: FittedForest) -> None:
    assert fit(pose_two(), seed=0).model == two.model


def test_held_out_logits_are_not_those_of_the_final_trees(two: FittedForest) -> None:
    assert two.held_out.tolist() == list(range(400))
    assert two.held_out_logits.shape == (400, 1)
    assert (two.held_out_logits != infer(two, pose_two())).mean() > 0.9


def test_a_threshold_can_be_chosen_on_held_out_logits(two: FittedForest) -> None:
    defects = pose_two().classes == 1
    threshold = choose_threshold(two.held_out_logits[:, 0], defects, Goal())
    assert np.mean((two.held_out_logits[:, 0] >= threshold) == defects) > 0.95


def test_weights_move_the_logits_towards_the_heavier_class(two: FittedForest) -> None:
    heavy = fit(pose_two(weights=(1, 50)), seed=0)
    assert np.mean(heavy.held_out_logits * heavy.logit_step) > np.mean(two.held_out_logits * two.logit_step)


def test_progress_is_told_round_by_round() -> None:
    heard: list[tuple[str, int, int, float]] = []
    fit(
        pose_two(rows=100),
        seed=0,
        progress=lambda name, done, planned, figures: heard.append((name, done, planned, figures["loss/validation"])),
    )
    begun = [name for name, done, _, _ in heard if done == 1]
    assert begun == ["small trees", "small trees, random cuts", "small trees, derived columns"]
    assert all(done <= planned and 0 < loss < 1 for _, done, planned, loss in heard)


def test_columns_that_never_change_do_no_harm() -> None:
    problem = pose_two()
    problem.values[:, 2] = 5.0
    assert fit(problem, seed=0).model.cuts[2] == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_no_model_reads_are_refused(value: float) -> None:
    problem = pose_two(rows=60)
    problem.values[3, 1] = value
    with pytest.raises(InputError, match="sensor value"):
        fit(problem, seed=0)


def test_rows_too_much_alike_to_split_are_refused() -> None:
    """A leaf needs at least two rows."""
    values = (np.arange(12) == 3).astype(np.float64)[:, np.newaxis]
    with pytest.raises(InputError, match="training produced a constant model"):
        fit(Problem(values, (np.arange(12) > 5).astype(np.int64), 2, (1, 1)), seed=0)


@pytest.mark.parametrize(
    ("largest", "shift"),
    [(0, 0), (1, 0), ((2**31 - 1) // 4, 0), (2**29 + 3, 8), (2**37 - 1, 8), (2**37, 16), (MAX_FIXED, 24)],
)
def test_scales_leave_room_for_larger_values(largest: int, shift: int) -> None:
    fixed = np.array([[largest // 2], [-largest], [0]], dtype=np.int64)
    assert fit_scales(fixed) == (Scale(0, 1, shift),)
    assert 4 * largest >> shift <= 2**31 - 1


def test_columns_of_one_magnitude_share_a_scale() -> None:
    assert fit_scales(np.array([[5, 70]])) == (Scale(0, 1, 0),)
    assert [scale.shift for scale in fit_scales(np.array([[5, 2**40]]))] == [0, 16]


def test_differences_are_proposed_between_columns_of_one_scale_only() -> None:
    fine, coarse = Scale(0, 1, 0), Scale(0, 1, 8)
    proposed = propose_derived([2, 0, 1], [fine, coarse, fine])
    assert proposed == tuple(sorted(proposed))
    assert [column for column in proposed if column.operation is Operation.DIFFERENCE] == [
        Derived(Operation.DIFFERENCE, 0, 2)
    ]
    assert len(proposed) == 4
    assert len(propose_derived([0, 1, 2], [fine])) == 6
    assert propose_derived([0], [fine]) == ()


def test_float_columns_are_in_the_units_of_the_integer_ones() -> None:
    derived = (Derived(Operation.DIFFERENCE, 0, 1), Derived(Operation.PRODUCT, 0, 1))
    columns = derive_floats(np.array([[3_000_000, 500_000]]), (Scale(0, 1, 8),), derived)
    assert columns.tolist() == [[11718.75, 1953.125, 9765.625, 11718.75 * 1953.125]]


def test_every_split_of_the_largest_ensemble_may_have_its_own_cut() -> None:
    assert most_rounds(1, 7) == 1000
    assert most_rounds(32, 15) * 32 * 14 <= 2**15
