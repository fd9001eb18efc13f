"""Training on small invented data: it learns, its integers follow its floats, and it refuses what it must."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import quality.train
from quality import ExportError, InputError, Scale, SumPool, build_model, parse_model, to_fixed
from quality.__main__ import KINDS as CLI_KINDS
from quality.evaluate import load_evaluator
from quality.evaluate.scaling import apply_scales
from quality.metrics import Counts
from quality.network.arrays import quantise
from quality.network.floatnet import INPUT_STEP, KINDS, Block, FloatNetwork, Recipe, build_recipes
from quality.network.quantise import export, fit_scales
from quality.train import Trained, split_rows, train

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def tones(rows: int, width: int = 40) -> tuple[Floats, Booleans]:
    """Noise, and noise with a tone in it at any phase."""
    rng = np.random.default_rng(7)
    targets = np.arange(rows) % 2 == 0
    phases = rng.uniform(0, 2 * np.pi, (rows, 1))
    tone = np.sin(np.arange(width) * 1.1 + phases) * 1.5
    return rng.normal(size=(rows, width)) + tone * targets[:, np.newaxis], targets


def table(rows: int) -> tuple[Floats, Booleans]:
    """Columns in very different units; the first two decide. One is constant."""
    rng = np.random.default_rng(8)
    values = rng.normal(size=(rows, 4)) * [1e-3, 1e6, 1, 0] + [0.5, -4e6, 0, 3]
    return values, (values[:, 0] - 0.5) * 1e3 + (values[:, 1] + 4e6) / 1e6 > 0


def accuracy(trained: Trained, values: Floats, targets: Booleans) -> float:
    inputs = quantise(trained.network, to_fixed(values))
    return Counts.of(trained.score(inputs) >= trained.network.decision.threshold, targets).accuracy


@pytest.fixture(scope="module")
def trained_cnn() -> Trained:
    return train(*tones(400), kind="cnn", seed=1)


@pytest.fixture(scope="module")
def trained_mlp() -> Trained:
    return train(*table(400), kind="mlp", seed=1)


def test_a_cnn_learns_a_tone(trained_cnn: Trained) -> None:
    assert accuracy(trained_cnn, *tones(400)) > 0.95
    assert any(isinstance(layer, SumPool) for layer in trained_cnn.network.layers)


def test_an_mlp_learns_columns_of_any_unit(trained_mlp: Trained) -> None:
    assert accuracy(trained_mlp, *table(400)) > 0.95
    assert len(trained_mlp.network.scales) == 4


def test_integers_follow_floats(trained_cnn: Trained, trained_mlp: Trained) -> None:
    for trained, (values, _) in ((trained_cnn, tones(400)), (trained_mlp, table(400))):
        inputs = quantise(trained.network, to_fixed(values))
        fails = trained.score(inputs) >= trained.network.decision.threshold
        assert np.mean(fails == trained.float_fails(inputs)) > 0.97


def test_an_integer_logit_times_its_step_is_the_float_logit(trained_cnn: Trained) -> None:
    network = trained_cnn.network
    inputs = quantise(network, to_fixed(tones(400)[0]))
    exported = export(trained_cnn.float_network, inputs, scales=network.scales, decimals=network.decimals)
    integers = load_evaluator("numpy")(exported.network)(inputs)[:, 0] * exported.logit_step
    with torch.inference_mode():
        floats = trained_cnn.float_network(torch.from_numpy(inputs.astype(np.float32)) * INPUT_STEP).numpy()
    assert np.abs(integers - floats).mean() < 0.1 * np.abs(floats).mean()


def test_what_is_trained_survives_its_bytes(trained_cnn: Trained) -> None:
    assert parse_model(build_model(trained_cnn.network)) == trained_cnn.network


def test_the_same_seed_gives_the_same_split_and_recipe(trained_mlp: Trained) -> None:
    again = train(*table(400), kind="mlp", seed=1)
    assert again.validation_rows.tolist() == trained_mlp.validation_rows.tolist()
    assert again.recipe == trained_mlp.recipe


def test_auto_takes_the_kind_that_validates_best(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def build_short(kind: str, width: int) -> tuple[Recipe, ...]:
        return tuple(dataclasses.replace(recipe, epochs=10) for recipe in build_recipes(kind, width))

    monkeypatch.setattr(quality.train, "build_recipes", build_short)
    trained = train(*tones(400), kind="auto", progress=lambda *told: shown.append(told))
    assert trained.recipe.kind == "cnn"
    assert shown[0] == ("mlp", 1, 10)
    assert {name for name, _, _ in shown} == {"mlp", "cnn", "cnn, augmented"}


def test_validation_rows_do_not_train() -> None:
    targets = np.arange(100) % 4 == 0
    training, validation = split_rows(targets, seed=3)
    assert sorted([*training, *validation]) == list(range(100))
    assert (len(validation), int(targets[validation].sum())) == (20, 5)
    assert split_rows(targets, seed=4)[1].tolist() != validation.tolist()


def test_too_few_rows_of_a_class_are_refused() -> None:
    with pytest.raises(InputError, match="a class has 9 rows; give at least 10 of each"):
        split_rows(np.arange(100) < 9, seed=0)


def test_kinds_and_what_they_need() -> None:
    assert set(CLI_KINDS) == set(KINDS)
    assert [recipe.kind for recipe in build_recipes("auto", 23)] == ["mlp"]
    assert [recipe.kind for recipe in build_recipes("auto", 24)] == ["mlp", "cnn", "cnn"]
    with pytest.raises(InputError, match="a cnn needs windows of 24 values, these have 23"):
        build_recipes("cnn", 23)
    with pytest.raises(InputError, match="there is no kind 'forest'"):
        build_recipes("forest", 500)


@pytest.mark.parametrize("width", [24, 25, 159, 160, 500, 4096])
def test_every_width_fits_its_filters(width: int) -> None:
    for recipe in build_recipes("cnn", width):
        network = FloatNetwork(recipe, width).eval()
        assert network.narrowest <= width
        network(torch.zeros(2, network.narrowest))
        with pytest.raises(RuntimeError):
            network(torch.zeros(2, network.narrowest - 1))


@given(st.integers(-(2**50), 2**50), st.integers(0, 2**50))
def test_scales_spread_the_training_values(centre: int, reach: int) -> None:
    column = np.array([[centre - reach], [centre], [centre + reach]], dtype=np.int64)
    quantised = apply_scales(fit_scales(column, shared=True), column, 127)[:, 0].tolist()
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
    assert fit_scales(column, shared=False)[0] != Scale(0, 1, 62)
    assert apply_scales(fit_scales(column, shared=False), column, 127)[7, 0] > 100


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_numbers_that_integers_cannot_carry_are_refused(value: float) -> None:
    network = FloatNetwork(build_recipes("mlp", 4)[0], 4)
    nn.init.constant_(network.head.bias, value)
    with pytest.raises(ExportError):
        export(network, np.ones((3, 4), dtype=np.int8), scales=(Scale(0, 1, 0),), decimals=6)


def test_sums_beyond_int32_are_refused() -> None:
    network = FloatNetwork(build_recipes("mlp", 4)[0], 4)
    with torch.no_grad():
        # A bias of 2^31 - 1 steps alone fits; with the weighted sum on top it does not.
        block = next(network.blocks.children())
        assert isinstance(block, Block)
        block.op.weight.fill_(127 * math.sqrt(1 + block.norm.eps))
        block.norm.bias.fill_((2**31 - 200) / 32)
    with pytest.raises(ExportError, match="sums of layer 0 can reach"):
        export(network, np.ones((3, 4), dtype=np.int8), scales=(Scale(0, 1, 0),), decimals=6)
