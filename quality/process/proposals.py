"""Setpoints proposed for a machine, or the reason why none are. Needs numpy alone.

The search goes by the gradient through the rollout; what it finds is rounded to the setpoints' integers, and only
proposed if the exact rollout, whose costs are integers, says that it is cheaper than the setpoints that the machine
has, or that it leaves the limits less. So nothing float is in a proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from millmark.quality.errors import InferenceError, InputError
from millmark.quality.process.arrays import Rollout, Simulator
from millmark.quality.process.costs import Prices, cost_of, energy_of
from millmark.quality.process.floats import Floats, Limits, Search, build_objective
from millmark.quality.process.format import build_process_model, process_digest
from millmark.quality.process.records import Integers, ProcessModel, Role
from millmark.quality.process.search import Box, descend
from millmark.quality.process.watching import MachineState, Reason, Refusal, find_obstacle, read_rows

__all__ = ["Attempt", "Bound", "Outcome", "Prices", "Proposal", "Reason", "Refusal", "Step", "propose_setpoint"]

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
    state: MachineState,
    bounds: Mapping[str, Bound],
    limits: Mapping[str, tuple[int, int]],
    prices: Prices,
    step: Step | None = None,
) -> Proposal | Refusal:
    """Setpoints for a machine in this state, or why there are none.

    `bounds` by setpoint; one that has none stays as it is. `limits`: smallest and largest value of predicted columns,
    in their integers. Raises InputError for a column that the model does not have.
    """
    step = step or Step()
    rows = read_rows(model, state)
    if isinstance(rows, Refusal):
        return rows
    _find_columns(model, bounds, limits)
    if obstacle := find_obstacle(model, rows, state.overhauled_at) or _find_out_of_bounds(model, rows, bounds):
        return obstacle
    try:
        return Attempt(model, rows, state.arrivals, bounds, limits, prices, step).propose()
    except InferenceError as error:
        return Refusal(Reason.UNSTABLE, error.cause, error.hint)


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


def _find_out_of_bounds(model: ProcessModel, rows: Integers, bounds: Mapping[str, Bound]) -> Refusal | None:
    for place in model.find(Role.SETPOINT):
        bound, value = bounds.get(model.columns[place].name), int(rows[-1, place])
        if bound is not None and not bound.low <= value <= bound.high:
            return Refusal(
                Reason.LIMITS,
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
        prices: Prices,
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

    def propose(self) -> Proposal | Refusal:
        present = np.repeat(self._present[np.newaxis], self._step.moves, axis=0)
        search, box = self.prepare()
        found = self.round(descend(self._evaluate(search), box, (present - self._zeros) / self._spreads))
        rollout = self._roll(np.stack([present, found]))
        if rollout.ran_away.any():
            return Refusal(Reason.UNSTABLE, "the predicted state runs away", "train the model again")
        kept, expected = self._judge(rollout, 0), self._judge(rollout, 1)
        if expected.outside and expected.outside >= kept.outside:
            cause = f"the states leave their limits by {expected.outside} in sum, whatever is set"
            return Refusal(Reason.LIMITS, cause, "widen the bounds or the rates of the setpoints, or stop the machine")
        if (expected.outside, expected.cost) >= (kept.outside, kept.cost):
            return Refusal(Reason.NO_GAIN, f"the present setpoints cost {kept.cost}, and none cost less", "keep them")
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

    def _roll(self, moves: Integers) -> Rollout:
        """The exact futures of moves (b, k, p)."""
        n = self._model.predicted
        setpoints = np.repeat(moves, self._step.hold, axis=1)
        inputs = np.broadcast_to(self._rows[-1, n:], (*setpoints.shape[:2], len(self._model.columns) - n)).copy()
        inputs[:, :, np.array(self._places) - n] = setpoints
        history = np.repeat(self._rows[np.newaxis, -self._model.history :], len(moves), axis=0)
        arrivals = np.full(setpoints.shape[:2], self._arrivals, dtype=np.int64)
        return Simulator(self._model).roll(history, inputs, arrivals)

    def _judge(self, rollout: Rollout, place: int) -> Outcome:
        states, columns = rollout.states[place], self._model.columns[: self._model.predicted]
        outside = 0
        for at, column in enumerate(columns):
            if column.name in self._limits:
                low, high = self._limits[column.name]
                outside += int(np.maximum(states[:, at] - high, 0).sum() + np.maximum(low - states[:, at], 0).sum())
        eta, e = int(rollout.eta[place, -1]), int(rollout.effectiveness[place, -1])
        return Outcome(
            cost=cost_of(self._model, rollout, place, self._prices),
            energy_wh=round(energy_of(self._model, rollout, place)),
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
