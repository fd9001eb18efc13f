"""Forecasts of demand: what usual and unusual series lead to, and that the measures are those of the competitions."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality.demand import Forecast, Setting, forecast_demand
from millmark.quality.demand.engine import (
    LEVELS,
    NAIVE,
    SEASONAL,
    forecast_interval,
    forecast_quantiles,
    is_intermittent,
    scale_of_demand,
)
from millmark.quality.demand.measures import Values, half_widths, reconcile, scale_of, scaled_pinball
from millmark.quality.demand.members import forecast_with_trees, naive, seasonal_naive, smoothing
from millmark.quality.errors import InputError
from millmark.quality.notes import Note, read_note

_Values = NDArray[np.float64]


def draw_series(
    count: int, weeks: int, horizon: int, seed: int, season: int = 12
) -> tuple[list[_Values], list[_Values]]:
    """Regular demand: level, trend, errors that last, half of it with a season. Returns histories, and what followed
    each."""
    random = np.random.default_rng(seed)
    histories, actual = [], []
    for number in range(count):
        steps = np.arange(weeks + horizon)
        errors = np.zeros(weeks + horizon)
        for place in range(1, weeks + horizon):
            errors[place] = 0.6 * errors[place - 1] + random.normal(0, 3)
        wave = 8 * np.sin(2 * np.pi * steps / season) if number % 2 else 0.0
        values = 60 + random.uniform(-0.3, 0.6) * steps + wave + errors
        histories.append(values[:weeks])
        actual.append(values[weeks:])
    return histories, actual


def draw_intermittent(count: int, weeks: int, seed: int) -> list[_Values]:
    """Demand in few weeks: how many, and how much then, differs between series and drifts within each; sizes are
    negative binomial, as of spare parts."""
    random = np.random.default_rng(seed)
    found: list[_Values] = []
    while len(found) < count:
        often = np.clip(random.uniform(0.1, 0.45) + random.normal(0, 0.01, weeks).cumsum(), 0.05, 0.6)
        sizes = 1 + random.negative_binomial(2, random.uniform(0.2, 0.6), weeks)
        values = np.where(random.random(weeks) < often, sizes, 0).astype(np.float64)
        if np.count_nonzero(values) >= 8:
            found.append(values)
    return found


SETTING = Setting(4)


def one(values: list[float], setting: Setting = SETTING) -> Forecast:
    return forecast_demand([np.array(values, dtype=float)], setting).forecasts[0]


def test_a_series_of_zeros_is_forecast_by_zero_and_says_so() -> None:
    made = one([0.0] * 30)
    assert made.mean.tolist() == [0] * 4
    assert made.high is not None
    assert made.high.tolist() == [0] * 4
    assert made.note == "no demand in its history"


def test_one_value_is_repeated_without_an_interval() -> None:
    made = one([7.0])
    assert made.mean.tolist() == [7] * 4
    assert (made.low, made.high) == (None, None)
    assert made.note == "only 1 week of history: their mean, and no interval"


@pytest.mark.parametrize("note", Note)
def test_what_a_note_says_is_read_again(note: Note) -> None:
    assert read_note(note.write(5)) == (note, 5 if note is Note.FEW_WEEKS else 0)
    assert read_note(f"{note.write(5)}.") is None


def test_a_constant_series_stays_what_it_is() -> None:
    made = one([5.0] * 12)
    assert made.mean.tolist() == [5] * 4
    assert made.note == "the same demand in every week of its history"


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [1.0, np.inf]])
def test_a_gap_is_refused_in_one_line(values: list[float]) -> None:
    with pytest.raises(InputError, match="is empty, or has a value that is not a finite number; fill its gaps first"):
        one(values)


def test_a_spike_does_not_make_a_trend() -> None:
    made = one([3.0, 4, 3, 4, 3, 4, 3, 4, 3, 4, 90, 3, 4, 3, 4, 3, 4, 3, 4, 3, 4, 3])
    assert (made.mean < 30).all()


def test_demand_is_never_below_zero_nor_is_its_interval() -> None:
    made = one([float(max(0, 40 - 2 * week)) for week in range(19)])
    assert (made.mean >= 0).all()
    assert made.low is not None
    assert (made.low >= 0).all()


def test_no_series_is_forecast_worse_than_naively_in_its_own_back_test() -> None:
    """Also where the set as a whole prefers something else: a random walk among trends."""
    walk = np.cumsum(np.random.default_rng(4).normal(0, 3, 60)) + 200
    trends = [np.arange(60.0) * slope + 10 for slope in (1, 2, 3)]
    outcome = forecast_demand([*trends, walk], Setting(4, counts=False))
    assert outcome.chosen not in (NAIVE, SEASONAL)
    assert outcome.losses[outcome.chosen] == min(outcome.losses.values())
    windows = [walk[: -4 * window] for window in (1, 2, 3)]
    naively = np.mean([np.abs(walk[len(past) : len(past) + 4] - past[-1]).mean() for past in windows])
    used = outcome.forecasts[3].method
    assert used in (NAIVE, outcome.chosen)
    if used == outcome.chosen:
        alone = [
            forecast_demand([*(one[: len(past)] for one in trends), past], Setting(4, counts=False)) for past in windows
        ]
        errors = [
            np.abs(walk[len(past) : len(past) + 4] - made.forecasts[3].mean).mean()
            for past, made in zip(windows, alone, strict=True)
        ]
        assert np.mean(errors) <= naively * 1.5  # the earlier runs chose by fewer windows


def test_weeks_of_nothing_go_to_the_quantiles_of_what_was_seen() -> None:
    series = draw_intermittent(20, 104, seed=2)
    outcome = forecast_demand(series, Setting(8))
    assert outcome.intermittent is not None
    assert all("quantiles of" in made.method for made in outcome.forecasts)
    assert outcome.intermittent.quantile_losses[outcome.intermittent.quantiles] == min(
        outcome.intermittent.quantile_losses.values()
    )


def test_intervals_of_intermittent_demand_widen_with_their_level_and_cover_it() -> None:
    drawn = draw_intermittent(150, 234, seed=3)
    past, later = [one[:-26] for one in drawn], [one[-26:] for one in drawn]
    widths = []
    for level in (0.8, 0.95, 0.99):
        made = [forecast_interval(one, "all weeks", level) or (0.0, 0.0) for one in past]
        inside = [((low <= came) & (came <= high)).mean() for (low, high), came in zip(made, later, strict=True)]
        assert np.mean(inside) >= level - 0.02
        widths.append(np.mean([high - low for low, high in made]))
    assert widths[0] < widths[1] < widths[2]


def test_no_interval_is_stated_that_so_few_weeks_cannot_show() -> None:
    weeks = np.array([0.0, 0, 3, 0, 1] * 12)
    assert forecast_interval(weeks, "all weeks", 0.98) is not None
    assert forecast_interval(weeks, "all weeks", 0.99) is None
    assert forecast_interval(weeks, "26 weeks", 0.97) is None
    assert forecast_interval(weeks, "half-life 8", 0.96) is None
    made = one(weeks.tolist(), Setting(4, level_percent=99))
    assert (made.low, made.high) == (None, None)
    assert made.note == "demand in few of the weeks, and too few weeks for an interval"
    errors = [np.arange(1.0, 13).reshape(4, 3)]
    assert half_widths(errors, [1.0], 3, 0.92) is not None
    assert half_widths(errors, [1.0], 3, 0.93) is None


def test_what_is_always_or_never_wanted_is_not_intermittent() -> None:
    assert not is_intermittent(np.zeros(20))
    assert not is_intermittent(np.ones(20))
    assert is_intermittent(np.array([0.0, 0, 3] * 6))


def test_few_and_short_series_are_not_learned_from() -> None:
    assert forecast_with_trees([np.arange(30.0)], 4, 1) is None


def test_intervals_cover_what_they_say_on_series_like_those_before() -> None:
    history, actual = draw_series(40, 80, 8, seed=5, season=1)
    outcome = forecast_demand(history, Setting(8, counts=False))
    shares = [
        ((made.low <= came) & (came <= made.high)).mean()
        for made, came in zip(outcome.forecasts, actual, strict=True)
        if made.low is not None and made.high is not None
    ]
    assert 0.72 <= np.mean(shares) <= 0.9


def test_regular_demand_is_forecast_better_than_by_its_last_value() -> None:
    drawn = draw_series(10, 50, 6, seed=3)
    chosen = np.random.default_rng(1).permutation(10)[:6]
    histories, actual = ([series[place] for place in chosen] for series in drawn)
    made = [forecast.mean for forecast in forecast_demand(histories, Setting(6, counts=False)).forecasts]

    def error(forecasts: list[Values]) -> float:
        triples = zip(forecasts, actual, histories, strict=True)
        return float(np.mean([np.abs(mean - came).mean() / scale_of(past, 1) for mean, came, past in triples]))

    assert error(made) < error([naive(past, 6) for past in histories])


def test_on_intermittent_demand_quantiles_of_what_was_seen_are_the_best() -> None:
    """Beside Croston's method and TSB with their own conformal intervals, cut off at zero, and beside no demand."""
    models = pytest.importorskip("statsforecast.models")
    series = draw_intermittent(40, 120, seed=1)
    past, actual = [whole[:-13] for whole in series], [whole[-13:] for whole in series]
    chosen = forecast_demand(past, Setting(13)).intermittent
    assert chosen is not None

    def loss(quantiles: list[Values]) -> float:
        triples = zip(quantiles, actual, past, strict=True)
        return float(np.mean([scaled_pinball(made, LEVELS, came, scale_of_demand(one)) for made, came, one in triples]))

    ours = loss([forecast_quantiles(one, chosen.quantiles)[:, None] for one in past])
    peers = [models.CrostonClassic(), models.TSB(alpha_d=0.1, alpha_p=0.1)]
    assert ours < min(loss([_conformal_quantiles(peer, one, 13) for one in past]) for peer in peers)
    assert ours < loss([np.zeros((len(LEVELS), 1)) for _ in past])


def _conformal_quantiles(model: Any, history: Values, horizon: int) -> Values:
    """Nine quantiles, a row each, of a model of statsforecast."""
    from statsforecast.utils import ConformalIntervals  # noqa: PLC0415 - an extra

    model.prediction_intervals = ConformalIntervals(n_windows=4, h=horizon)
    levels = [20, 40, 60, 80]
    made = model.forecast(history, horizon, level=levels)
    names = [*(f"lo-{level}" for level in reversed(levels)), "mean", *(f"hi-{level}" for level in levels)]
    quantiles: Values = np.maximum(np.array([made[name] for name in names]), 0.0)
    return quantiles


def test_a_short_history_has_an_interval_from_shorter_windows_that_widens() -> None:
    made = one([13.0, 17, 9, 14, 11, 18, 10, 15, 12, 16, 13, 19, 11, 14], Setting(8))
    assert made.low is not None
    assert made.high is not None
    widths = made.high - made.mean
    assert (np.diff(widths) >= 0).all()
    assert widths[-1] > widths[0] > 0
    assert one([13.0, 17, 9, 14, 11, 18, 10, 15], Setting(8)).low is None


def test_half_a_width_needs_errors() -> None:
    assert half_widths([np.empty((0, 3))], [1.0], 3, 0.8) is None
    assert half_widths([np.ones((1, 3))], [1.0], 3, 0.8) is None
    [width] = half_widths([np.zeros((4, 3))], [1.0], 3, 0.8) or []
    assert width.tolist() == [0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1000), min_size=3, max_size=3), min_size=2, max_size=4), st.integers(0, 1000))
def test_parts_add_up_to_the_total_and_nothing_is_below_zero(parts: list[list[float]], total: int) -> None:
    top, [found] = reconcile(np.full(3, float(total)), [[np.array(part) for part in parts]])
    assert (top >= 0).all()
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=0), top, rtol=1e-9, atol=1e-9)


def test_what_adds_up_already_stays() -> None:
    parts = [np.array([1.0, 2]), np.array([3.0, 4])]
    top, [found] = reconcile(np.array([4.0, 6]), [parts])
    np.testing.assert_allclose(found, parts)
    np.testing.assert_allclose(top, [4, 6])


def test_errors_are_scaled_by_those_of_the_naive_forecast() -> None:
    assert scale_of(np.array([1.0, 3, 2, 6]), 1) == pytest.approx(7 / 3)
    assert scale_of(np.ones(5), 1) == 1  # nothing to scale by
    assert scaled_pinball(np.zeros((9, 1)), LEVELS, np.array([2.0]), 1.0) == pytest.approx(1.0)


def test_seasonal_naive_repeats_the_last_season() -> None:
    values: Values = np.array([1.0, 2, 3, 4, 5])
    assert seasonal_naive(values, 4, 3).tolist() == [3, 4, 5, 3]
    assert seasonal_naive(values, 2, 9).tolist() == naive(values, 2).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("horizon", "season", "level", "windows"), [(0, 1, 80, 3), (4, 0, 80, 3), (4, 1, 30, 3), (4, 1, 80, 99)]
)
def test_unusable_settings_are_refused(horizon: int, season: int, level: int, windows: int) -> None:
    with pytest.raises(InputError, match="out of range"):
        Setting(horizon, season, level, windows)


def test_smoothing_follows_a_level_and_goes_between_what_varies() -> None:
    assert smoothing(np.array([5.0] * 9), 3).tolist() == [5.0] * 3
    risen = smoothing(np.array([2.0] * 8 + [12.0] * 8), 1)
    assert 11 < risen[0] <= 12
    varied = smoothing(np.array([4.0, 8.0] * 10), 1)
    assert 5 < varied[0] < 7
    assert smoothing(np.array([3.0]), 2).tolist() == [3.0, 3.0]


def test_a_plain_forecast_needs_numpy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("statsforecast", "lightgbm"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    steady = np.array([10.0 + (3 * week) % 7 for week in range(40)])
    rare = np.array([0.0, 0, 4, 0, 0, 0, 5, 0] * 5)
    made = forecast_demand([steady, rare], Setting(6, plain=True))
    assert set(made.losses) == {NAIVE, SEASONAL, "Smoothing"}
    assert made.chosen == "Smoothing"
    regular, sparse = made.forecasts
    assert regular.low is not None
    assert regular.high is not None
    assert (regular.low <= regular.mean).all()
    assert (regular.mean <= regular.high).all()
    assert sparse.method.startswith("Past mean; quantiles of ")
    assert sparse.mean[0] == pytest.approx(rare.mean())
    with pytest.raises(InputError, match="a forecast needs statsforecast; install millmark"):
        forecast_demand([steady], Setting(6))


def test_the_same_series_lead_to_the_same_figures() -> None:
    history, _ = draw_series(12, 50, 4, seed=9)
    first, second = (forecast_demand(history, Setting(4, counts=False)) for _ in range(2))
    assert [one.mean.tolist() for one in first.forecasts] == [one.mean.tolist() for one in second.forecasts]
