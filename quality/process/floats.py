"""A process model in floats, with the gradient of a future's cost by its setpoints, and the search by it. Needs numpy
alone.

Only to search: what is proposed is rounded, and judged by the exact rollout. `millmark.quality.process.dynamics`
computes the same in Torch, by its automatic differentiation; a test holds the two together.

Everything is in words as floats (1.0 is a standard deviation), for b candidates at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.process.arrays import Prices, Simulator, settle, to_words
from millmark.quality.process.records import ONE, Integers, Pair, ProcessModel, Role

# The parts of a process model, with their gradients: all systems as one, phi and psi as one.

Floats: TypeAlias = NDArray[np.float64]


class Joint:
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


class Shares:
    """phi and psi as one, with their slopes: their hidden units side by side. Of two shares, eta is the first."""

    def __init__(self, phi: Pair, psi: Pair) -> None:
        split, pairs = len(phi.inner), (phi, psi)
        inner = np.concatenate([pair.inner for pair in pairs]) / ONE
        self._state = inner[:, :-1].T
        self._inner_bias = np.concatenate([pair.inner_bias for pair in pairs]) / ONE**2
        self._bias = np.array([pair.bias for pair in pairs]) / ONE**2
        self._outer = np.zeros((len(inner), 2))
        self._outer[:split, 0], self._outer[split:, 1] = phi.outer / ONE, psi.outer / ONE
        self._other = np.zeros((2, len(inner)))
        # Each reads the other's share.
        self._other[1, :split], self._other[0, split:] = inner[:split, -1], inner[split:, -1]
        self._slope = self._outer * self._other.sum(axis=0)[:, np.newaxis]

    def read(self, states: Floats) -> Floats:
        """The part of the hidden sums (b, k) that the shares do not move."""
        found: Floats = states @ self._state + self._inner_bias
        return found

    def at(self, read: Floats, shares: Floats) -> tuple[Floats, Slopes]:
        """What phi and psi make of two shares (b, 2), and what moves it."""
        sums = read + shares @ self._other
        active = (sums > 0).astype(np.float64)
        logits = np.maximum(sums, 0) @ self._outer + self._bias
        found = 1 / (1 + np.exp(-np.minimum(np.maximum(logits, -8), 8)))
        steep = found * (1 - found)
        return found, Slopes((active @ self._slope) * steep, steep, active)

    def pull(self, slopes: Slopes, gradient: Floats) -> Floats:
        """Gradient by the state (b, n) from that by the two shares (b, 2)."""
        pulled: Floats = (((gradient * slopes.steep) @ self._outer.T) * slopes.active) @ self._state.T
        return pulled


@dataclass(slots=True)
class Slopes:
    by_other: Floats
    """Derivative of each share by the other one, (b, 2)."""
    steep: Floats
    """Derivative of each share by its logit, (b, 2)."""
    active: Floats
    """1 for hidden units that are above 0, (b, k)."""

    @property
    def determinant(self) -> Floats:
        """The determinant of the two by two system I - J; contraction keeps it above 0."""
        found: Floats = 1 - self.by_other[:, 0] * self.by_other[:, 1]
        return found[:, np.newaxis]


def describe_pair(pair: Pair) -> list[object]:
    """Weights of the state (n, k) and of the other share (k,), hidden biases (k,), output weights (k,) and bias."""
    inner = pair.inner / ONE
    parts = inner[:, :-1].T, inner[:, -1], pair.inner_bias / ONE**2, pair.outer / ONE
    return [*(part.tolist() for part in parts), pair.bias / ONE**2]


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


# Spectral projected gradient (Birgin, Martinez and Raydan, 2000) within bounds and rates, for few starts at once.
# Every point that is evaluated is within bounds and rates; what is returned is the best of them.

_ROUNDS: Final = 14
_SHARES: Final = np.array([1.0, 0.3, 0.05])
"""Parts of a step that are tried together: one evaluation of three is cheaper than three."""
_DYKSTRA: Final = 12
_STILL: Final = 1e-5
"""Largest move, in standard deviations, at which the search has arrived."""


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds and rates of p setpoints, (p,) each, in words."""

    low: Floats
    high: Floats
    rate: Floats
    """Largest change from one move to the next."""
    present: Floats
    """What the first move starts from."""


def project(moves: Floats, box: Box) -> Floats:
    """The nearest moves (b, k, p) within bounds and rates, by Dykstra's algorithm; exactly within them in any case."""
    point = np.clip(moves, box.low, box.high)
    first_low, first_high = np.maximum(box.low, box.present - box.rate), np.minimum(box.high, box.present + box.rate)
    low, high = (np.repeat(bound[np.newaxis], moves.shape[1], axis=0) for bound in (box.low, box.high))
    low[0], high[0] = first_low, first_high
    point = np.clip(moves, low, high)
    if moves.shape[1] > 1 and (np.abs(np.diff(point, axis=1)) > box.rate).any():
        point = _dykstra(moves, low, high, box.rate)
    return _follow(point, low, high, box.rate)


def _dykstra(moves: Floats, low: Floats, high: Floats, rate: Floats) -> Floats:
    """Alternates between the bounds, the rates after even moves and those after odd ones; each is simple alone."""
    point, owed = moves, [np.zeros_like(moves) for _ in range(3)]
    for _ in range(_DYKSTRA):
        for kind in range(3):
            shifted = point + owed[kind]
            point = np.clip(shifted, low, high) if kind == 0 else _ease(shifted, kind - 1, rate)
            owed[kind] = shifted - point
    return point


def _ease(moves: Floats, offset: int, rate: Floats) -> Floats:
    """Nearest moves whose changes between 2 i + offset and the next are at most the rate."""
    eased = moves.copy()
    pairs = (moves.shape[1] - offset) // 2
    one, two = slice(offset, offset + 2 * pairs, 2), slice(offset + 1, offset + 2 * pairs, 2)
    change = moves[:, two] - moves[:, one]
    excess = (change - np.clip(change, -rate, rate)) / 2
    eased[:, one] += excess
    eased[:, two] -= excess
    return eased


def _follow(moves: Floats, low: Floats, high: Floats, rate: Floats) -> Floats:
    """Each move clipped to what the one before allows."""
    followed = moves.copy()
    followed[:, 0] = np.clip(moves[:, 0], low[0], high[0])
    for place in range(1, moves.shape[1]):
        before = followed[:, place - 1]
        followed[:, place] = np.clip(
            moves[:, place], np.maximum(low[place], before - rate), np.minimum(high[place], before + rate)
        )
    return followed


def descend(evaluate: Callable[[Floats], tuple[Floats, Floats]], box: Box, start: Floats) -> Floats:
    """The best moves (k, p) found from `start` (k, p), from both ends of the bounds and from their middle. `evaluate`:
    costs (b,) and gradients (b, k, p) of moves (b, k, p)."""
    starts = np.stack([start, start * 0 + box.low, start * 0 + box.high, start * 0 + (box.low + box.high) / 2])
    points = project(starts, box)
    costs, slopes = evaluate(points)
    # The first step crosses the bounds, whatever the unit of cost is.
    width = float(np.maximum(box.high - box.low, 1e-9).max())
    longest = lengths = width / np.maximum(np.abs(slopes).max(axis=(1, 2)), 1e-300)
    for _ in range(_ROUNDS):
        ways = project(points - lengths[:, np.newaxis, np.newaxis] * slopes, box) - points
        if np.abs(ways).max() < _STILL:
            break
        new, new_costs, new_slopes = _try(evaluate, points, ways)
        lower = new_costs < costs
        lengths = _next_lengths(new - points, new_slopes - slopes, lengths, longest)
        lengths = np.where(lower, lengths, lengths / 50)
        kept = lower[:, np.newaxis, np.newaxis]
        points, slopes, costs = (
            np.where(kept, new, points),
            np.where(kept, new_slopes, slopes),
            np.minimum(new_costs, costs),
        )
    best: Floats = points[int(costs.argmin())]
    return best


def _try(
    evaluate: Callable[[Floats], tuple[Floats, Floats]], points: Floats, ways: Floats
) -> tuple[Floats, Floats, Floats]:
    """The cheapest of the points that are tried on each point's way, with costs and gradients. All of them are in the
    set, since it is convex."""
    tried = (points + _SHARES[:, np.newaxis, np.newaxis, np.newaxis] * ways).reshape(-1, *points.shape[1:])
    costs, slopes = evaluate(tried)
    rows = costs.reshape(len(_SHARES), -1).argmin(axis=0) * len(points) + np.arange(len(points))
    return tried[rows], costs[rows], slopes[rows]


def _next_lengths(change: Floats, bend: Floats, lengths: Floats, longest: Floats) -> Floats:
    """Barzilai and Borwein's length where the cost is convex along the step, else a longer one."""
    change, bend = change.reshape(len(change), -1), bend.reshape(len(bend), -1)
    curved, squared = (change * bend).sum(axis=1), (change**2).sum(axis=1)
    usable = curved > 1e-12 * squared
    found = np.where(usable, squared / np.where(usable, curved, 1), lengths * 4)
    clipped: Floats = np.clip(found, longest * 1e-6, longest * 1e3)
    return clipped
