"""The float models that are trained: a system with a residual network, and phi and psi. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from millmark.quality.process.floats import Floats
from millmark.quality.process.records import ONE, Pair, System

# A linear ARX by least squares: what the network has to beat, column by column.


def fit_arx(runs: Sequence[Floats], shares: Sequence[Floats], predicted: int, order: int, ridge: float) -> System:
    """x(t+1) = sum over i < order of A_i x(t-i) + B_i u(t-i), + B eta, e + c, fitted one step ahead. `runs`: words (r,
    c) of each run; `shares`: eta and e (r, 2) of the same rows, or (r, 0). `ridge`: the penalty of a squared weight,
    per row. The system's memory is the earlier rows."""
    columns = runs[0].shape[1]
    inputs, outputs = [], []
    for run, share in zip(runs, shares, strict=True):
        if len(run) <= order:
            continue
        last = len(run) - 1
        lagged = [run[order - 1 - lag : last - lag] for lag in range(order)]
        now = share[order - 1 : last]
        inputs.append(np.hstack([*lagged, now, np.ones((len(now), 1))]))
        outputs.append(run[order:, :predicted])
    design, wanted = np.vstack(inputs), np.vstack(outputs)
    penalty = np.full(design.shape[1], ridge * len(design))
    penalty[-1] = 0
    # The normal equations with a ridge are well conditioned, collinear columns included.
    weights = np.linalg.solve(design.T @ design + np.diag(penalty + 1e-9 * len(design)), design.T @ wanted).T
    return _companion(weights, columns, predicted, order)


def _companion(weights: Floats, columns: int, predicted: int, order: int) -> System:
    """The system whose memory holds the earlier rows, so that one step is one product."""
    memory = (order - 1) * columns
    rows = predicted + memory
    shared = weights.shape[1] - 1 - order * columns
    # The words of a step: state, memory (the earlier rows, the latest first), the other columns, eta and e.
    width = rows + columns - predicted + shared
    linear = np.zeros((rows, width))
    linear[:predicted, :predicted] = weights[:, :predicted] - np.eye(predicted)
    linear[:predicted, rows : rows + columns - predicted] = weights[:, predicted:columns]
    linear[:predicted, predicted:rows] = weights[:, columns : order * columns]
    linear[:predicted, width - shared :] = weights[:, order * columns : order * columns + shared]
    encoder = np.zeros((rows, order * columns))
    for lag in range(1, order):
        block = predicted + (lag - 1) * columns
        linear[block : block + columns, block : block + columns] -= np.eye(columns)
        if lag == 1:
            linear[block : block + predicted, :predicted] += np.eye(predicted)
            linear[block + predicted : block + columns, rows : rows + columns - predicted] += np.eye(
                columns - predicted
            )
        else:
            linear[block : block + columns, block - columns : block] += np.eye(columns)
        encoder[block : block + columns, (order - 1 - lag) * columns : (order - lag) * columns] = np.eye(columns)
    bias = np.zeros(rows)
    bias[:predicted] = weights[:, -1]
    return System(
        anchored=False,
        history=order,
        memory=memory,
        encoder=to_integers(encoder),
        linear=to_integers(linear),
        bias=to_integers(bias, 2),
        inner=np.zeros((0, width), dtype=np.int64),
        inner_bias=np.zeros(0, dtype=np.int64),
        outer=np.zeros((rows, 0), dtype=np.int64),
    )


def to_integers(values: Floats, scales: int = 1) -> NDArray[np.int64]:
    """Weights with 16 bits after the point; biases, which are added to products, with twice as many."""
    found: NDArray[np.int64] = np.rint(values * float(ONE) ** scales).astype(np.int64)
    return found


_SLOPE = 0.75
"""Largest slope that training leaves phi and psi; the format allows 0.8."""
_ROUNDS = 8
"""Rounds of the fixed point in training, from the step before: they contract by at most 0.75 each."""
_CAP = 64.0
"""As `LIMIT`: what runs away in training must not become infinite."""


class ShareNetwork(nn.Module):
    """phi or psi: a share from the state and the other share, through one hidden layer and the logistic curve."""

    def __init__(self, predicted: int, hidden: int = 12) -> None:
        super().__init__()
        self.inner = nn.Linear(predicted + 1, hidden)
        self.outer = nn.Linear(hidden, 1)

    def forward(self, states: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Compute the share, (b,), from states, (b, n), and the other share, (b,)."""
        words = torch.cat([states, other[:, None]], dim=1)
        logits: torch.Tensor = self.outer(torch.relu(self.inner(words)))[:, 0]
        return torch.sigmoid(logits.clamp(-8, 8))

    def contract(self) -> None:
        """Shrink the weights of the other share until the slope is at most `_SLOPE`."""
        with torch.no_grad():
            slope = float((self.outer.weight[0].abs() * self.inner.weight[:, -1].abs()).sum()) / 4
            if slope > _SLOPE:
                self.inner.weight[:, -1] *= _SLOPE / slope

    def export(self) -> Pair:
        inner, outer = (_numbers(layer.weight) for layer in (self.inner, self.outer))
        biases = _numbers(self.inner.bias), _numbers(self.outer.bias)
        return Pair(
            to_integers(inner), to_integers(biases[0], 2), to_integers(outer[0]), int(to_integers(biases[1], 2)[0])
        )


def fit_shares(states: Floats, eta: Floats, e: Floats, seed: int, rounds: int = 600) -> tuple[Pair, Pair]:
    """phi and psi that fit shares (r,) to states (r, n), each with the other share as it was measured. They contract:
    their slopes are cut back after every step. Raises ModelError if the export does not fit the format."""
    torch.manual_seed(seed)
    tensors = tuple(torch.from_numpy(part).float() for part in (states, eta, e))
    found = []
    for wanted, other in ((tensors[1], tensors[2]), (tensors[2], tensors[1])):
        network = ShareNetwork(states.shape[1])
        optimiser = torch.optim.Adam(network.parameters(), 1e-2, weight_decay=1e-5)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=rounds)
        for _ in range(rounds):
            rows = torch.randint(0, len(wanted), (min(512, len(wanted)),))
            loss = nn.functional.mse_loss(network(tensors[0][rows], other[rows]), wanted[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            network.contract()
        found.append(network.export())
    return found[0], found[1]


def settle_floats(
    pairs: tuple[Pair, Pair], states: torch.Tensor, eta: torch.Tensor, e: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The fixed point of exported phi and psi, in floats, differentiable by the state."""
    for _ in range(_ROUNDS):
        eta = _share(pairs[0], states, e)
        e = _share(pairs[1], states, eta)
    return eta, e


def _share(pair: Pair, states: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    inner, outer = (torch.from_numpy(part / ONE).to(states.dtype) for part in (pair.inner, pair.outer))
    bias = torch.from_numpy(pair.inner_bias / ONE**2).to(states.dtype)
    hidden = torch.relu(torch.cat([states, other[:, None]], dim=1) @ inner.T + bias)
    return torch.sigmoid((hidden @ outer + pair.bias / ONE**2).clamp(-8, 8))


class FloatSystem(nn.Module):
    """A linear part, a small residual network, and an initial state that is learned from the history."""

    def __init__(self, columns: int, predicted: int, others: int, history: int, hidden: int, *, anchored: bool) -> None:
        super().__init__()
        self.predicted, self.memory, self.history, self.anchored = predicted, predicted, history, anchored
        rows, width = 2 * predicted, 2 * predicted + others
        linear = torch.zeros(rows, width)
        # The memory starts as a slow drift of the state, which is what an unmeasured disturbance looks like.
        linear[:predicted, predicted:rows] = 0.3 * torch.eye(predicted)
        linear[predicted:, predicted:rows] = -0.05 * torch.eye(predicted)
        linear[:predicted, :predicted] = -0.05 * torch.eye(predicted)
        self.linear = nn.Parameter(linear)
        self.bias = nn.Parameter(torch.zeros(rows))
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Parameter(torch.zeros(rows, hidden))
        self.encoder = nn.Parameter(torch.zeros(rows, history * columns))

    def begin(self, words: torch.Tensor) -> torch.Tensor:
        """Initial state (b, S) from the history's words (b, h, c)."""
        read = words - words[:, -1:] if self.anchored else words
        state = torch.cat([words[:, -1, : self.predicted], words.new_zeros(len(words), self.memory)], dim=1)
        return state + read.flatten(1) @ self.encoder.T

    def increment(self, words: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.inner(words))
        return words @ self.linear.T + self.bias + hidden @ self.outer.T

    def anchor(self, state: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        if not self.anchored:
            return torch.zeros_like(state)
        still = torch.cat([state[:, : self.predicted], torch.zeros_like(state[:, self.predicted :])], dim=1)
        return self.increment(torch.cat([still, beside], dim=1))

    def roll(self, words: torch.Tensor, steps: int, pairs: tuple[Pair, Pair] | None) -> torch.Tensor:
        """Predicted words (b, steps, n) from windows (b, h + steps, c); the last `steps` rows give the inputs alone."""
        n, latest = self.predicted, self.history - 1
        state = self.begin(words[:, : self.history])
        half = words.new_full((len(words),), 0.5)
        shares = settle_floats(pairs, words[:, latest, :n], half, half) if pairs else None
        anchor = self.anchor(state, self._beside(words[:, latest], shares))
        found = []
        for step in range(steps):
            if pairs and shares is not None:
                shares = settle_floats(pairs, state[:, :n], *shares)
            beside = self._beside(words[:, latest + step], shares)
            state = (state + self.increment(torch.cat([state, beside], dim=1)) - anchor).clamp(-_CAP, _CAP)
            found.append(state[:, :n])
        return torch.stack(found, dim=1)

    def _beside(self, row: torch.Tensor, shares: tuple[torch.Tensor, torch.Tensor] | None) -> torch.Tensor:
        given = row[:, self.predicted :]
        return given if shares is None else torch.cat([given, shares[0][:, None], shares[1][:, None]], dim=1)

    def penalty(self) -> torch.Tensor:
        """Squares of the weights; those that reach the state through the network weigh ten times as much."""
        squares: torch.Tensor = self.outer.pow(2).sum()
        for part in (self.linear, self.inner.weight, self.encoder):
            squares = squares + 0.1 * part.pow(2).sum()
        return squares

    def export(self) -> System:
        return System(
            anchored=self.anchored,
            history=self.history,
            memory=self.memory,
            encoder=to_integers(_numbers(self.encoder)),
            linear=to_integers(_numbers(self.linear)),
            # An anchored system's bias cancels.
            bias=to_integers(_numbers(self.bias), 2) * (not self.anchored),
            inner=to_integers(_numbers(self.inner.weight)),
            inner_bias=to_integers(_numbers(self.inner.bias), 2),
            outer=to_integers(_numbers(self.outer)),
        )


def _numbers(tensor: torch.Tensor) -> Floats:
    return tensor.detach().numpy().astype(np.float64)


def windows(runs: Sequence[Floats], rows: int, stride: int) -> Floats:
    """All windows (b, rows, c) of the runs (r, c), every `stride` rows."""
    found = [
        np.stack([run[start : start + rows] for start in range(0, len(run) - rows + 1, stride)])
        for run in runs
        if len(run) >= rows
    ]
    return np.concatenate(found) if found else np.zeros((0, rows, runs[0].shape[1]))
