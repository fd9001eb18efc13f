"""Training on small invented data: it learns, its integers agree with its floats, and it refuses unusable data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from millmark.quality import Decision, ExportError, InputError, Scale, build_model, parse_model
from millmark.quality.data import choose_decimals
from millmark.quality.evaluate.scaling import apply_scales
from millmark.quality.fitting import (
    Fit,
    Fitted,
    Problem,
    build_classes,
    fit_scales,
    silent,
    split_folds,
    split_rows,
    take_sample,
)
from millmark.quality.metrics import Goal, classify_all, margins
from millmark.quality.model import decide
from millmark.quality.network import train as network_train
from millmark.quality.network.train import Block, FittedNetwork, FloatNetwork, build_recipes, export, fit_cnn, fit_mlp
from millmark.quality.rocket.train import fit as fit_rocket
from millmark.quality.train import KINDS, Columns, Trained, score_rows, train
from tests.support.quality_samples import table, tones

TWO = build_classes(["0", "1"])
THREE = build_classes(["0", "1", "2"])
ROWS = 180
NARROW = 20
"""Width of series where it only matters that training works at all: trees are slow on wide ones."""
FITS: dict[str, Fit] = {"mlp": fit_mlp, "cnn": fit_cnn, "rocket": fit_rocket}


def accuracy(trained: Trained, problem: Problem) -> float:
    logits = score_rows(trained.model, problem.fixed)
    return float(np.mean(classify_all(trained.model.decision, logits) == problem.classes))


@pytest.fixture(scope="module", params=[("mlp", 2), ("mlp", 3), ("cnn", 2), ("cnn", 3), ("rocket", 2), ("rocket", 3)])
def trained(request: pytest.FixtureRequest) -> Trained:
    kind, count = request.param
    problem = table(ROWS, count) if kind == "mlp" else tones(ROWS, count)
    return train(problem, TWO if count == 2 else THREE, kind=kind, seed=1)


def train_rows(trained: Trained) -> Problem:
    """The rows that the fixture trained on."""
    count = len(trained.classes.labels)
    return table(ROWS, count) if trained.kind == "mlp" else tones(ROWS, count)


def sample(trained: Trained, seed: int) -> Problem:
    """New rows of the kind that the model was trained on."""
    count = len(trained.classes.labels)
    return table(ROWS, count, seed) if trained.kind == "mlp" else tones(ROWS, count, seed)


def test_each_kind_learns_two_and_three_classes(trained: Trained) -> None:
    assert accuracy(trained, train_rows(trained)) > 0.9
    assert accuracy(trained, sample(trained, seed=2)) > 0.85


def test_integers_follow_floats(trained: Trained) -> None:
    fixed = sample(trained, seed=2).fixed
    integers = score_rows(trained.model, fixed)
    floats = trained.fitted.float_logits(fixed)
    assert np.mean(integers.argmax(axis=1) == floats.argmax(axis=1)) > 0.97
    error = np.abs(integers * trained.fitted.logit_step - floats)
    assert error.mean() < 0.1 * np.abs(floats).mean()


def test_what_is_trained_survives_its_bytes(trained: Trained) -> None:
    assert parse_model(build_model(trained.model)) == trained.model


def test_held_out_scores_are_of_rows_that_both_classes_have(trained: Trained) -> None:
    fitted, problem = trained.fitted, train_rows(trained)
    assert set(problem.classes[fitted.held_out].tolist()) == set(range(problem.count))
    assert fitted.held_out_logits.shape == (len(fitted.held_out), problem.outputs)
    assert np.all(np.diff(fitted.held_out) > 0)


def test_the_decision_is_the_classes(trained: Trained) -> None:
    decision = trained.model.decision
    assert (decision.outputs, decision.rejects) == (trained.classes.outputs, trained.classes.mask)
    if decision.outputs > 1:
        assert decision.threshold == 0


def test_a_table_has_a_scale_per_column_and_a_series_has_one(trained: Trained) -> None:
    assert len(trained.model.scales) == (trained.model.width if trained.kind == "mlp" else 1)


@pytest.mark.parametrize("kind", ["mlp", "rocket"])
def test_the_same_seed_gives_the_same_model(kind: str) -> None:
    problem = tones(60, 2)
    fit: Fit = FITS[kind]
    first, second = (fit(problem, seed=3, progress=silent) for _ in range(2))
    assert build_model(first.model) == build_model(second.model)


def test_a_stated_recall_is_reached_on_held_out_rows() -> None:
    problem = table(ROWS, 2)
    for share in (0.5, 0.99):
        trained = train(problem, TWO, kind="mlp", goal=Goal(recall_ppm=round(share * 10**6)))
        defects = trained.fitted.held_out_logits[problem.classes[trained.fitted.held_out] == 1, 0]
        assert np.mean(defects >= trained.model.decision.threshold) >= share


def mislabel(problem: Problem) -> Problem:
    """Every sixth row has the next class's label: no model can be right about them."""
    wrong = np.arange(len(problem.classes)) % 6 == 0
    return replace(problem, classes=np.where(wrong, (problem.classes + 1) % problem.count, problem.classes))


def test_a_dear_miss_lowers_the_threshold_of_several_classes_too() -> None:
    problem = mislabel(tones(ROWS, 3))
    cheap, dear = (train(problem, THREE, kind="rocket", goal=Goal(cost=cost)) for cost in ((1, 30), (30, 1)))
    assert dear.model.decision.threshold < cheap.model.decision.threshold
    fails = margins(dear.model.decision, dear.fitted.held_out_logits) >= dear.model.decision.threshold
    assert fails[problem.classes > 0].mean() > 0.95


def test_where_all_are_rejected_there_is_no_threshold_to_choose() -> None:
    everything = build_classes(["0", "1", "2"], ["0", "1", "2"])
    assert train(tones(120, 3), everything, kind="rocket").model.decision == Decision(3, 7, 0)
    with pytest.raises(InputError, match="every class is rejected"):
        train(tones(120, 3), everything, kind="rocket", goal=Goal(cost=(2, 1)))


def test_weights_move_the_balance() -> None:
    problem = mislabel(table(ROWS, 2))
    fitted = [fit_mlp(replace(problem, weights=weights), seed=0, progress=silent) for weights in ((1, 20), (20, 1))]
    shares = [float(np.mean(one.held_out_logits > 0)) for one in fitted]
    assert shares[0] > shares[1] + 0.2


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cnn's many epochs, and folds drawn again and again, would make choosing slow."""
    monkeypatch.delitem(KINDS, "cnn")
    monkeypatch.setattr("millmark.quality.train._MAX_REPEATS", 1)


def test_auto_takes_the_kind_that_cross_validates_best(quick: None) -> None:
    shown: dict[str, int] = {}

    def watch(name: str, done: int, planned: int, figures: object) -> None:
        assert 1 <= done <= planned
        shown[name] = done

    trained = train(tones(90, 2), TWO, kind="auto", progress=watch)
    figures = {trial.kind: trial.mean for trial in trained.trials}
    assert figures.keys() == KINDS.keys()
    assert trained.kind == max(figures, key=lambda kind: figures[kind]) != "mlp"
    assert (trained.sampled, trained.columns) == (90, Columns.TABLE)  # a tone in noise is not a smooth signal
    assert "choosing: mlp, fold 3 of 3" in shown


def test_auto_says_what_it_could_not_try(quick: None) -> None:
    trained = train(table(60, 2), TWO, kind="auto")
    obstacles = {trial.kind: trial.obstacle for trial in trained.trials}
    assert not obstacles[trained.kind]
    assert obstacles["rocket"] == "a rocket needs windows of at least 9 values, these have 4"


def test_what_is_said_to_be_a_table_is_not_read_as_a_signal(quick: None) -> None:
    trained = train(tones(60, 2), TWO, kind="auto", columns=Columns.TABLE)
    assert trained.kind in ("mlp", "trees")
    assert {trial.kind: trial.obstacle for trial in trained.trials}["rocket"] == "the columns are said to be a table"


@pytest.mark.parametrize("kind", ["cnn", "rocket"])
def test_windows_too_narrow_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="these have 4; use another --kind"):
        train(table(100, 2), TWO, kind=kind)


@pytest.mark.parametrize("kind", ["mlp", "rocket", "trees"])
@pytest.mark.parametrize(("factor", "decimals"), [(1e12, 2), (1e-7, 9)])
def test_units_do_not_matter(kind: str, factor: float, decimals: int) -> None:
    problem = tones(ROWS // 2, 2, width=NARROW)
    values = problem.values * factor
    chosen = choose_decimals(values)
    assert chosen == decimals
    trained = train(replace(problem, values=values, decimals=chosen), TWO, kind=kind)
    assert trained.model.decimals == decimals
    fresh = replace(tones(ROWS, 2, seed=2, width=NARROW), decimals=decimals)
    assert accuracy(trained, replace(fresh, values=fresh.values * factor)) > 0.6


def test_unknown_kinds_and_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="unknown kind 'forest'; choose one of auto, mlp"):
        train(table(100, 2), TWO, kind="forest")
    few = table(100, 2)
    short = Problem(few.values, (np.arange(100) < 1).astype(np.int64), 2, (1.0, 1.0))
    with pytest.raises(InputError, match=r"a class has too few rows \(1\); at least 2 of each are needed"):
        train(short, TWO, kind="mlp")
    with pytest.raises(InputError, match="there are only 9 rows; at least 10 are needed"):
        train(few.take(np.arange(9)), TWO, kind="mlp")


@pytest.mark.parametrize("kind", ["mlp", "cnn", "rocket", "trees"])
def test_a_class_of_two_rows_is_enough_for_a_model(kind: str) -> None:
    series = tones(60, 2)
    classes = np.where(np.arange(60) < 2, 2, series.classes)
    problem = Problem(series.values, classes, 3, (1.0,) * 3)
    trained = train(problem, build_classes(["0", "1", "2"]), kind=kind)
    assert set(problem.classes[trained.fitted.held_out]) == {0, 1, 2}
    build_model(trained.model)


def test_trees_grow_on_forty_rows() -> None:
    problem = table(40, 2)
    assert accuracy(train(problem, TWO, kind="trees"), table(200, 2, seed=2)) > 0.8


@pytest.mark.parametrize(("most", "epochs"), [(10**8, 60), (4 * 64 * 4 * 15, 15), (4 * 64 * 4 * 5, 10), (1, 10)])
def test_learning_is_bounded(monkeypatch: pytest.MonkeyPatch, most: int, epochs: int) -> None:
    """250 rows of 4 values train in 4 batches of up to 64; two and a half batches per epoch are rounded to two."""
    monkeypatch.setattr(network_train, "_MAX_VALUES", most)
    monkeypatch.setattr(network_train, "_PATIENCE", 60)
    planned: list[int] = []
    fit_mlp(table(312, 2), seed=0, progress=lambda _name, _done, steps, _figures: planned.append(steps))
    assert planned == [epochs] * epochs


def test_a_decided_model_differs_by_its_decision_only() -> None:
    model = fit_rocket(tones(60, 2), seed=0, progress=silent).model
    decided = decide(model, Decision(1, 1, 77))
    assert decided.decision.threshold == 77
    assert decide(decided, model.decision) == model


def test_validation_rows_do_not_train() -> None:
    classes = (np.arange(100) % 4 == 0).astype(np.int64)
    training, validation = split_rows(classes, seed=3)
    assert sorted([*training, *validation]) == list(range(100))
    assert (len(validation), int(classes[validation].sum())) == (20, 5)
    assert split_rows(classes, seed=4)[1].tolist() != validation.tolist()


@given(st.lists(st.integers(0, 3), min_size=12, max_size=60), st.integers(2, 5), st.integers(0, 9))
def test_every_row_is_judged_in_one_fold(classes: list[int], folds: int, seed: int) -> None:
    rows = np.array(classes)
    judged = []
    for training, judging in split_folds(rows, folds, seed):
        assert sorted([*training, *judging]) == list(range(len(rows)))
        judged += judging.tolist()
        shares = np.bincount(rows[judging], minlength=4) * folds - np.bincount(rows, minlength=4)
        assert np.abs(shares).max() < folds
    assert sorted(judged) == list(range(len(rows)))


def test_a_sample_keeps_shares_and_rare_classes() -> None:
    classes = np.array([0] * 9000 + [1] * 960 + [2] * 40)
    rows = take_sample(classes, 1000, seed=0)
    assert np.bincount(classes[rows]).tolist() == [900, 96, 30]
    assert np.all(np.diff(rows) > 0)
    assert take_sample(classes, 10_000, seed=0).tolist() == list(range(10_000))


def test_an_integer_logit_times_its_step_is_the_float_logit() -> None:
    problem = tones(80, 2)
    fitted: FittedNetwork = fit_cnn(problem, seed=0, progress=silent)
    inputs = apply_scales(fitted.model.scales, problem.fixed, 127).astype(np.int8)
    again = export(fitted.floats, inputs, scales=fitted.model.scales, decimals=6)
    integers = score_rows(again.network, problem.fixed) * again.logit_step
    floats = fitted.float_logits(problem.fixed)
    assert np.abs(integers - floats).mean() < 0.1 * np.abs(floats).mean()


def is_fitted(fitted: Fitted) -> Fitted:
    """mypy checks that what each kind returns is what training expects."""
    return fitted


def test_every_kind_offers_a_fit() -> None:
    assert is_fitted(fit_mlp(table(60, 2), seed=0, progress=silent)).recipe == "mlp"
    assert set(FITS) <= set(KINDS)


@pytest.mark.parametrize("width", [24, 25, 159, 160, 500, 4096])
def test_every_width_fits_its_filters(width: int) -> None:
    for recipe in build_recipes("cnn", width):
        network = FloatNetwork(recipe, width, 3).eval()
        assert network.narrowest <= width
        network(torch.zeros(2, network.narrowest))
        with pytest.raises(RuntimeError):
            network(torch.zeros(2, network.narrowest - 1))


@given(st.integers(-(2**50), 2**50), st.integers(0, 2**50))
def test_scales_spread_the_training_values(centre: int, reach: int) -> None:
    column = np.array([[centre - reach], [centre], [centre + reach]], dtype=np.int64)
    quantised = apply_scales(fit_scales(column, 127, shared=True), column, 127)[:, 0].tolist()
    if reach == 0:
        assert quantised == [0, 0, 0]
    elif reach < 127:
        assert quantised[0] < quantised[1] < quantised[2]
    else:
        assert quantised[1] in (-1, 0, 1)
        assert all(math.isclose(abs(value), 127, abs_tol=2) for value in (quantised[0], quantised[2]))


def test_a_rare_event_still_has_a_scale() -> None:
    column = np.zeros((5000, 1), dtype=np.int64)
    column[7] = 1000
    assert fit_scales(column, 127, shared=False)[0] != Scale(0, 1, 62)
    assert apply_scales(fit_scales(column, 127, shared=False), column, 127)[7, 0] > 100


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_numbers_that_integers_cannot_carry_are_refused(value: float) -> None:
    network = FloatNetwork(build_recipes("mlp", 4)[0], 4, 1)
    nn.init.constant_(network.head.bias, value)
    with pytest.raises(ExportError):
        export(network, np.ones((3, 4), dtype=np.int8), scales=(Scale(0, 1, 0),), decimals=6)


def test_sums_beyond_int32_are_refused() -> None:
    network = FloatNetwork(build_recipes("mlp", 4)[0], 4, 1)
    with torch.no_grad():
        # A bias of 2^31 - 1 steps alone fits; with the weighted sum on top it does not.
        block = next(network.blocks.children())
        assert isinstance(block, Block)
        block.op.weight.fill_(127 * math.sqrt(1 + block.norm.eps))
        block.norm.bias.fill_((2**31 - 200) / 32)
    with pytest.raises(ExportError, match="sums of layer 0 can reach"):
        export(network, np.ones((3, 4), dtype=np.int8), scales=(Scale(0, 1, 0),), decimals=6)
