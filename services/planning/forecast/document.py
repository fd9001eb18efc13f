"""The forecast as a document: integers and text, so that two programs write the same bytes of it.

    digest       SHA-256(`millmark.forecast.v1\\0` || canonical JSON)
    model hash   SHA-256(`millmark.forecast-model.v1\\0` || canonical JSON of the member model.text)

What is recorded of it is an entry in a stream of its company: `{"format": "millmark.forecast-seal", "version": 1,
"forecast": digest}`. FORECASTS.md has the members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_hex32, parse_json, sha256, to_hex
from millmark.ledger.errors import CanonicalError, InputError
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast.history import Cut, Key
from millmark.services.planning.forecast.weeks import parse_week, week_text, weeks_from

FORMAT: Final = "millmark.forecast"
MAX_BYTES: Final = 4 << 20
MAX_WEEKS: Final = 104
_TAG, _MODEL_TAG = b"millmark.forecast.v1\0", b"millmark.forecast-model.v1\0"
_DEPTH: Final = 8
_MEMBERS: Final = {
    "format", "version", "ledger", "cut", "first_week", "weeks", "level_percent", "orders", "left_out", "model",
    "back_test", "series", "capacity",
}  # fmt: skip
_SERIES: Final = {
    "product",
    "unit",
    "option",
    "value",
    "history_weeks",
    "method",
    "note",
    "split",
    "quantities",
    "low",
    "high",
}


@dataclass(frozen=True, slots=True)
class SeriesForecast:
    """The forecast of a product, or of one value of one of its options."""

    key: Key
    history_weeks: int
    method: str
    note: str
    """What was done instead of the usual, and why; empty otherwise."""
    split: str
    """How it was brought in line with its product: `total` for the product itself; `history`, `preferences`; or `none`
    where not all orders chose a value of the option."""
    quantities: tuple[int, ...]
    low: tuple[int, ...] | None
    """Lower ends of the intervals; None where the history is too short to say."""
    high: tuple[int, ...] | None

    def to_json(self) -> dict[str, Json]:
        key = self.key
        return {
            "product": key.product, "unit": key.unit, "option": key.option, "value": key.value,
            "history_weeks": self.history_weeks, "method": self.method, "note": self.note, "split": self.split,
            "quantities": list(self.quantities),
            "low": None if self.low is None else list(self.low),
            "high": None if self.high is None else list(self.high),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class BackTest:
    """How the candidates did on the last weeks of the history, from what came before them."""

    chosen: str
    windows: int
    naive_instead: int
    """Series for which the naive forecast is used, because it had done better."""
    losses: Mapping[str, int]
    """Mean scaled absolute error of each candidate for regular demand, in thousandths."""
    pinballs: Mapping[str, int]
    """Mean scaled pinball loss of each candidate for intermittent demand, in thousandths."""

    def to_json(self) -> dict[str, Json]:
        return {
            "chosen": self.chosen,
            "windows": self.windows,
            "naive_instead": self.naive_instead,
            "loss_permille": dict(self.losses),
            "pinball_permille": dict(self.pinballs),
        }


@dataclass(frozen=True, slots=True)
class NeededCapacity:
    """What the forecast quantities need of one kind of capability, in minutes of work in each week."""

    kind: str
    minutes: tuple[int, ...]
    low: tuple[int, ...]
    """For the lower ends of the products' intervals; the quantities themselves where there are none."""
    high: tuple[int, ...]

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "minutes": list(self.minutes), "low": list(self.low), "high": list(self.high)}


@dataclass(frozen=True, slots=True)
class ForecastDocument:
    chain_id: int
    ledger: bytes
    """Address of the ledger, 20 bytes."""
    cut: Cut
    first_week: date
    """Monday of the first week that is forecast: the one of the cut, which had not ended."""
    weeks: int
    level_percent: int
    """Level of the intervals."""
    orders: int
    """That count."""
    left_out: Mapping[str, int]
    model: Mapping[str, Json]
    """What was used, in text and integers."""
    back_test: BackTest
    series: tuple[SeriesForecast, ...]
    capacity: tuple[NeededCapacity, ...] = ()
    """What owners of machines are told: nothing of products or options."""

    @property
    def digest(self) -> bytes:
        return sha256(_TAG + self.to_bytes())

    @property
    def mondays(self) -> tuple[date, ...]:
        return weeks_from(self.first_week, self.weeks)

    def totals(self) -> tuple[SeriesForecast, ...]:
        """The series of whole products."""
        return tuple(one for one in self.series if not one.key.option)

    def options_of(self, total: Key) -> tuple[SeriesForecast, ...]:
        return tuple(one for one in self.series if one.key.option and one.key.of_product == total)

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "version": 1,
            "ledger": {"chain_id": self.chain_id, "ledger": to_hex(self.ledger)},
            "cut": {"block": self.cut.block, "hash": to_hex(self.cut.hash), "time": self.cut.time_s},
            "first_week": week_text(self.first_week),
            "weeks": self.weeks,
            "level_percent": self.level_percent,
            "orders": self.orders,
            "left_out": dict(self.left_out),
            "model": {"hash": to_hex(model_hash(self.model)), "text": self.model},
            "back_test": self.back_test.to_json(),
            "series": [one.to_json() for one in self.series],
            "capacity": [one.to_json() for one in self.capacity],
        }

    def to_bytes(self) -> bytes:
        return canonical_json(self.to_json())


def model_hash(model: Mapping[str, Json]) -> bytes:
    return sha256(_MODEL_TAG + canonical_json(model))


def seal_of(digest: bytes) -> dict[str, Json]:
    """The entry that commits to a forecast."""
    return {"format": "millmark.forecast-seal", "version": 1, "forecast": to_hex(digest)}


def parse_forecast(data: bytes) -> ForecastDocument:
    """Raises ForecastError."""
    try:
        value = parse_json(data, max_bytes=MAX_BYTES, max_depth=_DEPTH)
        made = _parse(value)
    except (CanonicalError, InputError, KeyError, TypeError, ValueError) as error:
        raise ForecastError(f"the forecast is malformed: {getattr(error, 'cause', error)}") from None
    if made.to_bytes() != canonical_json(value):
        raise ForecastError("the forecast is malformed: its members do not go together")
    return made


def _parse(value: Any) -> ForecastDocument:
    if not isinstance(value, dict) or value.keys() != _MEMBERS or (value["format"], value["version"]) != (FORMAT, 1):
        raise ForecastError("the forecast is malformed: it is not one of version 1", hint="update this program")
    cut, ledger, weeks = value["cut"], value["ledger"], _count(value["weeks"])
    if not 1 <= weeks <= MAX_WEEKS:
        raise ValueError("it has no weeks, or too many")
    return ForecastDocument(
        chain_id=_count(ledger["chain_id"]),
        ledger=bytes.fromhex(str(ledger["ledger"])[2:]),
        cut=Cut(_count(cut["block"]), parse_hex32(str(cut["hash"])), _count(cut["time"])),
        first_week=parse_week(value["first_week"]),
        weeks=weeks,
        level_percent=_count(value["level_percent"]),
        orders=_count(value["orders"]),
        left_out={str(name): _count(number) for name, number in value["left_out"].items()},
        model=dict(value["model"]["text"]),
        back_test=_parse_back_test(value["back_test"]),
        series=tuple(_parse_series(one, weeks) for one in value["series"]),
        capacity=tuple(parse_capacity(one, weeks) for one in value["capacity"]),
    )


def _parse_series(value: Any, weeks: int) -> SeriesForecast:
    if not isinstance(value, dict) or value.keys() != _SERIES:
        raise ValueError("a series has other members")
    texts = [str(value[name]) for name in ("product", "unit", "option", "value")]
    low, high = (None if value[name] is None else _counts(value[name], weeks) for name in ("low", "high"))
    made = SeriesForecast(
        Key(*texts), _count(value["history_weeks"]), str(value["method"]), str(value["note"]), str(value["split"]),
        _counts(value["quantities"], weeks), low, high,
    )  # fmt: skip
    if (low is None) != (high is None):
        raise ValueError("an interval has one end")
    if (
        low is not None
        and high is not None
        and any(not a <= b <= c for a, b, c in zip(low, made.quantities, high, strict=True))
    ):
        raise ValueError("a quantity is outside of its interval")
    return made


def _parse_back_test(value: Any) -> BackTest:
    losses, pinballs = (
        {str(name): _count(loss) for name, loss in value[member].items()}
        for member in ("loss_permille", "pinball_permille")
    )
    return BackTest(str(value["chosen"]), _count(value["windows"]), _count(value["naive_instead"]), losses, pinballs)


def parse_capacity(value: Any, weeks: int) -> NeededCapacity:
    """Raises ValueError or TypeError."""
    if not isinstance(value, dict) or value.keys() != {"kind", "minutes", "low", "high"}:
        raise ValueError("a needed capacity has other members")
    return NeededCapacity(str(value["kind"]), *(_counts(value[name], weeks) for name in ("minutes", "low", "high")))


def _counts(value: Sequence[object], weeks: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != weeks:
        raise ValueError("a series does not have a quantity for each week")
    return tuple(_count(one) for one in value)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SAFE_INTEGER:
        raise ValueError("a number is not an integer from 0 on")
    return value
