"""Forecasts a set of series: candidates, back-test, choice, gate, intervals.

1. A series that is too short or never changes is forecast by its last value; one that was never wanted by zero.
2. Intermittent demand goes to `millmark.quality.demand.intermittent`.
3. For the others, every candidate forecasts the last windows of each history from what came before them. The one with
   the least mean scaled error over the set is used for all of it: one series alone says too little.
4. Gate: a series of which the chosen candidate was worse in its own back-test than the (seasonal) naive forecast is
   forecast by that one.
5. Intervals are conformal, from the errors of the back-test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from millmark.quality.demand import intermittent, members, trees
from millmark.quality.demand.conformal import half_widths
from millmark.quality.demand.measures import Values, scale_of
from millmark.quality.errors import InputError
from millmark.quality.notes import Note

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
    seasons: tuple[int, ...] = (1,)
    """Lengths of the seasons in steps; 1 for none."""
    level_percent: int = 80
    """Level of the intervals."""
    windows: int = 3
    """Most windows of the back-test."""
    counts: bool = True
    """Whether the values are quantities: never below zero, and zero in weeks without demand."""
    plain: bool = False
    """Whether only what numpy computes is tried: naive, seasonal naive and smoothing, the past mean of rare demand."""

    def __post_init__(self) -> None:
        if not (1 <= self.horizon <= 520 and self.seasons and all(1 <= one <= 10_000 for one in self.seasons)):
            raise InputError("horizon or season is out of range", hint="horizon 1 to 520, seasons 1 to 10000 steps")
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
    intermittent: intermittent.Choice | None = None
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


def forecast_demand(histories: Sequence[Values], setting: Setting, known: Sequence[Values] | None = None) -> Outcome:
    """Forecasts each history; values are one for each step, the latest last.

    `known`: covariates for each series, a row for each step of history and horizon. Raises InputError for a history
    that is empty or not finite, for missing covariates, and if a package is missing that these histories need.
    """
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
        intermittent.choose([histories[one] for one in sparse], setting.horizon, setting.windows, plain=setting.plain)
        if sparse
        else None
    )
    if choice is not None:
        found |= {place: _sparse(histories[place], setting, choice) for place in sparse}
    regular = [place for place, kind in enumerate(kinds) if kind == "regular"]
    outcome = _forecast_regular(
        [histories[one] for one in regular], setting, None if known is None else [known[one] for one in regular]
    )
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
    return "intermittent" if setting.counts and intermittent.is_intermittent(history) else "regular"


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


def _sparse(history: Values, setting: Setting, choice: intermittent.Choice) -> Forecast:
    mean = intermittent.forecast_mean(history, setting.horizon, choice.mean)
    interval = intermittent.forecast_interval(history, choice.quantiles, setting.level_percent / 100)
    steps, method = setting.horizon, f"{choice.mean}; quantiles of {choice.quantiles}"
    made = np.repeat(mean, steps)
    if interval is None:
        return Forecast(made, None, None, method, Note.SPARSE_SHORT.write())
    low, high = np.repeat(min(interval[0], mean), steps), np.repeat(max(interval[1], mean), steps)
    return Forecast(made, low, high, method, Note.SPARSE.write())


def _forecast_regular(histories: Sequence[Values], setting: Setting, known: Sequence[Values] | None) -> Outcome:
    if not histories:
        return Outcome((), NAIVE)
    length = _window(histories, setting)
    tested = _back_test(histories, setting, length, known)
    losses = _losses(tested)
    chosen = min(losses, key=lambda name: losses[name], default=NAIVE)
    by_series: list[list[_Tested]] = [[] for _ in histories]
    for one in tested:
        by_series[one.series].append(one)
    used = [_gate(own, chosen) for own in by_series]
    final = _candidates(histories, setting, known)
    rows = [_errors(own, chosen, length) for own in by_series]
    scales = [scale_of(history[-trees.RECENT :], 1) for history in histories]
    widths = half_widths(rows, scales, length, setting.level_percent / 100)
    if widths is not None:
        widths = [_lengthen(width, setting.horizon) for width in widths]
    made = tuple(
        _finish(_pick(final[place], used[place]), None if widths is None else widths[place], used[place], setting)
        for place in range(len(histories))
    )
    return Outcome(made, chosen, losses, None, sum(one != chosen for one in used), len(tested))


def _candidates(histories: Sequence[Values], setting: Setting, known: Sequence[Values] | None) -> list[_Made]:
    """All candidates' forecasts, for each series those that can be had."""
    kept = max(trees.RECENT, _SEASONS_KEPT * max(setting.seasons))
    found: list[_Made] = []
    for history in histories:
        made: _Made = {NAIVE: members.naive(history, setting.horizon)}
        made[SEASONAL] = members.seasonal_naive(history, setting.horizon, max(setting.seasons))
        if setting.plain:
            made["Smoothing"] = members.smoothing(history[-kept:], setting.horizon)
        else:
            made |= members.forecast_members(history[-kept:], setting.horizon, setting.seasons)
        found.append(made)
    if setting.plain:
        return found
    learned = trees.forecast_with_trees(histories, setting.horizon, setting.seasons, known)
    for made, values in zip(found, learned or (), strict=bool(learned)):
        made[_TREES] = values
        made |= {f"{name} and {_TREES}": (made[name] + values) / 2 for name in _BLENDED if name in made}
    return found


def _window(histories: Sequence[Values], setting: Setting) -> int:
    """Steps of a window of the back-test: the horizon, or fewer where half of the histories are too short for that."""
    middle = sorted(len(history) for history in histories)[len(histories) // 2]
    return max(1, min(setting.horizon, (middle - _SHORTEST) // setting.windows))


def _back_test(
    histories: Sequence[Values], setting: Setting, length: int, known: Sequence[Values] | None
) -> list[_Tested]:
    """The last windows of each history that is long enough, forecast from what came before."""
    tested, shorter = [], replace(setting, horizon=length)
    for window in range(1, setting.windows + 1):
        cut = window * length
        places = [place for place, history in enumerate(histories) if len(history) - cut >= _SHORTEST]
        if not places:
            break
        past = [histories[place][:-cut] for place in places]
        extra = None
        if known is not None:
            extra = [known[place][: len(one) + length] for place, one in zip(places, past, strict=True)]
        for place, before, made in zip(places, past, _candidates(past, shorter, extra), strict=True):
            actual = histories[place][len(before) : len(before) + length]
            tested.append(_Tested(place, actual, scale_of(before, max(setting.seasons)), made))
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
