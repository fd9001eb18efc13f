"""A process model in numpy: integers alone, for n machines or n futures at once; what a future costs, and whether the
model may speak about a present state.

Sums of products stay below 2^53 (`ProcessModel` checks it), so float64 matrix products are exact integers whatever the
order of addition, the thread count or the use of fused multiply-add: BLAS computes them. Shifts are arithmetic.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InferenceError, InputError
from millmark.quality.evaluate.scaling import multiply
from millmark.quality.inference import MAX_FIXED
from millmark.quality.process.records import LIMIT, ONE, Column, Integers, Pair, ProcessModel, Role, System, Utilisation

_BITS: Final = 16
MOST_ROUNDS: Final = 200
"""Rounds of the fixed point, each of which goes half the way."""
SETTLED: Final = 16
"""Both shares are within 16 / 65,536 of what phi and psi say of the other."""
_EDGE: Final = 8 * ONE
"""The logistic curve is tabulated from -8 to 8."""
_CELL: Final = 12
"""A cell of its table is 2^12 wide: a sixteenth."""


def _tabulate() -> Integers:
    """round(65536 / (1 + e^(-i/16))) for i = -128..129, exact: decimal's exponential is correctly rounded."""
    with localcontext() as context:
        context.prec = 30
        return np.array(
            [int((ONE / (1 + (-Decimal(i) / 16).exp())).to_integral_value()) for i in range(-128, 130)], dtype=np.int64
        )


_TABLE: Final = _tabulate()


def logistic(logits: Integers) -> Integers:
    """Shares in 0..`ONE` of logits in 1/65,536: the table's values, with straight lines between them."""
    at = np.clip(logits, -_EDGE, _EDGE) + _EDGE
    cell, rest = at >> _CELL, at & ((1 << _CELL) - 1)
    low = _TABLE[cell]
    found: Integers = low + ((rest * (_TABLE[cell + 1] - low) + (1 << (_CELL - 1))) >> _CELL)
    return found


def to_words(columns: tuple[Column, ...], values: Integers) -> Integers:
    """Words (..., c) of values (..., c) in the columns' integers. Raises InputError for one beyond 2^53 - 1."""
    if values.size and int(np.abs(values).max()) > MAX_FIXED:
        raise InputError("a value of the telemetry exceeds 2^53 - 1", hint="use a coarser unit")
    zeros, spreads = _scales(columns)
    # Clamped before it is multiplied, so that nothing overflows: 64 spreads of 2^38, times 2^16, are 2^60.
    away = np.clip(values - zeros, -64 * spreads, 64 * spreads)
    words: Integers = (away * ONE + spreads // 2) // spreads
    return words


def from_words(columns: tuple[Column, ...], words: Integers) -> Integers:
    """Values (..., c) in the columns' integers of words (..., c)."""
    zeros, spreads = _scales(columns)
    values: Integers = zeros + ((words * spreads + ONE // 2) >> _BITS)
    return values


def _scales(columns: tuple[Column, ...]) -> tuple[Integers, Integers]:
    zeros = np.array([column.zero for column in columns], dtype=np.int64)
    return zeros, np.array([column.spread for column in columns], dtype=np.int64)


def _product(weights: NDArray[np.float64], words: Integers) -> Integers:
    """words (b, D) times weights (D, S), exact."""
    sums: Integers = multiply(words.astype(np.float64), weights).astype(np.int64)
    return sums


class _System:
    """A system with its weights converted once."""

    def __init__(self, system: System, predicted: int) -> None:
        self.record, self._predicted = system, predicted
        self._encoder = system.encoder.T.astype(np.float64)
        self._linear = system.linear.T.astype(np.float64)
        self._inner = system.inner.T.astype(np.float64)
        self._outer = system.outer.T.astype(np.float64)

    def start(self, history: Integers) -> Integers:
        """Initial state (b, S) from words of the history (b, rows, c)."""
        rows = history[:, -self.record.history :]
        read = rows - rows[:, -1:] if self.record.anchored else rows
        state = np.zeros((len(rows), self._predicted + self.record.memory), dtype=np.int64)
        state[:, : self._predicted] = rows[:, -1, : self._predicted]
        added = _product(self._encoder, read.reshape(len(rows), -1)) >> _BITS
        started: Integers = np.clip(state + added, -LIMIT, LIMIT)
        return started

    def increment(self, words: Integers) -> Integers:
        """What a step adds, (b, S), from words of state and inputs (b, D)."""
        sums = _product(self._linear, words) + self.record.bias
        if self.record.hidden:
            hidden = (_product(self._inner, words) + self.record.inner_bias) >> _BITS
            sums = sums + _product(self._outer, np.clip(hidden, 0, LIMIT))
        return sums >> _BITS

    def anchor(self, state: Integers, inputs: Integers) -> Integers:
        """What every step's increment is reduced by: that at the latest row, or 0."""
        if not self.record.anchored:
            return np.zeros_like(state)
        still = state.copy()
        still[:, self._predicted :] = 0
        return self.increment(np.hstack([still, inputs]))


@dataclass(frozen=True, slots=True)
class Rollout:
    """Futures of b machines over t steps: what is predicted, in the columns' integers."""

    states: Integers
    """(b, t, n)"""
    eta: Integers
    """(b, t): share in 1/65,536 at the start of each step; 0 without phi and psi."""
    effectiveness: Integers
    """(b, t): e, likewise."""
    backlog: Integers
    """(b, t): after each step, in the backlog's integers; 0 without one."""
    ran_away: NDArray[np.bool_]
    """(b,): whether a state reached the limit of its words."""


class Simulator:
    """Rolls a model out. Thread-safe."""

    def __init__(self, model: ProcessModel) -> None:
        self.model = model
        self._systems = [_System(system, model.predicted) for system in model.systems]
        self._gate = np.frombuffer(model.gate, dtype=np.uint8).astype(np.int64)

    @cached_property
    def _backlog_at(self) -> int | None:
        found = self.model.find(Role.BACKLOG)
        return found[0] - self.model.predicted if found else None

    def roll(self, history: Integers, inputs: Integers, arrivals: Integers | None = None) -> Rollout:
        """Futures from a history of values (b, rows, c) under inputs (b, t, c - n), all in the columns' integers.
        Inputs of step j hold from row j to row j + 1. With `arrivals` (b, t), the backlog follows from them and
        throughput; without, it is that of the inputs, as it was measured. Raises InputError if the history is too
        short, InferenceError if eta and e do not settle."""
        model, n = self.model, self.model.predicted
        if history.shape[1] < model.history:
            raise InputError(f"{history.shape[1]} rows of history", hint=f"the model reads {model.history}")
        steps = inputs.shape[1]
        given = to_words(model.columns[n:], inputs)
        backlog = self._waiting(history)
        states, anchors = self.begin(history)
        shares = settle(model.utilisation, to_words(model.columns, history[:, -1])[:, :n])
        kept: list[tuple[Integers, ...]] = []
        for step in range(steps):
            shares = settle(model.utilisation, self._chosen(states), shares)
            if arrivals is None and self._backlog_at is not None:
                backlog = inputs[:, step, self._backlog_at]
            beside = self._beside(given[:, step], backlog, shares)
            states = [
                np.clip(state + system.increment(np.hstack([state, beside])) - anchor, -LIMIT, LIMIT)
                for system, state, anchor in zip(self._systems, states, anchors, strict=True)
            ]
            if arrivals is not None:
                backlog = self._work_off(backlog + arrivals[:, step], shares)
            kept.append((self._chosen(states), *shares, backlog))
        predicted, eta, effectiveness, backlogs = (np.stack(part, axis=1) for part in zip(*kept, strict=True))
        # Only what counts can run away: the gate's other columns are not told to anybody.
        ran_away = (np.abs(predicted) >= LIMIT).any(axis=(1, 2))
        return Rollout(from_words(model.columns[:n], predicted), eta, effectiveness, backlogs, ran_away)

    def begin(self, history: Integers) -> tuple[list[Integers], list[Integers]]:
        """For each system: the initial state (b, S), and the reduction of each step's increment (b, S)."""
        n, words = self.model.predicted, to_words(self.model.columns, history)
        backlog = self._waiting(history)
        shares = settle(self.model.utilisation, words[:, -1, :n])
        first = self._beside(words[:, -1, n:], backlog, shares)
        states = [system.start(words) for system in self._systems]
        return states, [system.anchor(state, first) for system, state in zip(self._systems, states, strict=True)]

    def _waiting(self, history: Integers) -> Integers:
        """The backlog at the latest row (b,), 0 without one."""
        if self._backlog_at is None:
            return np.zeros(len(history), dtype=np.int64)
        waiting: Integers = history[:, -1, self.model.predicted + self._backlog_at]
        return waiting

    def _chosen(self, states: list[Integers]) -> Integers:
        """The state (b, n) whose columns the gate chooses."""
        n = self.model.predicted
        if len(states) == 1:
            return states[0][:, :n]
        chosen: Integers = np.where(self._gate == 1, states[1][:, :n], states[0][:, :n])
        return chosen

    def _beside(self, given: Integers, backlog: Integers, shares: tuple[Integers, Integers]) -> Integers:
        """Words beside the state, (b, m)."""
        if self._backlog_at is None:
            return given
        words = given.copy()
        column = self.model.columns[self.model.predicted + self._backlog_at]
        words[:, self._backlog_at] = to_words((column,), backlog[:, np.newaxis])[:, 0]
        return np.hstack([words, np.stack(shares, axis=1)])

    def _work_off(self, there: Integers, shares: tuple[Integers, Integers]) -> Integers:
        """y(t + 1) = y(t) + arrivals - throughput(eta, e). Conserved: nothing is done that was not there."""
        if self.model.utilisation is None:
            return there
        # The product of two shares has 32 bits after the point; capacity has up to 40 before.
        share = (shares[0] * shares[1]) >> _BITS
        done = (self.model.utilisation.capacity * share) >> _BITS
        left: Integers = there - np.minimum(done, there)
        return left


def settle(
    utilisation: Utilisation | None, states: Integers, start: tuple[Integers, Integers] | None = None
) -> tuple[Integers, Integers]:
    """eta = phi(x, e) and e = psi(x, eta), (b,) each in 0..`ONE`, for words of the measured state (b, n). From `start`,
    or a half, each round goes half the way to what phi and psi say, until both are within `SETTLED` of it. They
    contract (`Pair` checks it), so there is one fixed point. Raises InferenceError after `MOST_ROUNDS` rounds."""
    none = np.zeros(len(states), dtype=np.int64)
    if utilisation is None:
        return none, none
    eta, effectiveness = start if start is not None else (none + ONE // 2, none + ONE // 2)
    for _ in range(MOST_ROUNDS):
        one = _share(utilisation.phi, states, effectiveness) - eta
        two = _share(utilisation.psi, states, eta) - effectiveness
        # Each stops by itself, or a future would depend on those that are computed beside it.
        moves = (np.abs(one) > SETTLED) | (np.abs(two) > SETTLED)
        if not moves.any():
            return eta, effectiveness
        eta, effectiveness = eta + moves * (one >> 1), effectiveness + moves * (two >> 1)
    raise InferenceError("utilisation and effectiveness do not settle", hint="train the model again")


def _share(pair: Pair, states: Integers, other: Integers) -> Integers:
    words = np.hstack([states, other[:, np.newaxis]])
    hidden = (_product(pair.inner.T.astype(np.float64), words) + pair.inner_bias) >> _BITS
    logits = (
        _product(pair.outer[:, np.newaxis].astype(np.float64), np.clip(hidden, 0, LIMIT))[:, 0] + pair.bias
    ) >> _BITS
    return logistic(logits)


# What a future costs, in the integers that plans are in.
#
#     sum over t of  rate x eta + (price of energy + price of its CO2e) x Wh + tardiness x backlog
#     and at the end  price of a unit x backlog
#
# Sums are exact, and rounded up once, as each price of an offer is.

_HOUR_S = 3600
_WH_PER_KWH = 1000
_MG_PER_KG = 1_000_000
_MOST = 2**40


@dataclass(frozen=True, slots=True)
class Prices:
    """Amounts as the owner's calendar and the coordinator's objective have them. Raises InputError if one is out of
    range."""

    rate_per_hour: int = 0
    """Cost of an hour at eta = 1."""
    price_per_kwh: int = 0
    co2e_mg_per_wh: int = 0
    carbon_price_per_kg: int = 0
    tardiness_per_unit_hour: int = 0
    """Cost of a unit of the backlog that waits for an hour."""
    price_per_unit: int = 0
    """What the plan pays for a unit: what is not done by the end of the horizon has not earned it."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= _MOST:
                raise InputError(f"{name} is {value!r}", hint=f"a price is an integer in 0..{_MOST}")

    @property
    def per_wh(self) -> Fraction:
        """Price of a watt-hour with its CO2e."""
        carbon = Fraction(self.co2e_mg_per_wh * self.carbon_price_per_kg, _MG_PER_KG)
        return Fraction(self.price_per_kwh, _WH_PER_KWH) + carbon


def energy_of(model: ProcessModel, rollout: Rollout, place: int) -> Fraction:
    """Wh of future number `place`; 0 for a model without energy. A predicted step below 0 counts as 0."""
    found = model.find(Role.ENERGY)
    if not found:
        return Fraction(0)
    total = sum(max(0, int(value)) for value in rollout.states[place, :, found[0]])
    return Fraction(total, 10 ** model.columns[found[0]].decimals)


def cost_of(model: ProcessModel, rollout: Rollout, place: int, prices: Prices) -> int:
    """Cost of future number `place`, rounded up."""
    hours = Fraction(model.step_s, _HOUR_S)
    total = energy_of(model, rollout, place) * prices.per_wh
    total += hours * prices.rate_per_hour * Fraction(int(rollout.eta[place].sum()), ONE)
    if found := model.find(Role.BACKLOG):
        units = 10 ** model.columns[found[0]].decimals
        total += hours * prices.tardiness_per_unit_hour * Fraction(int(rollout.backlog[place].sum()), units)
        total += prices.price_per_unit * Fraction(int(rollout.backlog[place, -1]), units)
    return -(-total.numerator // total.denominator)


# Whether a model may speak about a machine's present state: the reasons for which it must not.


class Reason(enum.StrEnum):
    """Why no setpoints are proposed."""

    TOO_SHORT = "too-short"
    """There are fewer rows than the model reads."""
    SENSOR_MISSING = "sensor-missing"
    """A value of the latest rows is missing or not finite."""
    SENSOR_STUCK = "sensor-stuck"
    """A sensor reports one value for longer than it ever did in the training data."""
    UNSEEN_REGIME = "unseen-regime"
    """The state is farther from the training data than any of them."""
    OVERHAULED = "overhauled"
    """The machine was overhauled after the model's training data end."""
    UNSTABLE = "unstable"
    """The predicted state runs away, or utilisation and effectiveness do not settle."""
    LIMITS = "limits"
    """No setpoints within bounds and rates keep the state within its limits, or the present ones are out of bounds."""
    NO_GAIN = "no-gain"
    """No setpoints cost less than those that the machine has."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no setpoints are proposed, for a program and for people."""

    reason: Reason
    cause: str
    """One line that names the column and the values."""
    hint: str


@dataclass(frozen=True, slots=True)
class MachineState:
    """A machine's latest telemetry, one row per step, in integers of the model's columns."""

    rows: Sequence[Sequence[int | float | None]]
    """The latest last. None, or a number that is not finite, is a missing value. More rows than the model reads let it
    find sensors that are stuck."""
    arrivals: int = 0
    """Work that arrives per step, in the backlog's integers."""
    overhauled_at: int | None = None
    """Unix time of the machine's last overhaul, if it had one."""


def read_rows(model: ProcessModel, state: MachineState) -> Integers | Refusal:
    """The state's rows (r, c) as integers, or why they cannot be used."""
    width = len(model.columns)
    if len(state.rows) < model.history:
        return Refusal(
            Reason.TOO_SHORT,
            f"{len(state.rows)} rows of telemetry, and the model reads {model.history}",
            "wait for more rows",
        )
    rows = np.zeros((len(state.rows), width), dtype=np.int64)
    for place, row in enumerate(state.rows):
        for at in range(width):
            value = row[at] if at < len(row) else None
            if value is None or not np.isfinite(value) or value != int(value) or abs(value) >= 2**53:
                return Refusal(
                    Reason.SENSOR_MISSING,
                    f"{model.columns[at].name} has no usable value {len(state.rows) - 1 - place} rows back",
                    "check the sensor and its connection",
                )
            rows[place, at] = int(value)
    return rows


def find_obstacle(model: ProcessModel, rows: Integers, overhauled_at: int | None) -> Refusal | None:
    """Why the model must not be used on these rows (r, c); None if it may."""
    if overhauled_at is not None and overhauled_at > model.trained_until:
        return Refusal(
            Reason.OVERHAULED,
            f"the machine was overhauled {overhauled_at - model.trained_until} s after the model's data end",
            "train the model on telemetry from after the overhaul",
        )
    return _find_stuck(model, rows) or _find_unseen(model, rows)


def _find_stuck(model: ProcessModel, rows: Integers) -> Refusal | None:
    for place, column in enumerate(model.columns):
        if not column.still:
            continue
        changes = np.flatnonzero(rows[:, place] != rows[-1, place])
        still = len(rows) - (int(changes[-1]) + 1 if len(changes) else 0)
        # Twice as long as ever before: once is what the next longest run of a healthy sensor may be.
        if still > 2 * column.still:
            return Refusal(
                Reason.SENSOR_STUCK,
                f"{column.name} is {int(rows[-1, place])} for {still} rows, and was at most {column.still} in training",
                "check the sensor",
            )
    return None


def _find_unseen(model: ProcessModel, rows: Integers) -> Refusal | None:
    latest = rows[-1]
    for place, column in enumerate(model.columns):
        if column.role is Role.BACKLOG:
            continue
        room = max(column.high - column.low, 1) // 4 + 1
        if not column.low - room <= latest[place] <= column.high + room:
            return Refusal(
                Reason.UNSEEN_REGIME,
                f"{column.name} is {int(latest[place])}, and was {column.low} to {column.high} in training",
                "train the model on telemetry of this regime",
            )
    if (found := distance(model, latest[np.newaxis])[0]) > model.regime.limit:
        return Refusal(
            Reason.UNSEEN_REGIME,
            f"the state is {found / model.regime.limit:.1f} times as far (squared) from the training data as the limit",
            "train the model on telemetry of this regime",
        )
    return None


def distance(model: ProcessModel, rows: Integers) -> Integers:
    """Squared distance (r,) of rows (r, c) from the training data's mean, whitened, in units of `ONE`^2."""
    counted = [place for place, column in enumerate(model.columns) if column.role is not Role.BACKLOG]
    words = to_words(model.columns, rows)[:, counted]
    whitened = multiply(words.astype(np.float64), model.regime.whitening.T.astype(np.float64)).astype(np.int64) >> 16
    squared: Integers = (np.clip(whitened, -LIMIT, LIMIT) ** 2).sum(axis=1)
    return squared
