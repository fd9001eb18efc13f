"""The statistical forecasts that are combined, from statsforecast (Apache-2.0), and the naive ones in numpy.

Each takes a history and a horizon, and returns the point forecasts. One that cannot be fitted returns None: the
others go on without it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from millmark.quality.demand.measures import Values
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


def forecast_members(history: Values, horizon: int, seasons: Sequence[int]) -> Mapping[str, Values]:
    """By name: the four members and their `Median`; `MSTL` where a season is longer than they take, or there are two.

    Nothing for a history that is too short or never changes: there the naive forecast is as good. Raises InputError
    if statsforecast is not installed.
    """
    if len(history) < _LEAST or np.ptp(history) == 0:
        return {}
    models, found = _models(), {}
    short = [season for season in seasons if 1 < season <= LONGEST]
    if len(short) < 2:
        season = short[0] if short and len(history) >= 2 * short[0] + 4 else 1
        for name in NAMES:
            made = _forecast(models[name], history, horizon, season_length=season)
            if made is not None:
                found[name] = made
        if found:
            found["Median"] = np.median(list(found.values()), axis=0)
    fitting = [season for season in seasons if season > 1 and len(history) >= 2 * season + 4]
    if len(fitting) > 1 or any(season > LONGEST for season in fitting):
        trend = models["AutoETS"](model="ZZN")
        made = _forecast(models["MSTL"], history, horizon, season_length=fitting, trend_forecaster=trend)
        if made is not None:
            found["MSTL"] = made
    return found


def intermittent_models() -> Mapping[str, Any]:
    """Croston's method, TSB and ADIDA, by name. Raises InputError if statsforecast is not installed."""
    models = _models()
    tsb = models["TSB"](alpha_d=0.1, alpha_p=0.1)
    return {"CrostonOptimized": models["CrostonOptimized"](), "TSB": tsb, "ADIDA": models["ADIDA"]()}


def version() -> str:
    """The version of statsforecast. Raises InputError if it is not installed."""
    _models()
    from importlib.metadata import version as find  # noqa: PLC0415 - with the line above, all that needs it

    return find("statsforecast")


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
