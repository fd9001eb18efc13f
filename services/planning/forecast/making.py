"""Makes a forecast: series from the history, the statistics of `millmark.quality.demand`, preferences, whole numbers
that add up."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from millmark.ledger.canonical import Json, canonical_json, parse_json, sha256, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.products import Choice, ChoiceOption, Product, ValueSet
from millmark.ledger.store import Connection
from millmark.ledger.store.rows import ChainIdentityRow
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast import document
from millmark.services.planning.forecast.repository import ForecastRepository, PreferenceRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from millmark.quality.demand import Forecast, Outcome, Setting
    from millmark.quality.preference import Choices, Fitted


# What a company's own orders say about preferences: shares of options, and what buyers would pay or wait for.
# Every option that has a list of values is one choice in every order: among its values, at their prices, with the work
# that each adds, and with the CO2e and the lead time that the product states for them. One logit model over all of them
# has a coefficient for each of these, the same for all options, and a constant for each value, held back towards zero
# (`millmark.quality.preference`).
#
# The choices stay in the company's database. What is kept and shown is the aggregate: shares in whole per cent, and
# only of options that enough orders chose among.

FORMAT: Final = "millmark.preferences"
_TAG: Final = b"millmark.preferences.v1\0"
SMALLEST_GROUP: Final = 10
"""Orders, below which nothing is said of an option: its values count as equally likely, as the catalogue has them."""
_MILLION: Final = 1_000_000
_PER_CENT: Final = 10_000
_MAX_BYTES: Final = 1 << 18
_PRICE = "price"
_WORTH: Final = {
    "minutes": (1, "minute of work"),
    "co2e_mg": (1_000_000, "kg of CO2e"),
    "lead_hours": (1, "hour of lead time"),
}
"""Attributes that buyers may pay to have less of: in how many of their units what they are worth is told, and the
word for that."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What customers prefer of one product's options."""

    product: str
    cut: document.Cut
    orders: int
    shares: Mapping[str, Mapping[str, int]]
    """By option and value, in millionths; those of an option add up to a million."""
    worth: Mapping[str, tuple[int, int]]
    """By unit, such as `kg of CO2e`: what one less of it is worth, in thousandths of the price's unit, and the standard
    error. Only what the orders determine is in it."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "version": 1,
            "product": self.product,
            "cut": {"block": self.cut.block, "hash": f"0x{self.cut.hash.hex()}", "time": self.cut.time_s},
            "orders": self.orders,
            "shares_ppm": {option: dict(values) for option, values in self.shares.items()},
            "worth_thousandths": {
                unit: {"value": value, "standard_error": error} for unit, (value, error) in self.worth.items()
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class KeptPreferences:
    """What is kept of one product."""

    cut_block: int
    """Up to which orders were learned from."""
    digest: bytes
    """SHA-256(`millmark.preferences.v1\\0` || canonical JSON of `Preferences.to_json`)."""
    shares: Mapping[str, Mapping[str, int]]
    """As in `Preferences`."""


def learn_preferences(history: document.History) -> list[Preferences]:
    """For each product whose document is here. Needs torch where at least one option has enough orders: raises
    QualityError otherwise."""
    return [_learn(history, product) for _, product in sorted(history.products.items())]


def keep_preferences(connection: Connection, learned: Sequence[Preferences]) -> None:
    """Keeps the aggregates, in place of earlier ones."""
    for one in learned:
        text = canonical_json(one.to_json()).decode()
        ForecastRepository(connection).put_preferences(PreferenceRow(one.product, one.cut.block, text))


def read_shares(connection: Connection) -> dict[str, Mapping[str, Mapping[str, int]]]:
    """The shares that are kept: by product, option and value, in millionths."""
    return {product: kept.shares for product, kept in read_preferences(connection).items()}


def read_preferences(connection: Connection, cut: document.Cut | None = None) -> dict[str, KeptPreferences]:
    """What is kept, by product; with a cut, only what was learned from no later orders."""
    rows = ForecastRepository(connection).all_preferences()
    return {row.product: _read(row) for row in rows if cut is None or row.cut_block <= cut.block}


def _read(row: PreferenceRow) -> KeptPreferences:
    text = row.document.encode()
    value = parse_json(text, max_bytes=_MAX_BYTES, max_depth=6)
    shares = value["shares_ppm"] if isinstance(value, dict) else {}
    parsed = {
        str(option): {str(key): int(str(share)) for key, share in values.items()}
        for option, values in (shares.items() if isinstance(shares, Mapping) else ())
        if isinstance(values, Mapping)
    }
    return KeptPreferences(row.cut_block, sha256(_TAG + text), parsed)


def order_options(product: Product, shares: Mapping[str, Mapping[str, int]]) -> dict[str, tuple[str, ...]]:
    """The values of each option that has a list of them, the most wanted first; as the product has them where no share
    is known, and where shares are equal."""
    return {
        option.key: tuple(sorted(option.values, key=lambda value: -shares.get(option.key, {}).get(value, 0)))
        for option in product.options
        if isinstance(option, ChoiceOption)
    }


def _learn(history: document.History, product: Product) -> Preferences:
    orders = [one for one in history.orders if one.product == product.product]
    options = [option for option in product.options if isinstance(option, ChoiceOption) and len(option.values) > 1]
    counts = {option.key: sum(one.options.get(option.key) in option.values for one in orders) for option in options}
    enough = [option for option in options if counts[option.key] >= SMALLEST_GROUP]
    notes = [
        f"{option.key}: fewer than {SMALLEST_GROUP} orders, so its values count as equally likely"
        for option in options
        if option not in enough
    ]
    shares: dict[str, dict[str, int]] = {option.key: _equal(option.values) for option in options}
    worth: dict[str, tuple[int, int]] = {}
    if enough:
        from millmark.quality.preference.logit import fit_logit  # noqa: PLC0415 - torch is an extra

        choices, starts = _choices(product, enough, orders)
        constants = [name for name in choices.names if name not in (_PRICE, *_WORTH)]
        fitted = fit_logit(choices, held_back=constants)
        shares |= _shares(fitted, choices, enough, starts)
        worth = _worth(fitted)
        notes += [note for note in fitted.notes if not note.startswith(tuple(constants))]
    return Preferences(product.product, history.cut, len(orders), shares, worth, tuple(notes))


def _equal(values: Sequence[str]) -> dict[str, int]:
    return _rounded([1.0] * len(values), values)


def _rounded(parts: Sequence[float], values: Sequence[str]) -> dict[str, int]:
    """In whole per cent, by largest remainders: finer ones would tell single orders apart."""
    whole = sum(parts)
    exact = [100 * part / whole for part in parts]
    found = [int(one) for one in exact]
    rest = sorted(range(len(parts)), key=lambda place: (found[place] - exact[place], place))
    for place in rest[: 100 - sum(found)]:
        found[place] += 1
    return {value: count * _PER_CENT for value, count in zip(values, found, strict=True)}


def _choices(
    product: Product, options: Sequence[ChoiceOption], orders: Sequence[document.Ordered]
) -> tuple[Choices, Mapping[str, int]]:
    """Each option of each order as a choice, and where each option's choices begin."""
    import numpy as np  # noqa: PLC0415 - an extra

    from millmark.quality.preference import build_choices  # noqa: PLC0415 - as above

    constants = [(option.key, value) for option in options for value in option.values[1:]]
    stated = _stated(options)
    attributes = (_PRICE, *stated)
    names = (*attributes, *(f"{key}={value}" for key, value in constants))
    most = max(len(option.values) for option in options)
    rows: list[NDArray[np.int64]] = []
    there: list[list[bool]] = []
    taken: list[int] = []
    people: list[int] = []
    starts: dict[str, int] = {}
    for option in options:
        starts[option.key] = len(rows)
        block = np.zeros((most, len(names)), dtype=np.int64)
        for place, choice in enumerate(option.choices):
            block[place, 0] = choice.price
            for number, name in enumerate(stated, 1):
                block[place, number] = _attribute(product, option.key, choice, name)
            if place:
                block[place, len(attributes) + constants.index((option.key, choice.value))] = 1
        for number, one in enumerate(orders):
            if one.options.get(option.key) in option.values:
                rows.append(block)
                there.append([place < len(option.values) for place in range(most)])
                taken.append(option.values.index(one.options[option.key]))
                people.append(number)
    whole = np.abs(np.array(rows)).max(axis=(0, 1))
    scales = *(max(1, int(one)) for one in whole[: len(attributes)]), *(1 for _ in constants)
    made = build_choices(np.array(rows), np.array(there), np.array(taken), names, scales, np.array(people))
    return made, starts


def _stated(options: Sequence[ChoiceOption]) -> list[str]:
    """Work, and what else the product states of at least one value."""
    choices = [choice for option in options for choice in option.choices]
    return [name for name in _WORTH if name == "minutes" or any(getattr(one, name) is not None for one in choices)]


def _attribute(product: Product, option: str, choice: Choice, name: str) -> int:
    """What is not stated of a value counts as nothing added: its constant has the rest."""
    return _work_of_value(product, option, choice.value) if name == "minutes" else getattr(choice, name) or 0


def _work_of_value(product: Product, option: str, value: str) -> int:
    """Minutes of the steps that this value calls for, and another one of the same option would not."""
    found = 0
    for step in product.route:
        domain = None if step.when is None else step.when.get(option)
        if isinstance(domain, ValueSet) and value in domain.values:
            found += step.minutes
    return found


def _shares(
    fitted: Fitted, choices: Choices, options: Sequence[ChoiceOption], starts: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    found = {}
    for option in options:
        predicted = fitted.shares(choices.pick([starts[option.key]]))[0]
        found[option.key] = _rounded([float(one) for one in predicted[: len(option.values)]], option.values)
    return found


def _worth(fitted: Fitted) -> dict[str, tuple[int, int]]:
    """What less of an attribute is worth, where more of it, and a higher price, make a value less wanted: no other
    ratio is a price."""
    found = {}
    for name, (units, word) in _WORTH.items():
        if name not in fitted.names or fitted.coefficients[fitted.names.index(name)] >= 0:
            continue
        if fitted.coefficients[fitted.names.index(_PRICE)] >= 0:
            continue
        try:
            ratio = fitted.ratio(name, _PRICE)
        except InputError:
            continue
        if ratio.error is not None:
            found[word] = round(ratio.value * 1000 * units), round(ratio.error * 1000 * units)
    return found


# What forecast quantities need of machines

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
_PPM: Final = 1_000_000

Shares = Mapping[str, Mapping[str, int]]
"""For each option of a product, the share of each of its values in millionths."""


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
    preferences: Mapping[str, KeptPreferences] | None = None,
    *,
    plain: bool = False,
) -> document.ForecastDocument:
    """Forecasts the week of the cut, which has not ended, and those after it.

    `preferences`: by product, how a model of preferences splits its demand by option; the others are split by their
    history. `plain`: by naive forecasts and smoothing alone, which need no package but numpy. Raises ForecastError
    where no order counts, QualityError if a package is missing that the history needs, and InputError for preferences
    that were learned from orders after the cut.
    """
    from millmark.quality.demand import Setting, forecast_demand  # noqa: PLC0415 - needs numpy, which others do not

    if not 1 <= weeks <= document.MAX_WEEKS:
        raise ForecastError(f"a forecast covers 1 to {document.MAX_WEEKS} weeks, not {weeks}")
    if not history.orders:
        raise ForecastError("no order counts up to this block", hint=_why(history))
    kept = preferences or {}
    if any(one.cut_block > history.cut.block for one in kept.values()):
        raise InputError("preferences were learned from orders after the cut", hint="leave them out")
    now = document.week_of(history.cut.time_s)
    counted = _count(history, now)
    long = max(len(counts) for counts in counted.values()) >= _SMALLEST_SEASONAL
    setting = Setting(weeks, (SEASON_WEEKS,) if long else (1,), level_percent, plain=plain)
    keys = list(counted)
    outcome = forecast_demand([_array(counted[key]) for key in keys], setting)
    made = dict(zip(keys, outcome.forecasts, strict=True))
    series = tuple(_bring_in_line(made, counted, {product: one.shares for product, one in kept.items()}))
    split = {one.key.product for one in series if one.split == "preferences"}
    return document.ForecastDocument(
        chain_id=identity.chain_id,
        ledger=identity.ledger,
        cut=history.cut,
        first_week=now,
        weeks=weeks,
        level_percent=level_percent,
        orders=len(history.orders),
        left_out=dict(sorted(history.left_out.items())),
        model=_model(setting, outcome, {product: kept[product] for product in sorted(split)}),
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


def _array(counts: Sequence[int]):  # type: ignore[no-untyped-def]  # an array of numpy, which is imported late
    import numpy as np  # noqa: PLC0415 - an extra

    return np.array(counts, dtype=np.float64)


def _bring_in_line(
    made: Mapping[document.Key, Forecast], counted: Mapping[document.Key, Sequence[int]], shares: Mapping[str, Shares]
) -> list[document.SeriesForecast]:
    """For each product its total, then its options: the values of an option that all orders chose among add up to it
    in every week."""
    options: defaultdict[document.Key, dict[str, list[document.Key]]] = defaultdict(dict)
    for key in made:
        if key.option:
            options[key.of_product].setdefault(key.option, []).append(key)
    found = []
    for key in (one for one in made if not one.option):
        given = shares.get(key.product, {})
        shared = {name for name, keys in options[key].items() if _fits(given.get(name), keys)}
        whole = {name for name, keys in options[key].items() if name not in shared and _add_up(counted, key, keys)}
        total, parts = _reconcile(made, key, {name: keys for name, keys in options[key].items() if name in whole})
        found.append(_series(key, made[key], counted, total, "total"))
        for name, keys in options[key].items():
            if name in shared:
                wholes = _by_shares(total, [given[name][one.value] for one in keys])
                pairs = zip(keys, wholes, strict=True)
                found += [_series(one, made[one], counted, part, "preferences") for one, part in pairs]
            elif name in whole:
                found += [_series(one, made[one], counted, parts[one], "history") for one in keys]
            else:
                found += [_series(one, made[one], counted, _alone(made[one]), "none") for one in keys]
    return found


def _add_up(counted: Mapping[document.Key, Sequence[int]], total: document.Key, keys: Sequence[document.Key]) -> bool:
    """Whether every order chose a value of the option: some may be of a time when the product did not have it."""
    return tuple(map(sum, zip(*(counted[key] for key in keys), strict=True))) == tuple(counted[total])


def _alone(forecast: Forecast) -> _Whole:
    return _interval(spread([float(one) for one in forecast.mean]), forecast)


def _fits(given: Mapping[str, int] | None, keys: Sequence[document.Key]) -> bool:
    """Whether shares are of exactly the values that are to be split."""
    return given is not None and given.keys() == {key.value for key in keys} and sum(given.values()) > 0


def _series(
    key: document.Key, forecast: Forecast, counted: Mapping[document.Key, Sequence[int]], whole: _Whole, split: str
) -> document.SeriesForecast:
    return document.SeriesForecast(
        key, len(counted[key]), forecast.method, forecast.note, split, whole.quantities, whole.low, whole.high
    )


def _reconcile(
    made: Mapping[document.Key, Forecast], total: document.Key, options: Mapping[str, Sequence[document.Key]]
) -> tuple[_Whole, dict[document.Key, _Whole]]:
    """The nearest figures that add up, then whole numbers of them."""
    from millmark.quality.demand.measures import reconcile  # noqa: PLC0415 - needs numpy, which others do not

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


def _by_shares(total: _Whole, shares: Sequence[int]) -> list[_Whole]:
    """Splits a total, and the ends of its interval, between several by their shares."""
    parts = [list(map(float, shares)) for _ in total.quantities]
    columns = [_split(count, part) for count, part in zip(total.quantities, parts, strict=True)]
    whole = sum(shares)
    found = []
    for place, share in enumerate(shares):
        quantities = tuple(column[place] for column in columns)
        low = high = None
        if total.low is not None and total.high is not None:
            low = tuple(min(one * share // whole, count) for one, count in zip(total.low, quantities, strict=True))
            high = tuple(
                max(-(-one * share // whole), count) for one, count in zip(total.high, quantities, strict=True)
            )
        found.append(_Whole(quantities, low, high))
    return found


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


def _model(setting: Setting, outcome: Outcome, preferences: Mapping[str, KeptPreferences]) -> dict[str, Json]:
    """Names everything that decides the figures: the method's version, its packages, what was chosen, and the
    preferences that split a total."""
    from millmark.quality.demand.engine import describe  # noqa: PLC0415 - needs numpy, which others do not

    named: dict[str, Json] = {"seasons": list(setting.seasons), "python": platform.python_version()}
    used: dict[str, Json] = {
        product: {"cut_block": one.cut_block, "digest": to_hex(one.digest)} for product, one in preferences.items()
    }
    return {**named, **describe(outcome, setting), "preferences": used}


def _back_test(outcome: Outcome) -> document.BackTest:
    sparse = outcome.intermittent
    losses = {name: round(loss * 1000) for name, loss in sorted(outcome.losses.items())}
    pinballs = (
        {} if sparse is None else {one: round(loss * 1000) for one, loss in sorted(sparse.quantile_losses.items())}
    )
    return document.BackTest(outcome.chosen, outcome.windows, outcome.gated, losses, pinballs)


def _why(history: document.History) -> str:
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(history.left_out.items()))
    return f"left out: {left}" if left else "this company is part of no order yet"
