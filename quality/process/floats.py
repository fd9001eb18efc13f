"""A process model in floats, with the gradient of a future's cost by its setpoints. Needs numpy alone.

Only to search: what is proposed is rounded, and judged by the exact rollout. `quality.process.gradient` computes the
same in Torch, by its automatic differentiation; a test holds the two together.

Everything is in words as floats (1.0 is a standard deviation), for b candidates at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quality.process.arrays import Simulator, settle, to_words
from quality.process.costs import Prices
from quality.process.records import ONE, Integers, Pair, ProcessModel, Role

__all__ = ["Floats", "Limits", "Objective", "Search", "build_objective"]

Floats: TypeAlias = NDArray[np.float64]
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


class _Joint:
    """All systems of a model as one: their states side by side, the words beside them shared."""

    def __init__(self, model: ProcessModel) -> None:
        n = model.predicted
        sizes = [n + system.memory for system in model.systems]
        self.size = sum(sizes)
        starts = np.cumsum([0, *sizes[:-1]])
        gate = np.frombuffer(model.gate, dtype=np.uint8).astype(np.intp)
        self.chosen = starts[gate] + np.arange(n)
        """Places of the predicted columns that the gate chooses, (n,)."""
        self.linear = _side_by_side([system.linear for system in model.systems], sizes, by_state=True)
        self.outer = _side_by_side([system.outer for system in model.systems], sizes, by_state=False)
        self.inner = np.concatenate(
            [
                _widen(system.inner / ONE, start, size, self.size)
                for system, start, size in zip(model.systems, starts, sizes, strict=True)
            ]
        )
        self.bias = np.concatenate([system.bias for system in model.systems]) / ONE**2
        self.inner_bias = np.concatenate([system.inner_bias for system in model.systems]) / ONE**2

    def increment(self, words: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        hidden = words @ self.inner.T + self.inner_bias
        added: Floats = words @ self.linear.T + self.bias + np.maximum(hidden, 0) @ self.outer.T
        return added, hidden > 0

    def pull(self, gradient: Floats, active: NDArray[np.bool_]) -> Floats:
        """Gradient by the words (b, D) from that by the increment (b, S)."""
        pulled: Floats = gradient @ self.linear + ((gradient @ self.outer) * active) @ self.inner
        return pulled


def _widen(weights: Floats, start: int, size: int, whole: int) -> Floats:
    """Weights of a system's own words (k, size + m), by the words of all systems (k, whole + m)."""
    left, right = np.zeros((len(weights), start)), np.zeros((len(weights), whole - start - size))
    return np.hstack([left, weights[:, :size], right, weights[:, size:]])


def _side_by_side(parts: Sequence[Integers], sizes: Sequence[int], *, by_state: bool) -> Floats:
    """Weights of each system in the rows of its own state: by words of all systems, or by all hidden units."""
    whole = sum(sizes) if by_state else sum(part.shape[1] for part in parts)
    rows, start = [], 0
    for part, size in zip(parts, sizes, strict=True):
        own = size if by_state else part.shape[1]
        rows.append(_widen(part / ONE, start, own, whole))
        start += own
    return np.concatenate(rows)


class _FloatPair:
    """phi or psi, with its slopes."""

    def __init__(self, pair: Pair) -> None:
        self._state, self._other = pair.inner[:, :-1].T / ONE, pair.inner[:, -1] / ONE
        self._inner_bias, self._outer, self._bias = pair.inner_bias / ONE**2, pair.outer / ONE, pair.bias / ONE**2

    def describe(self) -> list[object]:
        """Weights of the state (n, k) and of the other share (k,), hidden biases (k,), output weights (k,) and bias."""
        parts = self._state, self._other, self._inner_bias, self._outer
        return [*(part.tolist() for part in parts), float(self._bias)]

    def read(self, states: Floats) -> Floats:
        """The part of the hidden sums (b, k) that the other share does not move."""
        found: Floats = states @ self._state + self._inner_bias
        return found

    def at(self, read: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
        """Share, slope in the other share, and the weights (b, k) with which the state moves it."""
        sums = read + other[:, np.newaxis] * self._other
        share = 1 / (1 + np.exp(-np.clip(np.maximum(sums, 0) @ self._outer + self._bias, -8, 8)))
        moved = (sums > 0) * self._outer * (share * (1 - share))[:, np.newaxis]
        return share, moved @ self._other, moved

    def pull(self, moved: Floats, gradient: Floats) -> Floats:
        pulled: Floats = gradient[:, np.newaxis] * moved @ self._state.T
        return pulled


@dataclass(slots=True)
class _Taken:
    """What a step leaves for the way back."""

    active: NDArray[np.bool_]
    eta: Floats
    effectiveness: Floats
    slopes: tuple[Floats, Floats]
    moved: tuple[Floats, Floats]
    works: Floats
    """1 where throughput is below the backlog, else 0."""


class Search:
    """A future whose setpoints are sought. Its start is that of the exact rollout."""

    def __init__(self, model: ProcessModel, history: Integers, arrivals: int, steps: int, objective: Objective) -> None:
        """`history` (rows, c) in the columns' integers."""
        self.model, self.steps, self.objective = model, steps, objective
        self._n = model.predicted
        self._joint = _Joint(model)
        energy = model.find(Role.ENERGY)
        self._energy = energy[0] if energy else None
        self._setpoints = np.array([place - self._n for place in model.find(Role.SETPOINT)], dtype=np.intp)
        backlog = model.find(Role.BACKLOG)
        self._backlog_at = backlog[0] - self._n if backlog else None
        self._pairs = None
        if model.utilisation is not None:
            self._pairs = _FloatPair(model.utilisation.phi), _FloatPair(model.utilisation.psi)
        self._arrivals = float(arrivals)
        self._start(history)

    def _start(self, history: Integers) -> None:
        exact = Simulator(self.model)
        states, anchors = exact.begin(history[np.newaxis])
        self._state = np.concatenate([state[0] for state in states]) / ONE
        self._anchor = np.concatenate([anchor[0] for anchor in anchors]) / ONE
        self._given = to_words(self.model.columns, history)[-1, self._n :] / ONE
        shares = settle(self.model.utilisation, to_words(self.model.columns, history)[-1:, : self._n])
        self._shares = float(shares[0][0]) / ONE, float(shares[1][0]) / ONE
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
        if self._pairs is not None and utilisation is not None and column is not None:
            found["pairs"] = [pair.describe() for pair in self._pairs]
            found["shares"] = list(self._shares)
            found["backlog"] = [self._backlog_at, self._backlog, self._arrivals, column.zero, column.spread]
            found["capacity"] = utilisation.capacity
        return found

    def evaluate(self, setpoints: Floats) -> tuple[Floats, Floats]:
        """Costs (b,) and their gradients (b, t, p) for setpoints (b, t, p) in words."""
        count, chosen = len(setpoints), self._joint.chosen
        state = np.repeat(self._state[np.newaxis], count, axis=0)
        eta, effectiveness = (np.full(count, share) for share in self._shares)
        backlog = np.full(count, self._backlog)
        cost, taken, reached = np.zeros(count), [], []
        for step in range(self.steps):
            eta, effectiveness, slopes, moved = self._settle(state[:, chosen], eta, effectiveness)
            beside = self._beside(setpoints[:, step], backlog, eta, effectiveness)
            added, active = self._joint.increment(np.concatenate([state, beside], axis=1))
            state = state + added - self._anchor
            backlog, works = self._work_off(backlog, eta, effectiveness)
            taken.append(_Taken(active, eta, effectiveness, slopes, moved, works))
            reached.append(state[:, chosen])
            cost = cost + self._cost(reached[-1], eta, backlog)
        return cost + self.objective.left * backlog, self._back(taken, reached)

    def _beside(self, setpoints: Floats, backlog: Floats, eta: Floats, effectiveness: Floats) -> Floats:
        words = np.repeat(self._given[np.newaxis], len(setpoints), axis=0)
        words[:, self._setpoints] = setpoints
        if self._backlog_at is None:
            return words
        column = self.model.columns[self._n + self._backlog_at]
        words[:, self._backlog_at] = (backlog - column.zero) / column.spread
        return np.concatenate([words, eta[:, np.newaxis], effectiveness[:, np.newaxis]], axis=1)

    def _settle(
        self, states: Floats, eta: Floats, effectiveness: Floats
    ) -> tuple[Floats, Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
        """The fixed point by Newton's method, with the slopes of phi and psi there."""
        nothing = np.zeros(len(states))
        if self._pairs is None:
            empty = np.zeros((len(states), 0))
            return nothing, nothing, (nothing, nothing), (empty, empty)
        phi, psi = self._pairs
        read_phi, read_psi = phi.read(states), psi.read(states)
        for _ in range(_NEWTON):
            one, slope_one, moved_one = phi.at(read_phi, effectiveness)
            two, slope_two, moved_two = psi.at(read_psi, eta)
            off_one, off_two = one - eta, two - effectiveness
            if max(np.abs(off_one).max(), np.abs(off_two).max()) < _CLOSE:
                break
            # (I - J)^-1 of the two by two system; contraction keeps the determinant above 0.
            determinant = 1 - slope_one * slope_two
            eta = eta + (off_one + slope_one * off_two) / determinant
            effectiveness = effectiveness + (off_two + slope_two * off_one) / determinant
        return eta, effectiveness, (slope_one, slope_two), (moved_one, moved_two)

    def _work_off(self, backlog: Floats, eta: Floats, effectiveness: Floats) -> tuple[Floats, Floats]:
        if self.model.utilisation is None:
            return backlog, np.zeros(len(backlog))
        there = backlog + self._arrivals
        left = there - self.model.utilisation.capacity * eta * effectiveness
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
        if self._pairs is None or self.model.utilisation is None or self._backlog_at is None:
            return 0.0, by_backlog
        flows = by_backlog * kept.works
        capacity = self.model.utilisation.capacity
        by_eta = beside[:, -2] + self.objective.eta - flows * capacity * kept.effectiveness
        by_effectiveness = beside[:, -1] - flows * capacity * kept.eta
        # The implicit function theorem: (I - J)^-T applied to the gradient by the two shares.
        slope_one, slope_two = kept.slopes
        determinant = 1 - slope_one * slope_two
        one = (by_eta + slope_two * by_effectiveness) / determinant
        two = (by_effectiveness + slope_one * by_eta) / determinant
        phi, psi = self._pairs
        by_state = phi.pull(kept.moved[0], one) + psi.pull(kept.moved[1], two)
        return by_state, flows + beside[:, self._backlog_at] / self.model.columns[self._n + self._backlog_at].spread

    def _cost_slope(self, states: Floats) -> Floats:
        slope: Floats = 2 * self.objective.penalty * self._outside(states)
        if self._energy is not None:
            slope[:, self._energy] += self.objective.wh * (states[:, self._energy] > self.objective.wh_zero)
        return slope
