"""Of kinds that are about equal, the one that suits the columns is chosen; one that is clearly better always is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from millmark.quality.train import Columns, Trial, choose, guess_columns, repeats_for
from tests.support.quality_samples import CORPUS, load_corpus, needs_ford_a, table

Floats = NDArray[np.float64]


def trials(**figures: list[float]) -> list[Trial]:
    return [Trial(kind, tuple(values)) for kind, values in figures.items()]


def test_of_near_equals_the_one_that_suits_the_columns_is_taken() -> None:
    tried = trials(mlp=[0.90, 0.95, 0.93], cnn=[0.90, 0.94, 0.92], rocket=[0.97, 0.92, 0.95], trees=[0.95, 0.93, 0.91])
    assert max(tried, key=lambda trial: trial.mean).kind == "rocket"
    assert choose(tried, Columns.TABLE).kind == "mlp"
    assert choose(tried, Columns.SIGNAL).kind == "rocket"


def test_what_is_better_beyond_chance_is_taken_though_it_does_not_suit() -> None:
    tried = trials(mlp=[0.60, 0.62, 0.61], rocket=[0.90, 0.93, 0.91], trees=[0.70, 0.72, 0.71])
    assert choose(tried, Columns.TABLE).kind == "rocket"
    tried = trials(mlp=[0.60, 0.62, 0.61], rocket=[0.70, 0.73, 0.71], trees=[0.90, 0.92, 0.91])
    assert choose(tried, Columns.SIGNAL).kind == "trees"


def test_a_difference_on_every_fold_counts_for_more_than_one_on_some() -> None:
    """The means differ by 0.02 both times; folds that are hard for both kinds do not matter."""
    steady = trials(mlp=[0.50, 0.70, 0.90], trees=[0.52, 0.72, 0.92])
    assert choose(steady, Columns.TABLE).kind == "trees"
    by_luck = trials(mlp=[0.50, 0.70, 0.90], trees=[0.60, 0.64, 0.92])
    assert choose(by_luck, Columns.TABLE).kind == "mlp"


def test_the_error_is_that_of_folds_which_share_rows() -> None:
    first, second = trials(mlp=[0.5, 0.6, 0.7], trees=[0.6, 0.6, 0.6])
    assert first.error_against(second) == pytest.approx(0.1 * np.sqrt(1 / 3 + 1 / 2))
    assert first.error_against(first) == 0


def test_kinds_that_could_not_be_tried_are_not_taken() -> None:
    assert choose([Trial("mlp", (), "too wide"), *trials(trees=[0.1, 0.1, 0.1])], Columns.TABLE).kind == "trees"


def waves(rows: int, width: int) -> Floats:
    rng = np.random.default_rng(5)
    phases = rng.uniform(0, 2 * np.pi, (rows, 1))
    waves: Floats = np.sin(np.arange(width) * 0.3 + phases) + rng.normal(size=(rows, width)) * 0.3 + 40
    return waves


def quantities(rows: int, width: int) -> Floats:
    """Columns with different units, a few of them with large values and next to each other."""
    rng = np.random.default_rng(6)
    common = rng.normal(size=(rows, 1))
    return (rng.normal(size=(rows, width)) + common) * 10.0 ** np.sort(rng.integers(-3, 5, width))


def test_columns_are_told_by_how_values_follow_each_other() -> None:
    assert guess_columns(waves(50, 40)) is Columns.SIGNAL
    assert guess_columns(waves(50, 40)[:, np.random.default_rng(0).permutation(40)]) is Columns.TABLE
    assert guess_columns(quantities(50, 40)) is Columns.TABLE
    assert guess_columns(table(50, 2).values) is Columns.TABLE


@pytest.mark.parametrize("values", [np.ones((5, 4)), np.arange(5.0)[:, np.newaxis], np.eye(3)[:, :1]])
def test_columns_that_say_nothing_are_a_table(values: Floats) -> None:
    assert guess_columns(values) is Columns.TABLE


@needs_ford_a
def test_the_public_signal_is_taken_for_one() -> None:
    assert CORPUS.exists()
    assert guess_columns(load_corpus("FordA_TEST.npy.gz").values) is Columns.SIGNAL


def test_few_rows_are_drawn_more_often() -> None:
    assert [repeats_for(rows) for rows in (10, 400, 401, 600, 601, 1200, 1300)] == [3, 3, 2, 2, 1, 1, 1]
