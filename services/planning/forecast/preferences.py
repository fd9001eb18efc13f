"""What a company's own orders say about preferences: shares of options, and what buyers would pay or wait for.

Every option that has a list of values is one choice in every order: among its values, at their prices, with the work
that each adds, and with the CO2e and the lead time that the product states for them. One logit model over all of them
has a coefficient for each of these, the same for all options, and a constant for each value, held back towards zero
(`millmark.quality.preference`).

The choices stay in the company's database. What is kept and shown is the aggregate: shares in whole per cent, and only
of options that enough orders chose among.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millmark.ledger.canonical import Json, canonical_json, parse_json, sha256
from millmark.ledger.errors import InputError
from millmark.ledger.products import Choice, ChoiceOption, Product, ValueSet
from millmark.ledger.store import Connection
from millmark.services.planning.forecast.history import Cut, History, Ordered
from millmark.services.planning.forecast.repository import ForecastRepository, PreferenceRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from millmark.quality.preference import Choices, Fitted

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
    cut: Cut
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


def learn_preferences(history: History) -> list[Preferences]:
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


def read_preferences(connection: Connection, cut: Cut | None = None) -> dict[str, KeptPreferences]:
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


def _learn(history: History, product: Product) -> Preferences:
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
    product: Product, options: Sequence[ChoiceOption], orders: Sequence[Ordered]
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
    return _work(product, option, choice.value) if name == "minutes" else getattr(choice, name) or 0


def _work(product: Product, option: str, value: str) -> int:
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
