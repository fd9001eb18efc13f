"""The rocket family: features by hand, leave-one-out predictions of the ridge, and calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality import ModelError
from millmark.quality.fitting import Problem, silent
from millmark.quality.metrics import fit_log_odds, fit_temperature, log_loss, probabilities
from millmark.quality.rocket import KERNELS, Feature, Rocket, Section, arrays, records
from millmark.quality.rocket import train as rocket_train
from millmark.quality.rocket.train import FEATURES_A_KERNEL, STRENGTHS, FittedRocket, fit, fit_ridge
from tests.support.quality_samples import rockets, tiny_rocket, tones

Floats = NDArray[np.float64]


def test_a_feature_by_hand() -> None:
    # One position; response 2 (9 + 8 + 7) - (1 + 1 + 1 + 1 + 1 + 1) = 42, counted when it exceeds the bias.
    words = [9, 8, 7, 1, 1, 1, 1, 1, 1]
    for bias, logit in ((41, 23), (42, 3)):
        model = tiny_rocket(sections=(Section(1, padded=False, features=(Feature(0, bias, (20,)),)),))
        assert records.infer_row(model, words) == (logit,)


def test_padding_by_hand() -> None:
    # Nine positions; the word 1 in the middle meets tap i at position 8 - i: weight 2 for taps 0 to 2, else -1.
    # The logit starts from 3.
    words = [0, 0, 0, 0, 1, 0, 0, 0, 0]
    responses = {bias: records.infer_row(tiny_rocket(sections=_padded(bias)), words)[0] for bias in (-2, -1, 0, 1, 2)}
    assert responses == {-2: 12, -1: 6, 0: 6, 1: 6, 2: 3}


def _padded(bias: int) -> tuple[Section, ...]:
    return (Section(1, padded=True, features=(Feature(0, bias, (1,)),)),)


def test_kernels_are_all_ways_to_choose_three_taps() -> None:
    assert len(KERNELS) == len(set(KERNELS)) == 84
    assert (KERNELS[0], KERNELS[1], KERNELS[83]) == ((0, 1, 2), (0, 1, 3), (6, 7, 8))
    assert list(KERNELS) == sorted(KERNELS)


@given(rockets)
def test_worst_sums_are_reached_by_no_input(model: Rocket) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.choice([-127, 0, 127], (20, model.width)).astype(np.int8)
    logits = arrays.prepare(model)(inputs).astype(np.int64)
    assert np.all(np.abs(logits) <= np.array(model.worst_sums()))


@pytest.mark.parametrize(
    "changes",
    [
        {"sections": ()},
        {"biases": (1, 2)},
        {"biases": ()},
        {"width": 8},
        {"sections": (Section(1, False, (Feature(0, 0, (1, 2)),)),)},
        {"biases": (2**31 - 1,)},
        {"decimals": 10},
    ],
)
def test_other_models_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        tiny_rocket(**changes)


def fit_without(copies: list[Floats], targets: Floats, weights: Floats, strength: float, row: int) -> Floats:
    """Prediction for a row by a ridge fitted without the row and its copies, by plain normal equations."""
    kept = np.arange(len(targets)) != row
    features = np.concatenate([copy[kept] for copy in copies])
    everything = np.concatenate(copies)
    tiled = np.tile(weights, len(copies))
    mean = np.average(everything, axis=0, weights=tiled)
    scale = np.sqrt(np.average((everything - mean) ** 2, axis=0, weights=tiled))
    design = np.concatenate([(features - mean) / scale, np.ones((len(features), 1))], axis=1)
    each = np.tile(weights[kept], len(copies))
    penalty = np.diag([strength] * features.shape[1] + [0.0])
    wanted = np.tile(targets[kept], (len(copies), 1))
    solved = np.linalg.solve(
        design.T @ (design * each[:, np.newaxis]) + penalty, design.T @ (wanted * each[:, np.newaxis])
    )
    said: Floats = np.append((copies[0][row] - mean) / scale, 1.0) @ solved
    return said


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]), st.sampled_from([(12, 3), (6, 20)]))
def test_left_out_predictions_are_those_of_fits_without_the_row(seed: int, twins: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    copies = [rng.normal(size=shape) for _ in range(twins)]
    targets, weights = rng.normal(size=(shape[0], 2)), rng.uniform(0.5, 2, shape[0])
    ridge = fit_ridge(copies, targets, weights)
    assert ridge.strength == STRENGTHS[int(np.argmin(ridge.losses))]
    for row in range(shape[0]):
        expected = fit_without(copies, targets, weights, ridge.strength, row)
        assert ridge.left_out[row] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_ridge_of_everything_is_the_plain_one() -> None:
    rng = np.random.default_rng(4)
    features, targets = rng.normal(size=(30, 4)) * [1, 10, 0.1, 3], rng.normal(size=(30, 1))
    ridge = fit_ridge([features], targets, np.ones(30))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    solved = np.linalg.solve(scaled.T @ scaled + ridge.strength * np.eye(4), scaled.T @ (targets - targets.mean()))
    assert features @ ridge.weights + ridge.biases == pytest.approx(scaled @ solved + targets.mean())


def test_noise_is_regularised_more_than_signal() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(80, 40))
    noise, signal = rng.normal(size=(80, 1)), features[:, :1]
    strengths = [fit_ridge([features], targets, np.ones(80)).strength for targets in (noise, signal)]
    assert strengths[0] > 10 * strengths[1]


def test_constant_features_are_harmless() -> None:
    features = np.concatenate([np.ones((20, 1)), np.arange(20)[:, np.newaxis]], axis=1)
    ridge = fit_ridge([features], np.arange(20.0)[:, np.newaxis], np.ones(20))
    assert np.isfinite(ridge.weights).all()
    assert features @ ridge.weights + ridge.biases == pytest.approx(np.arange(20.0)[:, np.newaxis], abs=0.5)


def test_mirroring_is_chosen_where_the_sign_means_nothing() -> None:
    rng = np.random.default_rng(6)
    problem = tones(80, 2)
    signed = problem.values * rng.choice([-1, 1], (80, 1)) + 0.0
    assert "mirrored" in fit(Problem(signed, problem.classes, 2, (1, 1)), seed=0, progress=silent).recipe
    # A bump upwards against one downwards: the sign is all that counts.
    bumps = rng.normal(size=(80, 40)) * 0.3
    bumps[:, 15:25] += np.where(problem.classes == 1, 2, -2)[:, np.newaxis]
    assert "mirrored" not in fit(Problem(bumps, problem.classes, 2, (1, 1)), seed=0, progress=silent).recipe


def fit_watched(problem: Problem) -> tuple[FittedRocket, dict[int, dict[str, float]]]:
    """The model, and the least loss for each number of features per kernel, on rows as they are and mirrored."""
    least: dict[int, dict[str, float]] = {}

    def watch(name: str, _done: int, _planned: int, figures: Mapping[str, float]) -> None:
        if figures:
            losses = least.setdefault(int(name.split(", ")[1].split()[0]), dict.fromkeys(figures, np.inf))
            losses.update({key: min(loss, losses[key]) for key, loss in figures.items()})

    return fit(problem, seed=0, progress=watch), least


@pytest.mark.parametrize(("seed", "width", "features"), [(2, 16, 6), (2, 24, 12), (1, 24, 24)])
def test_the_head_that_misses_least_on_rows_left_out_wins(seed: int, width: int, features: int) -> None:
    fitted, least = fit_watched(tones(40, 2, seed, width))
    assert tuple(least) == FEATURES_A_KERNEL
    assert min(least, key=lambda count: min(least[count].values())) == features
    mirrored = ", mirrored" if least[features]["loss/mirrored"] < least[features]["loss/plain"] else ""
    assert fitted.recipe.startswith(f"rocket, {features} features a kernel{mirrored}, ridge ")


def test_many_rows_try_fewer_features_and_the_most_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = tones(60, 3)
    monkeypatch.setattr(rocket_train, "_MAX_COUNTS", 2 * 60 * 12 * 84)
    assert tuple(fit_watched(problem)[1]) == (6, 12)
    monkeypatch.setattr(rocket_train, "_MAX_COUNTS", 0)
    assert tuple(fit_watched(problem)[1]) == (6,)
    monkeypatch.setattr(rocket_train, "_MAX_ROWS", 59)
    problem = tones(240, 3)
    fitted = fit(problem, seed=0, progress=silent)
    assert np.bincount(problem.classes[fitted.held_out]).tolist() == [30, 30, 30]  # at least 30 of each
    assert fitted.held_out_logits.shape == (90, 3)
    assert np.all(np.diff(fitted.held_out) > 0)
    assert np.mean(fitted.float_logits(problem.fixed).argmax(axis=1) == problem.classes) > 0.9


def test_log_odds_are_recovered() -> None:
    rng = np.random.default_rng(7)
    scores = rng.normal(size=20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-(3 * scores - 1)))
    assert fit_log_odds(scores, positive) == pytest.approx((3, -1), abs=0.15)


@pytest.mark.parametrize("positive", [[True, True, False, False], [True] * 4, [False] * 4])
def test_scores_that_separate_have_finite_odds(positive: list[bool]) -> None:
    slope, offset = fit_log_odds(np.array([2.0, 1.0, -1.0, -2.0]), np.array(positive))
    assert np.isfinite([slope, offset]).all()


def test_the_temperature_is_recovered() -> None:
    rng = np.random.default_rng(8)
    scores = rng.normal(size=(5000, 3))
    chances = probabilities(scores * 4)
    classes = (rng.random((5000, 1)) > np.cumsum(chances, axis=1)).sum(axis=1)
    assert fit_temperature(scores, classes) == pytest.approx(4, rel=0.15)


def test_probabilities_and_their_loss_by_hand() -> None:
    assert probabilities(np.array([[0.0], [np.log(3)]])).tolist() == [[0.5, 0.5], pytest.approx([0.25, 0.75])]
    assert probabilities(np.array([[1000.0, 0.0]])).tolist() == [[1.0, 0.0]]
    assert log_loss(np.array([[0.0], [np.log(3)]]), np.array([1, 0])) == pytest.approx(-np.log([0.5, 0.25]).mean())
