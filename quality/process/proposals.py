"""Setpoints proposed for a machine, or the reason why none are. Needs numpy alone.

The search goes by the gradient through the rollout; what it finds is rounded to the setpoints' integers, and only
proposed if the exact rollout, whose costs are integers, says that it is cheaper than the setpoints that the machine
has, or that it leaves the limits less. So nothing float is in a proposal.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Final

import numpy as np

from millmark.quality.errors import InferenceError, InputError
from millmark.quality.process import arrays
from millmark.quality.process.floats import Box, Floats, Limits, Search, build_objective, descend
from millmark.quality.process.records import Column, Integers, ProcessModel, Role, build_process_model, process_digest

_PENALTY = 1000.0
"""Cost of a standard deviation outside the limits, in the largest cost of a step."""
_MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a setpoint may be, in the column's integers. Raises InputError unless low <= high and rate > 0."""

    low: int
    high: int
    rate: int
    """Largest change from one move to the next."""

    def __post_init__(self) -> None:
        if self.low > self.high or self.rate < 1:
            raise InputError("a setpoint's bounds are not in order", hint="low <= high, and a rate of at least 1")


@dataclass(frozen=True, slots=True)
class Step:
    """How far is looked: `moves` moves of the setpoints, each held for `hold` rows."""

    moves: int = 3
    hold: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.moves <= 32 or not self.hold >= 1 or self.moves * self.hold > _MOST_STEPS:
            raise InputError("the number of moves, or the rows for which one is held, is out of range")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the exact rollout says of some setpoints, over the whole horizon."""

    cost: int
    """In the unit of the prices."""
    energy_wh: int
    outside: int
    """By how much states leave their limits, summed over steps, in the columns' integers."""
    eta_ppm: int
    """At the end, in millionths, as the two below."""
    e_ppm: int
    oee_ppm: int
    backlog: int
    """At the end, in the backlog's integers."""
    states: Mapping[str, int]
    """At the end, by column, in its integers."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Setpoints that cost less than those that the machine has. Integers and text only."""

    setpoints: Mapping[str, int]
    """The first move, by column, in its integers: what is proposed now."""
    present: Mapping[str, int]
    """What the machine has."""
    later: Sequence[Mapping[str, int]]
    """The further moves as they are expected now; they are proposed anew when their time comes."""
    decimals: Mapping[str, int]
    """By column: values are in units of 10^-decimals."""
    horizon_s: int
    expected: Outcome
    kept: Outcome
    """With the present setpoints."""
    model: str
    """Digest of the model, 64 lower-case digits."""


def propose_setpoint(
    model: ProcessModel,
    state: arrays.MachineState,
    bounds: Mapping[str, Bound],
    limits: Mapping[str, tuple[int, int]],
    prices: arrays.Prices,
    step: Step | None = None,
) -> Proposal | arrays.Refusal:
    """Setpoints for a machine in this state, or why there are none. `bounds` by setpoint; one that has none stays as it
    is. `limits`: smallest and largest value of predicted columns, in their integers. Raises InputError for a column
    that the model does not have."""
    step = step or Step()
    rows = arrays.read_rows(model, state)
    if isinstance(rows, arrays.Refusal):
        return rows
    _find_columns(model, bounds, limits)
    if obstacle := arrays.find_obstacle(model, rows, state.overhauled_at) or _find_out_of_bounds(model, rows, bounds):
        return obstacle
    try:
        return Attempt(model, rows, state.arrivals, bounds, limits, prices, step).propose()
    except InferenceError as error:
        return arrays.Refusal(arrays.Reason.UNSTABLE, error.cause, error.hint)


def _find_columns(
    model: ProcessModel, bounds: Mapping[str, Bound], limits: Mapping[str, tuple[int, int]]
) -> Sequence[int]:
    """Places of the setpoints, among all columns."""
    setpoints = {model.columns[place].name: place for place in model.find(Role.SETPOINT)}
    predicted = {model.columns[place].name for place in model.find(Role.STATE, Role.ENERGY)}
    if unknown := sorted(bounds.keys() - setpoints.keys()):
        raise InputError(f"{unknown[0]} is not a setpoint of the model", hint=f"it has {', '.join(setpoints)}")
    if not bounds:
        raise InputError("no setpoint has bounds", hint=f"state bounds of one of {', '.join(setpoints)}")
    if unknown := sorted(limits.keys() - predicted):
        raise InputError(f"{unknown[0]} is not predicted by the model", hint=f"it predicts {', '.join(predicted)}")
    if crossed := sorted(name for name, (low, high) in limits.items() if low > high):
        raise InputError(f"the lower limit of {crossed[0]} is above its upper one")
    return list(setpoints.values())


def _find_out_of_bounds(model: ProcessModel, rows: Integers, bounds: Mapping[str, Bound]) -> arrays.Refusal | None:
    for place in model.find(Role.SETPOINT):
        bound, value = bounds.get(model.columns[place].name), int(rows[-1, place])
        if bound is not None and not bound.low <= value <= bound.high:
            return arrays.Refusal(
                arrays.Reason.LIMITS,
                f"{model.columns[place].name} is set to {value}, outside {bound.low}..{bound.high}",
                "set it within its bounds first, or widen them",
            )
    return None


class Attempt:
    """One search for setpoints: what is proposed once a state has passed all checks."""

    def __init__(
        self,
        model: ProcessModel,
        rows: Integers,
        arrivals: int,
        bounds: Mapping[str, Bound],
        limits: Mapping[str, tuple[int, int]],
        prices: arrays.Prices,
        step: Step,
    ) -> None:
        """`rows` (r, c) in the columns' integers. Raises InputError for a column that the model does not have."""
        places = _find_columns(model, bounds, limits)
        self._model, self._rows, self._arrivals = model, rows, arrivals
        self._limits, self._prices, self._step, self._places = limits, prices, step, places
        self._present = rows[-1, places]
        held = [Bound(int(value), int(value), 1) for value in self._present]
        chosen = [bounds.get(model.columns[place].name, fixed) for place, fixed in zip(places, held, strict=True)]
        self._low, self._high, self._rate = (
            np.array([getattr(bound, name) for bound in chosen], dtype=np.int64) for name in ("low", "high", "rate")
        )
        self._zeros = np.array([model.columns[place].zero for place in places], dtype=np.int64)
        self._spreads = np.array([model.columns[place].spread for place in places], dtype=np.int64)

    def propose(self) -> Proposal | arrays.Refusal:
        present = np.repeat(self._present[np.newaxis], self._step.moves, axis=0)
        search, box = self.prepare()
        found = self.round(descend(self._evaluate(search), box, (present - self._zeros) / self._spreads))
        rollout = self._roll(np.stack([present, found]))
        if rollout.ran_away.any():
            return arrays.Refusal(arrays.Reason.UNSTABLE, "the predicted state runs away", "train the model again")
        kept, expected = self._judge(rollout, 0), self._judge(rollout, 1)
        if expected.outside and expected.outside >= kept.outside:
            cause = f"the states leave their limits by {expected.outside} in sum, whatever is set"
            hint = "widen the bounds or the rates of the setpoints, or stop the machine"
            return arrays.Refusal(arrays.Reason.LIMITS, cause, hint)
        if (expected.outside, expected.cost) >= (kept.outside, kept.cost):
            cause = f"the present setpoints cost {kept.cost}, and none cost less"
            return arrays.Refusal(arrays.Reason.NO_GAIN, cause, "keep them")
        return self._describe(found, expected, kept)

    def prepare(self) -> tuple[Search, Box]:
        """The future whose setpoints are sought, and where they may be."""
        objective = build_objective(self._model, self._prices, self._float_limits(), self._penalty())
        steps = self._step.moves * self._step.hold
        search = Search(self._model, self._rows[-self._model.history :], self._arrivals, steps, objective)
        return search, Box(
            (self._low - self._zeros) / self._spreads,
            (self._high - self._zeros) / self._spreads,
            self._rate / self._spreads,
            (self._present - self._zeros) / self._spreads,
        )

    def _evaluate(self, search: Search) -> Callable[[Floats], tuple[Floats, Floats]]:
        def evaluate(moves: Floats) -> tuple[Floats, Floats]:
            costs, slopes = search.evaluate(np.repeat(moves, self._step.hold, axis=1))
            return costs, slopes.reshape(len(moves), self._step.moves, self._step.hold, -1).sum(axis=2)

        return evaluate

    def judge(self, moves: Integers) -> Outcome:
        """What the exact rollout says of moves (k, p), in the columns' integers."""
        return self._judge(self._roll(moves[np.newaxis]), 0)

    def round(self, moves: Floats) -> Integers:
        """Moves (k, p) in words as integers within bounds and rates: each from the one before, so that rounding cannot
        break a rate."""
        wanted = np.rint(moves * self._spreads + self._zeros).astype(np.int64)
        before, rounded = self._present, []
        for move in wanted:
            before = np.clip(
                move, np.maximum(self._low, before - self._rate), np.minimum(self._high, before + self._rate)
            )
            rounded.append(before)
        return np.stack(rounded)

    def _float_limits(self) -> Limits:
        """In words, inside the limits by the model's own error, so that a plant that differs from it stays there."""
        n = self._model.predicted
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        for place, column in enumerate(self._model.columns[:n]):
            if column.name in self._limits:
                least, most = self._limits[column.name]
                error = min(self._model.errors[place], (most - least) // 4)
                low[place] = (least + error - column.zero) / column.spread
                high[place] = (most - error - column.zero) / column.spread
        return Limits(low, high)

    def _penalty(self) -> float:
        """So large that no saving is worth leaving the limits by much."""
        rate = self._prices.rate_per_hour * self._model.step_s / 3600
        energy = self._model.find(Role.ENERGY)
        wh = float(self._prices.per_wh) * max(1, self._model.columns[energy[0]].high) if energy else 0.0
        scale = 10 ** self._model.columns[energy[0]].decimals if energy else 1
        return _PENALTY * max(1.0, rate + wh / scale)

    def _roll(self, moves: Integers) -> arrays.Rollout:
        """The exact futures of moves (b, k, p)."""
        n = self._model.predicted
        setpoints = np.repeat(moves, self._step.hold, axis=1)
        inputs = np.broadcast_to(self._rows[-1, n:], (*setpoints.shape[:2], len(self._model.columns) - n)).copy()
        inputs[:, :, np.array(self._places) - n] = setpoints
        history = np.repeat(self._rows[np.newaxis, -self._model.history :], len(moves), axis=0)
        arrivals = np.full(setpoints.shape[:2], self._arrivals, dtype=np.int64)
        return arrays.Simulator(self._model).roll(history, inputs, arrivals)

    def _judge(self, rollout: arrays.Rollout, place: int) -> Outcome:
        states, columns = rollout.states[place], self._model.columns[: self._model.predicted]
        outside = 0
        for at, column in enumerate(columns):
            if column.name in self._limits:
                low, high = self._limits[column.name]
                outside += int(np.maximum(states[:, at] - high, 0).sum() + np.maximum(low - states[:, at], 0).sum())
        eta, e = int(rollout.eta[place, -1]), int(rollout.effectiveness[place, -1])
        return Outcome(
            cost=arrays.cost_of(self._model, rollout, place, self._prices),
            energy_wh=round(arrays.energy_of(self._model, rollout, place)),
            outside=outside,
            eta_ppm=eta * 1_000_000 >> 16,
            e_ppm=e * 1_000_000 >> 16,
            oee_ppm=eta * e * 1_000_000 >> 32,
            backlog=int(rollout.backlog[place, -1]),
            states={column.name: int(states[-1, at]) for at, column in enumerate(columns)},
        )

    def _describe(self, moves: Integers, expected: Outcome, kept: Outcome) -> Proposal:
        names = [self._model.columns[place].name for place in self._places]
        first, *later = ({name: int(value) for name, value in zip(names, move, strict=True)} for move in moves)
        return Proposal(
            setpoints=first,
            present={name: int(value) for name, value in zip(names, self._present, strict=True)},
            later=tuple(later),
            decimals={column.name: column.decimals for column in self._model.columns},
            horizon_s=self._step.moves * self._step.hold * self._model.step_s,
            expected=expected,
            kept=kept,
            model=process_digest(build_process_model(self._model)).hex(),
        )


# The file in which an operator writes what may be proposed: prices, bounds, limits. Read strictly, in exact decimals.
#
# [prices]                          # whole numbers, in the unit of the calendar and the objective
# rate_per_hour = 5400
# price_per_kwh = 31
# [horizon]
# moves = 3                         # of the setpoints, each held for `hold` rows
# hold = 4
# arrivals = 8                      # units of the backlog that arrive per row
# [setpoint.speed_set]              # in the sensor's unit
# low = 20
# high = 43
# rate = 2.5                        # largest change from one move to the next
# [limit.temperature]
# low = 190
# high = 225
# [machine]
# overhauled_at = 1767225600        # Unix time of its last overhaul, if it had one

MAX_BYTES: Final = 1 << 16
_TABLES = ("prices", "horizon", "setpoint", "limit", "machine")


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be proposed, in the integers of a model's columns."""

    prices: arrays.Prices
    step: Step
    bounds: Mapping[str, Bound]
    limits: Mapping[str, tuple[int, int]]
    arrivals: int
    overhauled_at: int | None
    """Unix time of the machine's last overhaul; None if it had none."""


def parse_terms(content: bytes, model: ProcessModel) -> Terms:
    """Parse the file. Raises InputError, naming the entry to correct."""
    if len(content) > MAX_BYTES:
        raise InputError("the file of bounds and prices is too large", hint=f"at most {MAX_BYTES} bytes")
    try:
        read = tomllib.loads(content.decode(), parse_float=Decimal)
    except (ValueError, InvalidOperation) as error:
        raise InputError(f"the file of bounds and prices is not TOML: {error}") from None
    if unknown := sorted(read.keys() - set(_TABLES)):
        raise InputError(f"the table {unknown[0][:40]!a} is not known", hint=f"use {', '.join(_TABLES)}")
    columns = {column.name: column for column in model.columns}
    horizon = _numbers(read.get("horizon", {}), "horizon", {"moves", "hold", "arrivals"})
    machine = _numbers(read.get("machine", {}), "machine", {"overhauled_at"})
    prices = _numbers(read.get("prices", {}), "prices", {field.name for field in fields(arrays.Prices)})
    return Terms(
        arrays.Prices(**{name: _whole(value, f"prices.{name}") for name, value in prices.items()}),
        Step(**{name: _whole(horizon[name], name) for name in ("moves", "hold") if name in horizon}),
        {
            name: Bound(*_entry(columns, f"setpoint.{name}", name, entry, ("low", "high", "rate")))
            for name, entry in _table(read, "setpoint")
        },
        {name: _pair(columns, name, entry) for name, entry in _table(read, "limit")},
        _arrivals(model, horizon.get("arrivals", 0)),
        _whole(machine["overhauled_at"], "machine.overhauled_at") if machine else None,
    )


def _pair(columns: Mapping[str, Column], name: str, entry: object) -> tuple[int, int]:
    low, high = _entry(columns, f"limit.{name}", name, entry, ("low", "high"))
    return low, high


def _table(read: Mapping[str, object], name: str) -> list[tuple[str, object]]:
    found = read.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{name} is not a table")
    return list(found.items())


def _numbers(table: object, what: str, names: set[str]) -> Mapping[str, int | Decimal]:
    if not isinstance(table, dict):
        raise InputError(f"{what} is not a table")
    if unknown := sorted(table.keys() - names):
        raise InputError(f"{what}.{unknown[0][:40]} is not known", hint=f"use {', '.join(sorted(names))}")
    for name, value in table.items():
        if type(value) not in (int, Decimal):
            raise InputError(f"{what}.{name} is not a number")
    return table


def _entry(
    columns: Mapping[str, Column], what: str, name: str, entry: object, names: tuple[str, ...]
) -> tuple[int, ...]:
    if name not in columns:
        raise InputError(f"{what[:60]} is not a column of the model", hint=f"it has {', '.join(columns)}")
    numbers = _numbers(entry, what, set(names))
    if missing := [one for one in names if one not in numbers]:
        raise InputError(f"{what}.{missing[0]} is missing")
    return tuple(_scaled(numbers[one], columns[name].decimals, f"{what}.{one}") for one in names)


def _scaled(value: int | Decimal, decimals: int, what: str) -> int:
    """The value, given in the sensor's unit, as the column's integer: times 10 ** `decimals`. Raises InputError if that
    is not a whole number below 2 ** 53."""
    try:
        scaled = Decimal(value).scaleb(decimals)
        whole = int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        raise InputError(f"{what} is not a usable number") from None
    if whole != scaled or abs(whole) >= 2**53:
        raise InputError(f"{what} has more than {decimals} decimals, or is too large")
    return whole


def _whole(value: int | Decimal, what: str) -> int:
    if type(value) is not int:
        raise InputError(f"{what} is not a whole number")
    return value


def _arrivals(model: ProcessModel, value: int | Decimal) -> int:
    found = model.find(Role.BACKLOG)
    arrivals = _scaled(value, model.columns[found[0]].decimals, "horizon.arrivals") if found else 0
    if arrivals < 0:
        raise InputError("horizon.arrivals is below 0")
    return arrivals
