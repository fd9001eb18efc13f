"""`scripts/bench demand`: forecasts of a competition's series beside AutoETS, AutoTheta and the naive ones; and of
intermittent demand beside Croston's method, TSB and nothing.

Files are those of the M competitions: CSV with a header, a series in each row, its name first, values from the oldest
on, the rest of the row empty or NA. AutoETS and AutoTheta get the same part of each history as the members of our own
forecast, which suits them better than all of it. All CPU seconds are of the process with all its threads.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ledger.errors import InputError
from quality.demand import Setting, forecast_demand
from quality.demand.intermittent import LEVELS, forecast_quantiles, scale_of_demand
from quality.demand.measures import Values, coverage, mase, scaled_pinball, smape
from quality.demand.members import forecast_quietly, naive, seasonal_naive
from quality.demand.trees import RECENT
from services.files import read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES: Final = 1 << 30
_MOST_SERIES: Final = 200_000
OURS: Final = "Millmark"


@dataclass(frozen=True, slots=True)
class Competition:
    """Histories, and what came after each."""

    names: tuple[str, ...]
    histories: tuple[Values, ...]
    actual: tuple[Values, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One method over all series."""

    method: str
    mase: float | None
    smape: float | None
    pinball: float | None
    """Mean scaled pinball loss over nine quantiles."""
    covered: float | None
    """Share of the weeks within their 80 % interval."""
    cpu_s: float
    said: str = ""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def read_competition(train: Path, test: Path, horizon: int) -> Competition:
    """Raises InputError for files that do not go together, naming the series."""
    before, after = read_series(train), read_series(test)
    if before.keys() != after.keys():
        missing = sorted(before.keys() ^ after.keys())[0]
        raise InputError(f"series {missing[:40]} is in one of {train.name} and {test.name} alone")
    short = next((name for name, values in after.items() if len(values) < horizon), None)
    if short is not None:
        raise InputError(
            f"series {short[:40]} of {test.name} has fewer than {horizon} values", hint="give its --horizon"
        )
    names = tuple(before)
    return Competition(names, tuple(before.values()), tuple(after[name][:horizon] for name in names))


def read_series(path: Path) -> dict[str, Values]:
    """The series of a file by name. Raises InputError naming line and value."""
    try:
        text = read_bounded(path, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8") from None
    found: dict[str, Values] = {}
    for line, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if line == 1 or not row:
            continue
        if row[0] in found:
            raise InputError(f"{path}, line {line}: series {row[0][:40]} is there twice", hint="keep one of them")
        found[row[0]] = _read_values(path, line, row[1:])
    if not found:
        raise InputError(f"{path} has no series", hint="it has a header, and a series in each row")
    if len(found) > _MOST_SERIES:
        raise InputError(f"{path} has more than {_MOST_SERIES} series")
    return found


def draw(competition: Competition, count: int, seed: int) -> Competition:
    """Some of the series, the same for the same seed."""
    if not 0 < count < len(competition.names):
        return competition
    places = np.sort(np.random.default_rng(seed).permutation(len(competition.names))[:count])
    return Competition(
        tuple(competition.names[one] for one in places),
        tuple(competition.histories[one] for one in places),
        tuple(competition.actual[one] for one in places),
    )


def compare_regular(
    competition: Competition, horizon: int, frequency: int, seasons: Sequence[int], *, counts: bool = False
) -> Iterator[Compared]:
    """Our forecast, then AutoETS, AutoTheta, the seasonal naive and the naive. `frequency`: the season by which the
    competition scales errors and makes the seasonal naive forecast; `seasons`: those that our forecast looks for;
    `counts`: whether it takes the values for quantities, as it does those of orders."""
    setting = Setting(horizon, tuple(seasons), counts=counts)
    begin = time.process_time()
    outcome = forecast_demand(competition.histories, setting)
    cpu_s = time.process_time() - begin
    means = [one.mean for one in outcome.forecasts]
    inside = [
        coverage(one.low, one.high, actual)
        for one, actual in zip(outcome.forecasts, competition.actual, strict=True)
        if one.low is not None and one.high is not None
    ]
    said = f"{outcome.chosen}; naive for {outcome.gated} series; intervals for {len(inside)} of {len(means)}"
    covered = float(np.mean(inside)) if inside else None
    yield replace(_judge(OURS, competition, means, frequency, cpu_s), covered=covered, said=said)
    season = frequency if frequency <= 24 else 1
    kept = max(RECENT, 5 * frequency)
    for name in ("AutoETS", "AutoTheta"):
        make = partial(_peer, name, kept=kept, horizon=horizon, season=season)
        yield _timed(name, competition, frequency, make)
    yield _timed("seasonal naive", competition, frequency, lambda past: seasonal_naive(past, horizon, frequency))
    yield _timed("naive", competition, frequency, lambda past: naive(past, horizon))


def compare_intermittent(histories: Sequence[Values], horizon: int) -> Iterator[Compared]:
    """Our quantiles, then those of Croston's method and TSB by their own conformal intervals, cut off at zero, and of
    nothing. The last `horizon` values of each series are what came."""
    past, actual = [one[:-horizon] for one in histories], [one[-horizon:] for one in histories]
    scales = [scale_of_demand(one) for one in past]

    def judge(name: str, quantiles: Sequence[Values], cpu_s: float, said: str = "") -> Compared:
        losses = [
            scaled_pinball(made, LEVELS, came, scale)
            for made, came, scale in zip(quantiles, actual, scales, strict=True)
        ]
        return Compared(name, None, None, float(np.mean(losses)), None, cpu_s, said)

    begin = time.process_time()
    outcome = forecast_demand(past, Setting(horizon))
    chosen = outcome.intermittent
    if chosen is None:
        raise InputError("none of these series is intermittent", hint="leave out --intermittent")
    made = [forecast_quantiles(one, chosen.quantiles)[:, None] for one in past]
    yield judge(OURS, made, time.process_time() - begin, chosen.quantiles)
    for name in ("CrostonClassic", "TSB"):
        begin = time.process_time()
        made = [_peer_quantiles(name, one, horizon) for one in past]
        yield judge(name, made, time.process_time() - begin)
    yield judge("nothing", [np.zeros((len(LEVELS), 1)) for _ in past], 0.0)


def _read_values(path: Path, line: int, cells: Sequence[str]) -> Values:
    kept = list(cells)
    while kept and kept[-1] in ("", "NA"):
        kept.pop()
    values = []
    for cell in kept:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{path}, line {line}: {cell[:20]!r} is not a finite number",
                hint="fill the gap, or leave the series out",
            )
        values.append(value)
    if not values:
        raise InputError(f"{path}, line {line}: the series is empty", hint="leave it out")
    return np.array(values)


def _timed(name: str, competition: Competition, frequency: int, make: Callable[[Values], Values]) -> Compared:
    begin = time.process_time()
    made = [make(past) for past in competition.histories]
    return _judge(name, competition, made, frequency, time.process_time() - begin)


def _judge(name: str, competition: Competition, made: Sequence[Values], frequency: int, cpu_s: float) -> Compared:
    triples = list(zip(made, competition.actual, competition.histories, strict=True))
    return Compared(
        name,
        float(np.mean([mase(mean, actual, past, frequency) for mean, actual, past in triples])),
        float(np.mean([smape(mean, actual) for mean, actual, _ in triples])),
        None,
        None,
        cpu_s,
    )


def _peer(name: str, past: Values, kept: int, horizon: int, season: int) -> Values:
    made = forecast_quietly(name, past[-kept:], horizon, season_length=season)
    return naive(past, horizon) if made is None else made


def _peer_quantiles(name: str, past: Values, horizon: int) -> Values:
    from quality.demand.members import conformal_quantiles  # noqa: PLC0415 - statsforecast is an extra

    options: Mapping[str, float] = {"alpha_d": 0.1, "alpha_p": 0.1} if name == "TSB" else {}
    return np.maximum(conformal_quantiles(name, past, horizon, **options), 0.0)


_Values = NDArray[np.float64]


def draw_series(
    count: int, weeks: int, horizon: int, seed: int, season: int = 12
) -> tuple[list[_Values], list[_Values]]:
    """Regular demand: level, trend, errors that last, half of it with a season. Returns histories, and what followed
    each."""
    random = np.random.default_rng(seed)
    histories, actual = [], []
    for number in range(count):
        steps = np.arange(weeks + horizon)
        errors = np.zeros(weeks + horizon)
        for place in range(1, weeks + horizon):
            errors[place] = 0.6 * errors[place - 1] + random.normal(0, 3)
        wave = 8 * np.sin(2 * np.pi * steps / season) if number % 2 else 0.0
        values = 60 + random.uniform(-0.3, 0.6) * steps + wave + errors
        histories.append(values[:weeks])
        actual.append(values[weeks:])
    return histories, actual


def draw_intermittent(count: int, weeks: int, seed: int) -> list[_Values]:
    """Demand in few weeks: how many, and how much then, differs between series and drifts within each; sizes are
    negative binomial, as of spare parts."""
    random = np.random.default_rng(seed)
    found: list[_Values] = []
    while len(found) < count:
        often = np.clip(random.uniform(0.1, 0.45) + random.normal(0, 0.01, weeks).cumsum(), 0.05, 0.6)
        sizes = 1 + random.negative_binomial(2, random.uniform(0.2, 0.6), weeks)
        values = np.where(random.random(weeks) < often, sizes, 0).astype(np.float64)
        if np.count_nonzero(values) >= 8:
            found.append(values)
    return found


@dataclass(frozen=True, slots=True)
class M4Set:
    """A set of the competition: as its guide has it, and the seasons that our forecast looks for."""

    file: str
    horizon: int
    frequency: int
    seasons: tuple[int, ...]


M4_SETS = {
    "yearly": M4Set("Yearly", 6, 1, (1,)),
    "quarterly": M4Set("Quarterly", 8, 4, (4,)),
    "monthly": M4Set("Monthly", 18, 12, (12,)),
    "weekly": M4Set("Weekly", 13, 1, (52,)),
    "daily": M4Set("Daily", 14, 1, (7,)),
    "hourly": M4Set("Hourly", 48, 24, (24, 168)),
}


@dataclass(frozen=True, slots=True)
class Task:
    """What is forecast from which files."""

    train: Path | None
    test: Path | None
    horizon: int
    frequency: int
    seasons: tuple[int, ...]

    def compare(self, limit: int, first_seed: int, *, counts: bool) -> list[Compared]:
        if self.train is None or self.test is None:
            raise InputError("there is nothing to forecast", hint="give --set, --train and --test, or --intermittent")
        competition = draw(read_competition(self.train, self.test, self.horizon), limit, first_seed)
        return list(compare_regular(competition, self.horizon, self.frequency, self.seasons, counts=counts))

    def compare_intermittent(self, first_seed: int) -> list[Compared]:
        """Of series that are drawn, where there is no file."""
        if self.train is None:
            return list(compare_intermittent(draw_intermittent(200, 156, first_seed), self.horizon))
        series = [*read_series(self.train).values()]
        return list(compare_intermittent(series, self.horizon))


def find_task(
    train: Path | None,
    test: Path | None,
    name: str | None,
    data: Path | None,
    horizon: int | None,
    frequency: int | None,
    season: list[int] | None,
) -> Task:
    """Raises InputError for a set that is not known, or without its folder."""
    if name is None:
        often = frequency or 1
        return Task(train, test, horizon or 13, often, tuple(season or [often]))
    known = M4_SETS.get(name.lower())
    if known is None:
        raise InputError(f"there is no set {name[:40]!r}", hint=f"choose from {', '.join(M4_SETS)}")
    if data is None or train is not None or test is not None:
        raise InputError("a set comes from a folder", hint="give --set with --data, or --train with --test")
    before, after = (data / f"{known.file}-{part}.csv" for part in ("train", "test"))
    asked = horizon or known.horizon, frequency or known.frequency
    return Task(before, after, *asked, tuple(season or known.seasons))
