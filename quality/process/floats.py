"""A process model in floats, with the gradient of a future's cost by its setpoints. Needs numpy alone.

Only to search: what is proposed is rounded, and judged by the exact rollout. `millmark.quality.process.gradient`
computes the same in Torch, by its automatic differentiation; a test holds the two together.

Everything is in words as floats (1.0 is a standard deviation), for b candidates at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.quality.process.arrays import Simulator, settle, to_words
from millmark.quality.process.costs import Prices
from millmark.quality.process.float_parts import Floats, Joint, Shares, Slopes, describe_pair
from millmark.quality.process.records import ONE, Integers, ProcessModel, Role

__all__ = ["Floats", "Limits", "Objective", "Search", "build_objective"]

_NEWTON = 12
"""Newton's method doubles the digits; from the step before, two or three rounds suffice."""
_CLOSE = 1e-10


@dataclass(frozen=True, slots=True)
class Limits:
    """Smallest and largest word of each predicted column, (n,); infinite where there is no limit."""

    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Objective:
    """What a step costs in floats, with a penalty for what is outside the limits."""

    eta: float
    """Cost of a step at eta = 1."""
    wh: float
    """Cost per word of energy."""
    wh_zero: float
    """Energy's words at 0 Wh; below it, nothing is saved."""
    backlog: float
    """Cost of one of the backlog's integers, waiting for a step."""
    left: float
    """Cost of one of the backlog's integers that is left at the end."""
    limits: Limits
    penalty: float
    """Cost of a squared word outside the limits."""


def build_objective(model: ProcessModel, prices: Prices, limits: Limits, penalty: float) -> Objective:
    hours = model.step_s / 3600
    wh, zero, backlog, left = 0.0, 0.0, 0.0, 0.0
    if found := model.find(Role.ENERGY):
        column = model.columns[found[0]]
        wh, zero = float(prices.per_wh) * column.spread / 10**column.decimals, -column.zero / column.spread
    if found := model.find(Role.BACKLOG):
        units = 10 ** model.columns[found[0]].decimals
        backlog, left = prices.tardiness_per_unit_hour * hours / units, prices.price_per_unit / units
    return Objective(prices.rate_per_hour * hours, wh, zero, backlog, left, limits, penalty)


@dataclass(slots=True)
class _Taken:
    """What a step leaves for the way back."""

    active: NDArray[np.bool_]
    shares: Floats
    """eta and e, (b, 2)."""
    slopes: Slopes | None
    """None without phi and psi."""
    works: Floats
    """1 where throughput is below the backlog, else 0."""


class Search:
    """A future whose setpoints are sought. Its start is that of the exact rollout."""

    def __init__(self, model: ProcessModel, history: Integers, arrivals: int, steps: int, objective: Objective) -> None:
        """`history` (rows, c) in the columns' integers."""
        self.model, self.steps, self.objective = model, steps, objective
        self._n = model.predicted
        self._joint = Joint(model)
        energy = model.find(Role.ENERGY)
        self._energy = energy[0] if energy else None
        self._setpoints = np.array([place - self._n for place in model.find(Role.SETPOINT)], dtype=np.intp)
        backlog = model.find(Role.BACKLOG)
        self._backlog_at = backlog[0] - self._n if backlog else None
        found = model.utilisation
        self._pairs = None if found is None else Shares(found.phi, found.psi)
        self._arrivals = float(arrivals)
        self._start(history)

    def _start(self, history: Integers) -> None:
        exact = Simulator(self.model)
        states, anchors = exact.begin(history[np.newaxis])
        self._state = np.concatenate([state[0] for state in states]) / ONE
        self._anchor = np.concatenate([anchor[0] for anchor in anchors]) / ONE
        self._given = to_words(self.model.columns, history)[-1, self._n :] / ONE
        shares = settle(self.model.utilisation, to_words(self.model.columns, history)[-1:, : self._n])
        self._shares = np.array([float(share[0]) / ONE for share in shares])
        self._backlog = float(history[-1, self._n + self._backlog_at]) if self._backlog_at is not None else 0.0

    def describe(self) -> dict[str, object]:
        """The whole problem in plain numbers, for another solver: matrices and vectors as lists."""
        joint, limits = self._joint, self.objective.limits
        column = None if self._backlog_at is None else self.model.columns[self._n + self._backlog_at]
        utilisation = self.model.utilisation
        found: dict[str, object] = {
            "steps": self.steps,
            "chosen": joint.chosen.tolist(),
            "linear": joint.linear.tolist(),
            "bias": joint.bias.tolist(),
            "inner": joint.inner.tolist(),
            "inner_bias": joint.inner_bias.tolist(),
            "outer": joint.outer.tolist(),
            "state": self._state.tolist(),
            "anchor": self._anchor.tolist(),
            "given": self._given.tolist(),
            "setpoints": self._setpoints.tolist(),
            "low": limits.low.tolist(),
            "high": limits.high.tolist(),
            "energy": self._energy,
            "cost": [
                self.objective.eta,
                self.objective.wh,
                self.objective.wh_zero,
                self.objective.backlog,
                self.objective.left,
                self.objective.penalty,
            ],
        }
        if utilisation is not None and column is not None:
            found["pairs"] = [describe_pair(pair) for pair in (utilisation.phi, utilisation.psi)]
            found["shares"] = self._shares.tolist()
            found["backlog"] = [self._backlog_at, self._backlog, self._arrivals, column.zero, column.spread]
            found["capacity"] = utilisation.capacity
        return found

    def evaluate(self, setpoints: Floats) -> tuple[Floats, Floats]:
        """Costs (b,) and their gradients (b, t, p) for setpoints (b, t, p) in words."""
        count, chosen = len(setpoints), self._joint.chosen
        state = np.repeat(self._state[np.newaxis], count, axis=0)
        shares = np.repeat(self._shares[np.newaxis], count, axis=0)
        backlog = np.full(count, self._backlog)
        cost, taken, reached = np.zeros(count), [], []
        for step in range(self.steps):
            shares, slopes = self._settle(state[:, chosen], shares)
            beside = self._beside(setpoints[:, step], backlog, shares)
            added, active = self._joint.increment(np.concatenate([state, beside], axis=1))
            state = state + added - self._anchor
            backlog, works = self._work_off(backlog, shares)
            taken.append(_Taken(active, shares, slopes, works))
            reached.append(state[:, chosen])
            cost = cost + self._cost(reached[-1], shares[:, 0], backlog)
        return cost + self.objective.left * backlog, self._back(taken, reached)

    def _beside(self, setpoints: Floats, backlog: Floats, shares: Floats) -> Floats:
        words = np.repeat(self._given[np.newaxis], len(setpoints), axis=0)
        words[:, self._setpoints] = setpoints
        if self._backlog_at is None:
            return words
        column = self.model.columns[self._n + self._backlog_at]
        words[:, self._backlog_at] = (backlog - column.zero) / column.spread
        return np.concatenate([words, shares], axis=1)

    def _settle(self, states: Floats, shares: Floats) -> tuple[Floats, Slopes | None]:
        """The fixed point by Newton's method from the shares before, with the slopes of phi and psi there."""
        if self._pairs is None:
            return np.zeros((len(states), 2)), None
        read = self._pairs.read(states)
        for _ in range(_NEWTON):
            found, slopes = self._pairs.at(read, shares)
            off = found - shares
            if np.abs(off).max() < _CLOSE:
                break
            # (I - J)^-1 of the two by two system.
            shares = shares + (off + slopes.by_other * off[:, ::-1]) / slopes.determinant
        return shares, slopes

    def _work_off(self, backlog: Floats, shares: Floats) -> tuple[Floats, Floats]:
        if self.model.utilisation is None:
            return backlog, np.zeros(len(backlog))
        there = backlog + self._arrivals
        left = there - self.model.utilisation.capacity * shares[:, 0] * shares[:, 1]
        return np.maximum(left, 0), (left > 0).astype(np.float64)

    def _cost(self, states: Floats, eta: Floats, backlog: Floats) -> Floats:
        objective = self.objective
        cost: Floats = objective.eta * eta + objective.backlog * backlog
        if self._energy is not None:
            cost = cost + objective.wh * np.maximum(states[:, self._energy] - objective.wh_zero, 0)
        outside: Floats = (self._outside(states) ** 2).sum(axis=1)
        return cost + objective.penalty * outside

    def _outside(self, states: Floats) -> Floats:
        """By how much each word is above (positive) or below (negative) its limits."""
        limits = self.objective.limits
        outside: Floats = np.maximum(states - limits.high, 0) + np.minimum(states - limits.low, 0)
        return outside

    def _back(self, taken: list[_Taken], reached: list[Floats]) -> Floats:
        """The gradient, from the last step to the first."""
        count, chosen = len(reached[0]), self._joint.chosen
        pull = np.zeros((count, self._joint.size))
        by_backlog = np.full(count, self.objective.left)
        gradient = np.zeros((count, self.steps, len(self._setpoints)))
        for step in range(self.steps - 1, -1, -1):
            kept = taken[step]
            pull[:, chosen] += self._cost_slope(reached[step])
            by_backlog = by_backlog + self.objective.backlog
            words = self._joint.pull(pull, kept.active)
            pull = pull + words[:, : self._joint.size]
            beside = words[:, self._joint.size :]
            gradient[:, step] = beside[:, self._setpoints]
            by_state, by_backlog = self._pull_shares(beside, by_backlog, kept)
            pull[:, chosen] += by_state
        return gradient

    def _pull_shares(self, beside: Floats, by_backlog: Floats, kept: _Taken) -> tuple[Floats | float, Floats]:
        """The gradient by the state (b, n) through throughput and the fixed point, and that by the backlog (b,)."""
        if kept.slopes is None or self._pairs is None or self.model.utilisation is None or self._backlog_at is None:
            return 0.0, by_backlog
        flows = by_backlog * kept.works
        capacity = self.model.utilisation.capacity
        by_shares = beside[:, -2:] - (flows * capacity)[:, np.newaxis] * kept.shares[:, ::-1]
        by_shares[:, 0] += self.objective.eta
        # The implicit function theorem: (I - J)^-T applied to the gradient by the two shares.
        crossed = (by_shares + (kept.slopes.by_other * by_shares)[:, ::-1]) / kept.slopes.determinant
        by_state = self._pairs.pull(kept.slopes, crossed)
        return by_state, flows + beside[:, self._backlog_at] / self.model.columns[self._n + self._backlog_at].spread

    def _cost_slope(self, states: Floats) -> Floats:
        slope: Floats = 2 * self.objective.penalty * self._outside(states)
        if self._energy is not None:
            slope[:, self._energy] += self.objective.wh * (states[:, self._energy] > self.objective.wh_zero)
        return slope
