"""The forecasts that are combined: statistical ones from statsforecast (Apache-2.0), naive ones in numpy, and one
LightGBM model.

Each takes a history and a horizon, and returns the point forecasts. One that cannot be fitted returns None: the
others go on without it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from millmark.quality.demand.measures import Values, scale_of
from millmark.quality.errors import InputError

NAMES = ("AutoETS", "AutoTheta", "DynamicOptimizedTheta", "AutoCES")
"""Whose median is taken."""
LONGEST = 24
"""ETS and Theta take no longer season; MSTL does."""
_WEIGHTS = tuple(step / 20 for step in range(1, 20))
"""Weights of the latest value in smoothing."""
_LEAST = 8
"""Shortest history, in steps, that they are fitted to."""


def naive(history: Values, horizon: int) -> Values:
    """The last value, repeated."""
    return np.repeat(history[-1], horizon)


def seasonal_naive(history: Values, horizon: int, season: int) -> Values:
    """The last season, repeated; the naive forecast where the history is shorter."""
    if season == 1 or len(history) < season:
        return naive(history, horizon)
    return np.resize(history[-season:], horizon)


def smoothing(history: Values, horizon: int) -> Values:
    """Simple exponential smoothing from the first value on, by the weight with the least squared error one step
    ahead."""
    best, level = np.inf, float(history[-1])
    for weight in _WEIGHTS:
        now, squared = float(history[0]), 0.0
        for value in history[1:]:
            squared += (float(value) - now) ** 2
            now += weight * (float(value) - now)
        if squared < best:
            best, level = squared, now
    return np.repeat(level, horizon)


def forecast_members(history: Values, horizon: int, season: int) -> Mapping[str, Values]:
    """By name: the four members and their `Median`; `MSTL` where the season is longer than they take. Nothing for a
    history that is too short or never changes: there the naive forecast is as good. Raises InputError if statsforecast
    is not installed."""
    if len(history) < _LEAST or np.ptp(history) == 0:
        return {}
    models, found = _models(), {}
    fits = len(history) >= 2 * season + 4
    for name in NAMES:
        made = _forecast(models[name], history, horizon, season_length=season if fits and season <= LONGEST else 1)
        if made is not None:
            found[name] = made
    if found:
        found["Median"] = np.median(list(found.values()), axis=0)
    if fits and season > LONGEST:
        trend = models["AutoETS"](model="ZZN")
        made = _forecast(models["MSTL"], history, horizon, season_length=season, trend_forecaster=trend)
        if made is not None:
            found["MSTL"] = made
    return found


def intermittent_models() -> Mapping[str, Any]:
    """Croston's method, TSB and ADIDA, by name. Raises InputError if statsforecast is not installed."""
    models = _models()
    tsb = models["TSB"](alpha_d=0.1, alpha_p=0.1)
    return {"CrostonOptimized": models["CrostonOptimized"](), "TSB": tsb, "ADIDA": models["ADIDA"]()}


def _forecast(model: Callable[..., Any], history: Values, horizon: int, **given: object) -> Values | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fits that stopped early: what they forecast is judged by the back-test
        try:
            made = np.asarray(model(**given).forecast(history, horizon)["mean"], dtype=np.float64)
        except Exception:
            return None
    return made if np.isfinite(made).all() else None


def _models() -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own dependencies' deprecations
            from statsforecast import models  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as missing:
        raise InputError(f"a forecast needs {missing.name}", hint="install millmark[forecast]") from missing
    return {name: getattr(models, name) for name in (*NAMES, "MSTL", "CrostonOptimized", "TSB", "ADIDA")}


# One LightGBM model over all series: what the others' past says about how a series goes on.
# A row is a series at a moment: its latest changes, what it did a season ago and how much it varies, all over the
# series' own scale. There is a model for each step; it forecasts the change since the last value.

LEAST_ROWS = 400
"""Fewer are not learned from: the trees would remember them."""
RECENT = 260
"""Steps of a history that count for its scale, and that the statistical members are fitted to."""
_MOMENTS, _APART = 26, 4
"""At most so many rows of a series, so many steps apart."""
_ROUNDS = 150
_LEAST_HISTORY = 20
_MOST_CHANGE = 50.0
"""Changes beyond so many scales are cut off: one outlier must not decide a split."""
_PARAMETERS: dict[str, Any] = {
    "objective": "l1",  # what MASE measures
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # threads that wait for each other on a busy machine take twenty times as long
    "verbose": -1,
}


def forecast_with_trees(histories: Sequence[Values], horizon: int, season: int) -> list[Values] | None:
    """A forecast for each history; None where they are too few and too short to learn from. Raises InputError if
    LightGBM is not installed."""
    rows, wanted = [], []
    for history in histories:
        for back in range(horizon, horizon + _MOMENTS * _APART, _APART):
            end = len(history) - back
            if end < _LEAST_HISTORY:
                break
            past = history[:end]
            scale = scale_of(past[-RECENT:], 1)
            rows.append(_features(past, scale, horizon, season))
            wanted.append((history[end : end + horizon] - past[-1]) / scale)
    if len(rows) < LEAST_ROWS:
        return None
    scales = [scale_of(history[-RECENT:], 1) for history in histories]
    asked = [_features(history, scale, horizon, season) for history, scale in zip(histories, scales, strict=True)]
    changes = _fit(np.array(rows), np.array(wanted), np.array(asked))
    return [history[-1] + change * scale for history, change, scale in zip(histories, changes, scales, strict=True)]


def _fit(rows: Values, wanted: Values, asked: Values) -> Values:
    lightgbm = _lightgbm()
    found = np.zeros((len(asked), wanted.shape[1]))
    for step in range(wanted.shape[1]):
        target = np.clip(wanted[:, step], -_MOST_CHANGE, _MOST_CHANGE)
        booster = lightgbm.train(_PARAMETERS, lightgbm.Dataset(rows, target), _ROUNDS)
        found[:, step] = booster.predict(asked)
    return found


def _features(past: Values, scale: float, horizon: int, season: int) -> list[float]:
    """Latest changes, those of one and two seasons ago, length, level, and how much it varied lately."""
    last, length = past[-1], len(past)
    lags = [*range(1, 14), 26, 39, 52]
    found = [(past[-1 - lag] - last) / scale if length > lag else np.nan for lag in lags]
    for seasons_ago in (1, 2) if season > 1 else ():
        base = length - 1 - seasons_ago * season
        then = [base + (step - 1) % season + 1 for step in range(1, horizon + 1)]
        found += [(past[one] - past[base]) / scale if base >= 0 else np.nan for one in then]
    steps = np.diff(past[-53:])
    varied = steps.std() > 0 and steps[:-1].std() > 0 and steps[1:].std() > 0
    found += [float(np.log(length)), float(np.log1p(abs(last) / scale))]
    found.append(float(np.corrcoef(steps[:-1], steps[1:])[0, 1]) if varied else 0.0)
    found += [float(np.abs(part).mean()) / scale if len(part) else 0.0 for part in (steps, steps[-8:])]
    return found


def _lightgbm() -> Any:
    try:
        import lightgbm  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        raise InputError(
            f"a forecast over several series needs {missing.name}", hint="install millmark[forecast]"
        ) from missing
    return lightgbm
