"""Forecasts, how they did, and what is wanted, as the API shows them to the company that made them."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.provenance.answers import Printable
from millmark.services.planning.forecast.document import ForecastDocument, SeriesForecast, model_hash
from millmark.services.planning.forecast.preferences import KeptPreferences
from millmark.services.planning.forecast.scoring import Score, ScoredSeries
from millmark.services.planning.forecast.weeks import week_text


@dataclass(frozen=True, slots=True)
class ForecastListed(Printable):
    """A forecast of demand that was recorded."""

    forecast: bytes
    """Its digest."""
    first_week: str
    """ISO week, such as 2026-W48."""
    weeks: int
    products: int
    orders: int
    """That it was made from."""
    block: int
    """Up to which they count."""
    level_percent: int
    """Level of the intervals."""
    anchored: bool
    """Whether the ledger has its entry."""


@dataclass(frozen=True, slots=True)
class SeriesShown(Printable):
    """A quantity for each week, of a product or of one value of one of its options."""

    product: str
    unit: str
    option: str
    """Empty for the product itself."""
    value: str
    history_weeks: int
    method: str
    note: str
    """What was done in place of the usual, and why."""
    quantities: tuple[int, ...]
    low: tuple[int, ...] | None
    """Lower ends of the intervals; null where the history is too short."""
    high: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class CapacityShown(Printable):
    """Minutes of one kind of work that the quantities of each week need."""

    kind: str
    minutes: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ForecastFound(Printable):
    """A forecast of demand, by product, option and week."""

    forecast: bytes
    first_week: str
    weeks: int
    level_percent: int
    orders: int
    block: int
    block_hash: bytes
    model: bytes
    """Hash of what it was made with."""
    method: str
    """What the back-test chose."""
    anchored: bool
    series: tuple[SeriesShown, ...]
    capacity: tuple[CapacityShown, ...]


@dataclass(frozen=True, slots=True)
class ScoredShown(Printable):
    """What was forecast of a series over the weeks that count, and what came."""

    product: str
    unit: str
    option: str
    value: str
    weeks: int
    forecast: int
    actual: int
    error: int
    """Sum of the absolute errors of the weeks."""
    naive_error: int
    """The same, of the last week before repeated."""
    covered: int | None
    """Weeks within their interval; null without intervals."""


@dataclass(frozen=True, slots=True)
class ScoreFound(Printable):
    """How a forecast did, by what the ledger shows since."""

    forecast: bytes
    block: int
    """Up to which orders count as come."""
    weeks: int
    """That have ended and count."""
    skipped: int
    """Weeks that had begun when the ledger had the forecast."""
    bias_permille: int | None
    """What was forecast too much, of what came; null where nothing came."""
    error: int
    naive_error: int
    series: tuple[ScoredShown, ...]


@dataclass(frozen=True, slots=True)
class ValueWanted(Printable):
    """A value of an option."""

    value: str
    share_percent: int


@dataclass(frozen=True, slots=True)
class OptionWanted(Printable):
    """An option, the most wanted value first."""

    option: str
    values: tuple[ValueWanted, ...]


@dataclass(frozen=True, slots=True)
class PreferencesFound(Printable):
    """Which values of a product's options are wanted: aggregates of own orders."""

    product: str
    digest: bytes
    """By which forecasts name it."""
    block: int
    """Up to which orders were learned from."""
    options: tuple[OptionWanted, ...]


def list_forecast(document: ForecastDocument, anchored_s: int | None) -> ForecastListed:
    """`anchored_s`: when the ledger had its entry; None if it has not."""
    return ForecastListed(
        document.digest,
        week_text(document.first_week),
        document.weeks,
        len(document.totals()),
        document.orders,
        document.cut.block,
        document.level_percent,
        anchored_s is not None,
    )


def show_forecast(document: ForecastDocument, anchored_s: int | None) -> ForecastFound:
    """`anchored_s`: when the ledger had its entry; None if it has not."""
    return ForecastFound(
        document.digest,
        week_text(document.first_week),
        document.weeks,
        document.level_percent,
        document.orders,
        document.cut.block,
        document.cut.hash,
        model_hash(document.model),
        document.back_test.chosen,
        anchored_s is not None,
        tuple(map(_series, document.series)),
        tuple(CapacityShown(one.kind, one.minutes, one.low, one.high) for one in document.capacity),
    )


def show_score(digest: bytes, score: Score) -> ScoreFound:
    errors = score.bias_permille, score.error, score.naive_error
    return ScoreFound(
        digest, score.cut.block, score.weeks, score.skipped, *errors, tuple(_scored(one) for one in score.series)
    )


def show_preferences(product: str, kept: KeptPreferences) -> PreferencesFound:
    options = tuple(
        OptionWanted(
            option,
            tuple(ValueWanted(value, share // 10_000) for value, share in sorted(values.items(), key=_by_share)),
        )
        for option, values in sorted(kept.shares.items())
    )
    return PreferencesFound(product, kept.digest, kept.cut_block, options)


def _by_share(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _series(one: SeriesForecast) -> SeriesShown:
    key = one.key
    named = key.product, key.unit, key.option, key.value
    return SeriesShown(*named, one.history_weeks, one.method, one.note, one.quantities, one.low, one.high)


def _scored(one: ScoredSeries) -> ScoredShown:
    key = one.key
    sums = sum(one.forecast), sum(one.actual), one.error, one.naive_error
    return ScoredShown(key.product, key.unit, key.option, key.value, len(one.weeks), *sums, one.covered)
