"""The parts of a process model in floats, with their gradients: all systems as one, phi and psi as one. Needs numpy.

Everything is in words as floats (1.0 is a standard deviation), for b candidates at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.process.records import ONE, Integers, Pair, ProcessModel

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
