"""What a company's own orders say about preferences: shares of options, and what buyers would pay or wait for.

The choices stay in the company's database. What is kept and shown is the aggregate: shares in whole per cent, and only
of options that enough orders chose among.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json, canonical_json, parse_json, sha256
from millmark.ledger.products import ChoiceOption, Product
from millmark.ledger.store import Connection
from millmark.services.planning.forecast import document
from millmark.services.planning.forecast.repository import ForecastRepository, PreferenceRow

FORMAT: Final = "millmark.preferences"
_TAG: Final = b"millmark.preferences.v1\0"
SMALLEST_GROUP: Final = 10
"""Orders, below which nothing is said of an option: its values count as equally likely, as the catalogue has them."""
_PER_CENT: Final = 10_000
_MAX_BYTES: Final = 1 << 18

Shares = Mapping[str, Mapping[str, int]]
"""For each option of a product, the share of each of its values in millionths."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What customers prefer of one product's options."""

    product: str
    cut: document.Cut
    orders: int
    shares: Shares
    """Those of an option add up to a million."""
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
    shares: Shares


def learn_preferences(history: document.History) -> list[Preferences]:
    """For each product whose document is here. Needs torch where at least one option has enough orders: raises
    QualityError otherwise."""
    return [_learn(history, product) for _, product in sorted(history.products.items())]


def keep_preferences(connection: Connection, learned: Sequence[Preferences]) -> None:
    """Keeps the aggregates, in place of earlier ones."""
    for one in learned:
        text = canonical_json(one.to_json()).decode()
        ForecastRepository(connection).put_preferences(PreferenceRow(one.product, one.cut.block, text))


def read_shares(connection: Connection) -> dict[str, Shares]:
    """The shares that are kept, by product."""
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


def order_options(product: Product, shares: Shares) -> dict[str, tuple[str, ...]]:
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
    shares = {option.key: _round([1.0] * len(option.values), option) for option in options}
    worth: dict[str, tuple[int, int]] = {}
    if enough:
        from millmark.services.planning.forecast.learning import learn_options  # noqa: PLC0415 - numpy and torch are extras

        predicted, worth, told = learn_options(product, enough, orders)
        shares |= {option.key: _round(predicted[option.key], option) for option in enough}
        notes += told
    return Preferences(product.product, history.cut, len(orders), shares, worth, tuple(notes))


def _round(parts: Sequence[float], option: ChoiceOption) -> dict[str, int]:
    """In whole per cent: finer ones would tell single orders apart."""
    return {value: count * _PER_CENT for value, count in zip(option.values, split(100, parts), strict=True)}


def split(count: int, parts: Sequence[float]) -> list[int]:
    """Divides `count` into whole numbers in the ratio of the parts: largest remainders, the earlier of equals first."""
    whole = sum(parts)
    exact = [count * part / whole for part in parts] if whole > 0 else [count / len(parts)] * len(parts)
    found = [int(one) for one in exact]
    rest = sorted(range(len(parts)), key=lambda place: (found[place] - exact[place], place))
    for place in rest[: count - sum(found)]:
        found[place] += 1
    return found
