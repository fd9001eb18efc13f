"""Makes a forecast: series from the history, the statistics of `millmark.quality.demand`, whole numbers that
add up. Needs numpy."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from millmark.ledger.canonical import Json
from millmark.ledger.store.rows import ChainIdentityRow
from millmark.quality.demand import Forecast, Outcome, Setting, forecast_demand
from millmark.quality.demand.engine import describe
from millmark.quality.demand.measures import reconcile
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast import document

_LATEST: Final = 500
"""Orders of a product whose work counts: what is ordered now is like what was ordered lately."""


def find_needed(
    history: document.History, series: Sequence[document.SeriesForecast], weeks: int
) -> Iterator[document.NeededCapacity]:
    """For each kind of capability the minutes of each week: quantities times the mean minutes of a piece over the
    product's latest orders, rounded up. Products whose documents are not here say nothing about work."""
    summed: defaultdict[str, list[list[int]]] = defaultdict(lambda: [[0] * weeks for _ in range(3)])
    for one in series:
        if one.key.option:
            continue
        pieces, minutes = _work(history, one.key)
        ends = one.quantities, one.low or one.quantities, one.high or one.quantities
        for kind, whole in minutes.items():
            for place, counts in enumerate(ends):
                for week, count in enumerate(counts):
                    summed[kind][place][week] += -(-count * whole // pieces)
    for kind, (needed, low, high) in sorted(summed.items()):
        yield document.NeededCapacity(kind, tuple(needed), tuple(low), tuple(high))


def _work(history: document.History, key: document.Key) -> tuple[int, dict[str, int]]:
    """Pieces of the latest orders, and the minutes of all of them by kind."""
    pieces, minutes = 0, defaultdict[str, int](int)
    orders = [one for one in history.orders if (one.product, one.unit) == (key.product, key.unit) and one.minutes]
    for one in orders[-_LATEST:]:
        pieces += one.quantity
        for kind, each in one.minutes.items():
            minutes[kind] += one.quantity * each
    return max(pieces, 1), dict(minutes)


SEASON_WEEKS: Final = 52
_SMALLEST_SEASONAL: Final = 2 * SEASON_WEEKS


@dataclass(frozen=True, slots=True)
class _Whole:
    """A series in whole numbers."""

    quantities: tuple[int, ...]
    low: tuple[int, ...] | None
    high: tuple[int, ...] | None


def make_forecast(
    history: document.History,
    identity: ChainIdentityRow,
    weeks: int,
    level_percent: int = 80,
    *,
    plain: bool = False,
) -> document.ForecastDocument:
    """Forecasts the week of the cut, which has not ended, and those after it.

    `plain`: by naive forecasts and smoothing alone, which need no package but numpy. Raises ForecastError where no
    order counts, and QualityError if a package is missing that the history needs.
    """
    if not 1 <= weeks <= document.MAX_WEEKS:
        raise ForecastError(f"a forecast covers 1 to {document.MAX_WEEKS} weeks, not {weeks}")
    if not history.orders:
        left = ", ".join(f"{count} {reason}" for reason, count in sorted(history.left_out.items()))
        hint = f"left out: {left}" if left else "this company is part of no order yet"
        raise ForecastError("no order counts up to this block", hint=hint)
    now = document.week_of(history.cut.time_s)
    counted = _count(history, now)
    long = max(len(counts) for counts in counted.values()) >= _SMALLEST_SEASONAL
    setting = Setting(weeks, SEASON_WEEKS if long else 1, level_percent, plain=plain)
    keys = list(counted)
    outcome = forecast_demand([np.array(counted[key], dtype=np.float64) for key in keys], setting)
    made = dict(zip(keys, outcome.forecasts, strict=True))
    series = tuple(_bring_in_line(made, counted))
    return document.ForecastDocument(
        ledger=document.LedgerName(identity.chain_id, identity.ledger),
        cut=history.cut,
        first_week=now,
        weeks=weeks,
        level_percent=level_percent,
        orders=len(history.orders),
        left_out=dict(sorted(history.left_out.items())),
        model=_model(setting, outcome),
        back_test=_back_test(outcome),
        series=series,
        capacity=tuple(find_needed(history, series, weeks)),
    )


def _count(history: document.History, now: date) -> dict[document.Key, tuple[int, ...]]:
    """Whole weeks from each product's first order on; one of zero where it was first ordered in the week of the cut."""
    first = min(one.week for one in history.orders)
    weeks = (now - first).days // 7
    counted = document.count_weeks(history, first, weeks)
    begins = {
        key: next((place for place, count in enumerate(counts) if count), weeks) for key, counts in counted.items()
    }
    return {key: counts[begins[key.of_product] :] or (0,) for key, counts in counted.items()}


def _bring_in_line(
    made: Mapping[document.Key, Forecast], counted: Mapping[document.Key, Sequence[int]]
) -> list[document.SeriesForecast]:
    """For each product its total, then its options: the values of an option that all orders chose among add up to it
    in every week."""
    options: defaultdict[document.Key, dict[str, list[document.Key]]] = defaultdict(dict)
    for key in made:
        if key.option:
            options[key.of_product].setdefault(key.option, []).append(key)
    found = []
    for key in (one for one in made if not one.option):
        whole = {name for name, keys in options[key].items() if _add_up(counted, key, keys)}
        total, parts = _reconcile(made, key, {name: keys for name, keys in options[key].items() if name in whole})
        found.append(_series(key, made[key], counted, total, "total"))
        for name, keys in options[key].items():
            if name in whole:
                found += [_series(one, made[one], counted, parts[one], "history") for one in keys]
            else:
                found += [_series(one, made[one], counted, _alone(made[one]), "none") for one in keys]
    return found


def _add_up(counted: Mapping[document.Key, Sequence[int]], total: document.Key, keys: Sequence[document.Key]) -> bool:
    """Whether every order chose a value of the option: some may be of a time when the product did not have it."""
    return tuple(map(sum, zip(*(counted[key] for key in keys), strict=True))) == tuple(counted[total])


def _alone(forecast: Forecast) -> _Whole:
    return _interval(spread([float(one) for one in forecast.mean]), forecast)


def _series(
    key: document.Key, forecast: Forecast, counted: Mapping[document.Key, Sequence[int]], whole: _Whole, split: str
) -> document.SeriesForecast:
    of, counts = (key.product, key.unit, key.option, key.value), (whole.quantities, whole.low, whole.high)
    return document.SeriesForecast(*of, len(counted[key]), forecast.method, forecast.note, split, *counts)


def _reconcile(
    made: Mapping[document.Key, Forecast], total: document.Key, options: Mapping[str, Sequence[document.Key]]
) -> tuple[_Whole, dict[document.Key, _Whole]]:
    """The nearest figures that add up, then whole numbers of them."""
    groups = list(options.values())
    top, parts = reconcile(made[total].mean, [[made[key].mean for key in keys] for keys in groups])
    quantities = spread([float(one) for one in top])
    found = {}
    for keys, values in zip(groups, parts, strict=True):
        columns = [_split(count, [float(one) for one in values[:, week]]) for week, count in enumerate(quantities)]
        for place, key in enumerate(keys):
            found[key] = _interval(tuple(column[place] for column in columns), made[key])
    return _interval(quantities, made[total]), found


def _interval(quantities: tuple[int, ...], forecast: Forecast) -> _Whole:
    """Whole ends outside of the interval's, that have the quantity between them."""
    if forecast.low is None or forecast.high is None:
        return _Whole(quantities, None, None)
    low = tuple(min(int(one // 1), count) for one, count in zip(forecast.low, quantities, strict=True))
    high = tuple(max(-int(-one // 1), count) for one, count in zip(forecast.high, quantities, strict=True))
    return _Whole(quantities, tuple(max(one, 0) for one in low), high)


def spread(values: Sequence[float]) -> tuple[int, ...]:
    """Whole numbers whose sums up to each week are nearest to those of the values: 0.3 a week is one piece in about
    three weeks, where rounding each week alone would leave none."""
    found, summed, given = [], 0.0, 0
    for value in values:
        summed += max(value, 0.0)
        count = max(int(summed + 0.5) - given, 0)
        given += count
        found.append(count)
    return tuple(found)


def _split(count: int, parts: Sequence[float]) -> list[int]:
    """Divides `count` into whole numbers in the ratio of the parts: largest remainders, the earlier of equals first."""
    whole = sum(parts)
    exact = [count * part / whole for part in parts] if whole > 0 else [count / len(parts)] * len(parts)
    found = [int(one) for one in exact]
    rest = sorted(range(len(parts)), key=lambda place: (found[place] - exact[place], place))
    for place in rest[: count - sum(found)]:
        found[place] += 1
    return found


def _model(setting: Setting, outcome: Outcome) -> dict[str, Json]:
    """Names everything that decides the figures: the method's version, its packages, and what was chosen."""
    named: dict[str, Json] = {"season": setting.season, "python": platform.python_version()}
    return {**named, **describe(outcome, setting)}


def _back_test(outcome: Outcome) -> document.BackTest:
    sparse = outcome.intermittent
    losses = {name: round(loss * 1000) for name, loss in sorted(outcome.losses.items())}
    pinballs = (
        {} if sparse is None else {one: round(loss * 1000) for one, loss in sorted(sparse.quantile_losses.items())}
    )
    return document.BackTest(outcome.chosen, outcome.windows, outcome.gated, losses, pinballs)
