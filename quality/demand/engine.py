"""Forecasts a set of series: candidates, back-test, choice, gate, intervals.

1. A series that is too short or never changes is forecast by its last value; one that was never wanted by zero.
2. Intermittent demand is forecast by quantiles and a mean of its own (`choose`).
3. For the others, every candidate forecasts the last windows of each history from what came before them. The one with
   the least mean scaled error over the set is used for all of it: one series alone says too little.
4. Gate: a series of which the chosen candidate was worse in its own back-test than the (seasonal) naive forecast is
   forecast by that one.
5. Intervals are conformal, from the errors of the back-test.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

import numpy as np

from millmark.quality.demand import members
from millmark.quality.demand.measures import Values, half_widths, reaches, scale_of, scaled_pinball
from millmark.quality.errors import InputError
from millmark.quality.notes import Note

# Demand that is zero in many weeks: quantiles from what was seen, and a mean that is right in sum.
# An error per week says little here (a forecast of nothing has the least absolute error), so these series are judged by
# the pinball loss over nine quantiles, over the series' scale. Quantiles are those of past weeks, recent ones counting
# more in some candidates; which candidate counts is decided by the back-test over all series of the set. The mean is
# that of Croston's method, TSB (Teunter, Syntetos and Babai 2011), ADIDA or the past weeks, whichever has the least
# squared error.

LEVELS: Final = tuple(step / 10 for step in range(1, 10))
_LONGEST_GAP = 1.32
"""Mean weeks from one demand to the next from which demand is intermittent (Syntetos, Boylan and Croston 2005)."""
_LEAST = 8
_SPANS: Final = {"all weeks": 0, "26 weeks": 26, "52 weeks": 52}
_HALF_LIVES: Final = {"half-life 8": 8.0, "half-life 26": 26.0}


class Choice:
    """Which candidates are used, and how each did on the back-test."""

    def __init__(self, quantiles: Mapping[str, float], means: Mapping[str, float]) -> None:
        self.quantile_losses, self.mean_losses = dict(quantiles), dict(means)
        self.quantiles = min(quantiles, key=lambda name: quantiles[name], default="Blend")
        self.mean = min(means, key=lambda name: means[name], default="Past mean")


def is_intermittent(history: Values) -> bool:
    """Whether demand comes on average less than every 1.32 weeks; not said of what was never or always zero."""
    wanted = int((history > 0).sum())
    return bool((history >= 0).all()) and wanted > 0 and len(history) / wanted > _LONGEST_GAP


def scale_of_demand(history: Values) -> float:
    """Mean absolute change from week to week since the first demand, as the M5 competition scales its losses."""
    wanted = np.flatnonzero(history)
    active = history[wanted[0] :] if len(wanted) else history
    changes = np.abs(np.diff(active))
    found = float(changes.mean()) if len(changes) else 0.0
    return found if found > 0 else 1.0


def choose(histories: Sequence[Values], horizon: int, windows: int, *, plain: bool = False) -> Choice:
    """Judges all candidates where each history has the weeks for it; without any, their blend and the past mean. If
    `plain`, the past mean is the only one."""
    quantile_losses: dict[str, list[float]] = {}
    mean_losses: dict[str, list[float]] = {}
    for history in histories:
        for window in range(1, windows + 1):
            past, actual = history[: -window * horizon], history[len(history) - window * horizon :][:horizon]
            if len(past) < _LEAST or not past.any():
                break
            scale = scale_of_demand(past)
            for name, quantiles in _quantile_candidates(past).items():
                loss = scaled_pinball(quantiles[:, None], LEVELS, actual, scale)
                quantile_losses.setdefault(name, []).append(loss)
            for name, mean in ({} if plain else _means(past, horizon)).items():
                mean_losses.setdefault(name, []).append(((float(actual.mean()) - mean) / scale) ** 2)
    return Choice(
        {name: float(np.mean(losses)) for name, losses in quantile_losses.items()},
        {name: float(np.mean(losses)) for name, losses in mean_losses.items()},
    )


def forecast_quantiles(history: Values, name: str, levels: Sequence[float] = LEVELS) -> Values:
    """Quantiles of a week's demand at these levels, the same for all coming weeks."""
    return _quantile_candidates(history, levels)[name]


def forecast_interval(history: Values, name: str, level: float) -> tuple[float, float] | None:
    """The interval that leaves out as much below as above; None where so few weeks count that the largest of them says
    too little about so high a level."""
    if not reaches(_counting(len(history), name), level):
        return None
    tail = (1 - level) / 2
    low, high = forecast_quantiles(history, name, (tail, 1 - tail))
    return float(low), float(high)


def forecast_mean(history: Values, horizon: int, name: str) -> float:
    """Mean demand in a week, never below zero."""
    return _means(history, horizon)[name] if name != "Past mean" else float(history[-52:].mean())


def _quantile_candidates(history: Values, levels: Sequence[float] = LEVELS) -> dict[str, Values]:
    found = {}
    for name, span in _SPANS.items():
        part = history[-span:]
        found[name] = _weighted(part, np.ones(len(part)), levels)
    for name, half_life in _HALF_LIVES.items():
        found[name] = _weighted(history, _weights(len(history), half_life), levels)
    found["Blend"] = np.mean(list(found.values()), axis=0)
    return found


def _weights(weeks: int, half_life: float) -> Values:
    return np.asarray(0.5 ** (np.arange(weeks)[::-1] / half_life))


def _counting(weeks: int, name: str) -> float:
    """How many weeks of equal weight say as much as those that a candidate takes its quantiles from (Kish 1965)."""
    if name in _SPANS:
        return min(weeks, _SPANS[name] or weeks)
    if name in _HALF_LIVES:
        weights = _weights(weeks, _HALF_LIVES[name])
        return float(weights.sum() ** 2 / (weights**2).sum())
    return min(_counting(weeks, one) for one in (*_SPANS, *_HALF_LIVES))


def _weighted(values: Values, weights: Values, levels: Sequence[float]) -> Values:
    """Quantiles of a weighted sample: linear between the middles of the steps, so that they do not jump."""
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order])
    middles = (summed - weights[order] / 2) / summed[-1]
    return np.asarray(np.interp(levels, middles, values[order]))


def _means(history: Values, horizon: int) -> dict[str, float]:
    found = {"Past mean": float(history[-52:].mean())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about smoothing that hit its bounds
        for name, model in members.intermittent_models().items():
            made = float(np.mean(model.forecast(history, horizon)["mean"]))
            found[name] = max(made, 0.0) if np.isfinite(made) else found["Past mean"]
    return found


NAIVE, SEASONAL = "Naive", "Seasonal naive"
_TREES = "Trees"
_BLENDED = ("AutoETS", "Median", "MSTL")
"""What is also averaged with the trees."""
_SHORTEST = 8
"""Steps that are left before a window of the back-test."""
_SEASONS_KEPT = 5
_Made: TypeAlias = "dict[str, Values]"


@dataclass(frozen=True, slots=True)
class Setting:
    """Options of a forecast. Raises InputError for one that is out of range."""

    horizon: int
    """Steps to be forecast."""
    season: int = 1
    """Length of the season in steps; 1 for none."""
    level_percent: int = 80
    """Level of the intervals."""
    windows: int = 3
    """Most windows of the back-test."""
    counts: bool = True
    """Whether the values are quantities: never below zero, and zero in weeks without demand."""
    plain: bool = False
    """Whether only what numpy computes is tried: naive, seasonal naive and smoothing, the past mean of rare demand."""

    def __post_init__(self) -> None:
        if not (1 <= self.horizon <= 520 and 1 <= self.season <= 10_000):
            raise InputError("horizon or season is out of range", hint="horizon 1 to 520, season 1 to 10000 steps")
        if not (50 <= self.level_percent <= 99 and 1 <= self.windows <= 12):
            raise InputError("level or number of windows is out of range", hint="level 50 to 99, windows 1 to 12")


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of one series."""

    mean: Values
    low: Values | None
    """Lower end of the interval at each step; None where the history is too short to say."""
    high: Values | None
    method: str
    note: str = ""
    """What was done instead of the usual, and why; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found about the whole set of series."""

    forecasts: tuple[Forecast, ...]
    chosen: str
    """The candidate used for regular demand."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Mean scaled absolute error of each candidate in the back-test."""
    intermittent: Choice | None = None
    gated: int = 0
    """Series for which the naive forecast was used, because it had been better."""
    windows: int = 0
    """Windows of the back-test over all series."""


@dataclass(slots=True)
class _Tested:
    """A window of the back-test: which series, its absolute errors by candidate."""

    series: int
    actual: Values
    scale: float
    made: _Made


def forecast_demand(histories: Sequence[Values], setting: Setting) -> Outcome:
    """Forecasts each history; values are one for each step, the latest last. Raises InputError for a history that is
    empty or not finite, and if a package is missing that these histories need."""
    for history in histories:
        if not len(history) or not np.isfinite(history).all():
            raise InputError(
                "a series is empty, or has a value that is not a finite number", hint="fill its gaps first"
            )
    kinds = [_kind(history, setting) for history in histories]
    found: dict[int, Forecast] = {
        place: _plain(history, setting, kind)
        for place, (history, kind) in enumerate(zip(histories, kinds, strict=True))
        if kind not in ("regular", "intermittent")
    }
    sparse = [place for place, kind in enumerate(kinds) if kind == "intermittent"]
    choice = (
        choose([histories[one] for one in sparse], setting.horizon, setting.windows, plain=setting.plain)
        if sparse
        else None
    )
    if choice is not None:
        found |= {place: _sparse(histories[place], setting, choice) for place in sparse}
    regular = [place for place, kind in enumerate(kinds) if kind == "regular"]
    outcome = _forecast_regular([histories[one] for one in regular], setting)
    found |= dict(zip(regular, outcome.forecasts, strict=True))
    ordered = tuple(found[place] for place in range(len(histories)))
    return Outcome(ordered, outcome.chosen, outcome.losses, choice, outcome.gated, outcome.windows)


def _kind(history: Values, setting: Setting) -> str:
    if not history.any() and setting.counts:
        return "zero"
    if len(history) < _SHORTEST:
        return "short"
    if np.ptp(history) == 0:
        return "constant"
    return "intermittent" if setting.counts and is_intermittent(history) else "regular"


def _plain(history: Values, setting: Setting, kind: str) -> Forecast:
    """The forecast of a series that says too little: its mean if it is short, since its last week may be any week."""
    if kind == "short":
        weeks = len(history)
        note = (Note.ONE_WEEK if weeks == 1 else Note.FEW_WEEKS).write(weeks)
        return Forecast(np.repeat(history.mean(), setting.horizon), None, None, "Mean", note)
    note = (Note.ZERO if kind == "zero" else Note.CONSTANT).write()
    made = members.naive(history, setting.horizon)
    enough = len(history) >= _SHORTEST
    return Forecast(made, made if enough else None, made if enough else None, NAIVE, note)


def _sparse(history: Values, setting: Setting, choice: Choice) -> Forecast:
    mean = forecast_mean(history, setting.horizon, choice.mean)
    interval = forecast_interval(history, choice.quantiles, setting.level_percent / 100)
    steps, method = setting.horizon, f"{choice.mean}; quantiles of {choice.quantiles}"
    made = np.repeat(mean, steps)
    if interval is None:
        return Forecast(made, None, None, method, Note.SPARSE_SHORT.write())
    low, high = np.repeat(min(interval[0], mean), steps), np.repeat(max(interval[1], mean), steps)
    return Forecast(made, low, high, method, Note.SPARSE.write())


def _forecast_regular(histories: Sequence[Values], setting: Setting) -> Outcome:
    if not histories:
        return Outcome((), NAIVE)
    length = _window(histories, setting)
    tested = _back_test(histories, setting, length)
    losses = _losses(tested)
    chosen = min(losses, key=lambda name: losses[name], default=NAIVE)
    by_series: list[list[_Tested]] = [[] for _ in histories]
    for one in tested:
        by_series[one.series].append(one)
    used = [_gate(own, chosen) for own in by_series]
    final = _candidates(histories, setting)
    rows = [_errors(own, chosen, length) for own in by_series]
    scales = [scale_of(history[-members.RECENT :], 1) for history in histories]
    widths = half_widths(rows, scales, length, setting.level_percent / 100)
    if widths is not None:
        widths = [_lengthen(width, setting.horizon) for width in widths]
    made = tuple(
        _finish(_pick(final[place], used[place]), None if widths is None else widths[place], used[place], setting)
        for place in range(len(histories))
    )
    return Outcome(made, chosen, losses, None, sum(one != chosen for one in used), len(tested))


def _candidates(histories: Sequence[Values], setting: Setting) -> list[_Made]:
    """All candidates' forecasts, for each series those that can be had."""
    kept = max(members.RECENT, _SEASONS_KEPT * setting.season)
    found: list[_Made] = []
    for history in histories:
        made: _Made = {NAIVE: members.naive(history, setting.horizon)}
        made[SEASONAL] = members.seasonal_naive(history, setting.horizon, setting.season)
        if setting.plain:
            made["Smoothing"] = members.smoothing(history[-kept:], setting.horizon)
        else:
            made |= members.forecast_members(history[-kept:], setting.horizon, setting.season)
        found.append(made)
    if setting.plain:
        return found
    learned = members.forecast_with_trees(histories, setting.horizon, setting.season)
    for made, values in zip(found, learned or (), strict=bool(learned)):
        made[_TREES] = values
        made |= {f"{name} and {_TREES}": (made[name] + values) / 2 for name in _BLENDED if name in made}
    return found


def _window(histories: Sequence[Values], setting: Setting) -> int:
    """Steps of a window of the back-test: the horizon, or fewer where half of the histories are too short for that."""
    middle = sorted(len(history) for history in histories)[len(histories) // 2]
    return max(1, min(setting.horizon, (middle - _SHORTEST) // setting.windows))


def _back_test(histories: Sequence[Values], setting: Setting, length: int) -> list[_Tested]:
    """The last windows of each history that is long enough, forecast from what came before."""
    tested, shorter = [], replace(setting, horizon=length)
    for window in range(1, setting.windows + 1):
        cut = window * length
        places = [place for place, history in enumerate(histories) if len(history) - cut >= _SHORTEST]
        if not places:
            break
        past = [histories[place][:-cut] for place in places]
        for place, before, made in zip(places, past, _candidates(past, shorter), strict=True):
            actual = histories[place][len(before) : len(before) + length]
            tested.append(_Tested(place, actual, scale_of(before, setting.season), made))
    return tested


def _losses(tested: Sequence[_Tested]) -> dict[str, float]:
    """The loss of each candidate over all windows; where it has none, its stand-in's counts."""
    names = sorted({name for one in tested for name in one.made})
    return {
        name: float(np.mean([np.abs(_pick(one.made, name) - one.actual).mean() / one.scale for one in tested]))
        for name in names
    }


def _pick(made: _Made, name: str) -> Values:
    """A candidate's forecast; where a series has none of it, that of the candidate's statistical part, or the naive."""
    for one in (name, name.partition(" and ")[0], "Median"):
        if one in made:
            return made[one]
    return made[SEASONAL]


def _gate(own: Sequence[_Tested], chosen: str) -> str:
    """What a series is forecast by: the chosen candidate, unless a naive forecast did better in its own windows."""
    names = (chosen, NAIVE, SEASONAL)  # the first of equally good ones counts
    return min(names, key=lambda name: sum(float(np.abs(_pick(one.made, name) - one.actual).sum()) for one in own))


def _errors(own: Sequence[_Tested], chosen: str, horizon: int) -> Values:
    """A row of absolute errors for each window, by what the gate makes of the other windows: an error of what was
    selected for being small in this very window would be too small."""
    found = np.empty((len(own), horizon))
    for place, one in enumerate(own):
        name = _gate([*own[:place], *own[place + 1 :]], chosen)
        found[place] = np.abs(one.actual - _pick(one.made, name))
    return found


def _lengthen(width: Values, horizon: int) -> Values:
    """Beyond the windows of the back-test, intervals widen like those of a random walk."""
    length = len(width)
    further = width[-1] * np.sqrt(np.arange(length + 1, horizon + 1) / length)
    return np.concatenate([width, further])


def _finish(mean: Values, width: Values | None, method: str, setting: Setting) -> Forecast:
    made = np.maximum(mean, 0.0) if setting.counts else mean
    if width is None:
        return Forecast(made, None, None, method, "too short a history for an interval")
    low = made - width
    return Forecast(made, np.maximum(low, 0.0) if setting.counts else low, made + width, method)


# What decides a forecast's figures, in text and integers: the document of a forecast names its model by the hash of
# this.

_METHOD = "millmark.demand"
_PACKAGES, _PLAIN = ("lightgbm", "numpy", "statsforecast"), ("numpy",)
_VERSION = 1
"""Counted up with every change of the method."""


def describe(outcome: Outcome, setting: Setting) -> dict[str, str | int | dict[str, str]]:
    sparse = outcome.intermittent
    return {
        "method": f"{_METHOD}.plain" if setting.plain else _METHOD,
        "version": _VERSION,
        "regular": outcome.chosen,
        "intermittent": "" if sparse is None else f"{sparse.mean}; quantiles of {sparse.quantiles}",
        "packages": {name: _version(name) for name in (_PLAIN if setting.plain else _PACKAGES)},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
