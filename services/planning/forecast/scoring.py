"""Scores a forecast by what the ledger shows later, beside the naive forecast from the same data.

Only weeks count that have ended at the later cut, and that began after the ledger had the forecast's entry: whoever
forecasts a week that has begun knows a part of it. The week of the forecast's own cut therefore rarely counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from millmark.ledger.provenance.answers import Printable
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast import document


@dataclass(frozen=True, slots=True)
class ScoredSeries:
    """What was forecast of a series, and what came; `weeks` are the Mondays of those that count."""

    key: document.Key
    weeks: tuple[date, ...]
    forecast: tuple[int, ...]
    actual: tuple[int, ...]
    low: tuple[int, ...] | None
    high: tuple[int, ...] | None
    naive: int
    """The last whole week before the forecast, which the naive forecast repeats."""

    @property
    def covered(self) -> int | None:
        """Weeks within their interval; None without intervals."""
        if self.low is None or self.high is None:
            return None
        return sum(a <= b <= c for a, b, c in zip(self.low, self.actual, self.high, strict=True))

    @property
    def error(self) -> int:
        """Sum of the absolute errors."""
        return sum(abs(a - b) for a, b in zip(self.forecast, self.actual, strict=True))

    @property
    def naive_error(self) -> int:
        return sum(abs(self.naive - one) for one in self.actual)


@dataclass(frozen=True, slots=True)
class Score:
    """Over the products' totals; that of the options is in `series`."""

    cut: document.Cut
    """What the ledger shows, up to this block."""
    weeks: int
    """That count."""
    skipped: int
    """Weeks that had begun when the ledger had the forecast."""
    series: tuple[ScoredSeries, ...]

    @property
    def totals(self) -> tuple[ScoredSeries, ...]:
        return tuple(one for one in self.series if not one.key.option)

    @property
    def forecast(self) -> int:
        return sum(sum(one.forecast) for one in self.totals)

    @property
    def actual(self) -> int:
        return sum(sum(one.actual) for one in self.totals)

    @property
    def error(self) -> int:
        return sum(one.error for one in self.totals)

    @property
    def naive_error(self) -> int:
        return sum(one.naive_error for one in self.totals)

    @property
    def bias_permille(self) -> int | None:
        """What was forecast too much, of what came; None where nothing came."""
        return None if not self.actual else round((self.forecast - self.actual) * 1000 / self.actual)

    @property
    def covered(self) -> tuple[int, int]:
        """Weeks within their interval, of those that have one."""
        known = [one for one in self.series if one.covered is not None]
        return sum(one.covered or 0 for one in known), sum(len(one.weeks) for one in known)


def score_forecast(
    forecast: document.ForecastDocument, then: document.History, now: document.History, anchored_s: int | None
) -> Score:
    """`then` is the history at the forecast's own cut, `now` that at a later one, `anchored_s` the time of the block
    that anchored the forecast's entry. Raises ForecastError if it is not anchored, the chain has another block at
    its cut, or no week that it covers has ended since."""
    if anchored_s is None:
        raise ForecastError("the ledger does not have the forecast's entry yet", hint="its stream is anchored first")
    if then.cut.hash != forecast.cut.hash:
        raise ForecastError(
            f"block {forecast.cut.block} of the chain is not the one that the forecast was cut at",
            hint="the forecast is of another chain",
        )
    ended = [monday for monday in forecast.mondays if document.begin_s(monday) + document.WEEK_S <= now.cut.time_s]
    counting = [monday for monday in ended if document.begin_s(monday) >= anchored_s]
    if not counting:
        raise ForecastError(
            "no week has ended yet that began after the forecast was recorded",
            hint=f"the first one to be scored is {_first(forecast, anchored_s)}",
        )
    came = document.count_weeks(now, forecast.first_week, forecast.weeks)
    last = document.count_weeks(then, forecast.first_week - timedelta(weeks=1), 1)
    places = [forecast.mondays.index(monday) for monday in counting]
    nothing = (0,) * forecast.weeks
    scored = []
    for one in forecast.series:
        actual = _pick(came.get(one.key, nothing), places)
        low, high = (None if ends is None else _pick(ends, places) for ends in (one.low, one.high))
        naive = last.get(one.key, (0,))[0]
        scored.append(ScoredSeries(one.key, tuple(counting), _pick(one.quantities, places), actual, low, high, naive))
    scored += _unforeseen(forecast, came, counting, places)
    return Score(now.cut, len(counting), len(ended) - len(counting), tuple(scored))


def _unforeseen(
    forecast: document.ForecastDocument,
    came: dict[document.Key, tuple[int, ...]],
    counting: Sequence[date],
    places: Sequence[int],
) -> list[ScoredSeries]:
    """Products that the forecast does not have count as forecast with nothing: leaving them out would flatter it."""
    known = {one.key for one in forecast.series}
    zeros = (0,) * len(places)
    return [
        ScoredSeries(key, tuple(counting), zeros, _pick(counts, places), None, None, 0)
        for key, counts in came.items()
        if not key.option and key not in known and any(_pick(counts, places))
    ]


def _pick(values: Sequence[int], places: Sequence[int]) -> tuple[int, ...]:
    return tuple(values[place] for place in places)


def _first(forecast: document.ForecastDocument, anchored_s: int) -> str:
    later = [monday for monday in forecast.mondays if document.begin_s(monday) >= anchored_s]
    return document.week_text(later[0]) if later else "none: it was recorded after all of its weeks had begun"


# Forecasts, how they did, and what is wanted, as the API shows them to the company that made them


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


def list_forecast(forecast: document.ForecastDocument, anchored_s: int | None) -> ForecastListed:
    """`anchored_s`: when the ledger had its entry; None if it has not."""
    return ForecastListed(
        forecast.digest,
        document.week_text(forecast.first_week),
        forecast.weeks,
        len(forecast.totals()),
        forecast.orders,
        forecast.cut.block,
        forecast.level_percent,
        anchored_s is not None,
    )


def show_forecast(forecast: document.ForecastDocument, anchored_s: int | None) -> ForecastFound:
    """`anchored_s`: when the ledger had its entry; None if it has not."""
    return ForecastFound(
        forecast.digest,
        document.week_text(forecast.first_week),
        forecast.weeks,
        forecast.level_percent,
        forecast.orders,
        forecast.cut.block,
        forecast.cut.hash,
        document.model_hash(forecast.model),
        forecast.back_test.chosen,
        anchored_s is not None,
        tuple(map(_series, forecast.series)),
        tuple(CapacityShown(one.kind, one.minutes, one.low, one.high) for one in forecast.capacity),
    )


def show_score(digest: bytes, score: Score) -> ScoreFound:
    errors = score.bias_permille, score.error, score.naive_error
    return ScoreFound(
        digest, score.cut.block, score.weeks, score.skipped, *errors, tuple(show_scored(one) for one in score.series)
    )


def _series(one: document.SeriesForecast) -> SeriesShown:
    key = one.key
    named = key.product, key.unit, key.option, key.value
    return SeriesShown(*named, one.history_weeks, one.method, one.note, one.quantities, one.low, one.high)


def show_scored(one: ScoredSeries) -> ScoredShown:
    key = one.key
    sums = sum(one.forecast), sum(one.actual), one.error, one.naive_error
    return ScoredShown(key.product, key.unit, key.option, key.value, len(one.weeks), *sums, one.covered)
