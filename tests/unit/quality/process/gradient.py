"""The cost of a future and its gradient by the setpoints, by Torch's automatic differentiation.

The same function as `millmark.quality.process.floats`, written apart from it: the fixed point is solved by rounds that
Torch follows, not by Newton's method and the implicit function theorem. A test holds the two together.
"""

from __future__ import annotations

import numpy as np
import torch

from millmark.quality.process.arrays import Simulator, settle, to_words
from millmark.quality.process.floats import Floats, Objective
from millmark.quality.process.records import ONE, Integers, Pair, ProcessModel, Role, System

_FIXED_POINT_ROUNDS = 120


def cost_and_gradient(
    model: ProcessModel, history: Integers, arrivals: int, objective: Objective, setpoints: Floats
) -> tuple[float, Floats]:
    """Cost of setpoints (t, p) in words, from a history (rows, c) in the columns' integers, and its gradient (t, p)."""
    moves = torch.tensor(setpoints, dtype=torch.float64, requires_grad=True)
    cost = _roll(model, history, arrivals, objective, moves)
    cost.backward()  # type: ignore[no-untyped-call]
    if moves.grad is None:
        raise AssertionError("the cost does not depend on the setpoints")
    return float(cost.detach()), moves.grad.numpy()


def _roll(
    model: ProcessModel, history: Integers, arrivals: int, objective: Objective, moves: torch.Tensor
) -> torch.Tensor:
    n, words = model.predicted, to_words(model.columns, history)
    begun, anchored = Simulator(model).begin(history[np.newaxis])
    states, anchors = ([torch.from_numpy(part[0] / ONE) for part in parts] for parts in (begun, anchored))
    given = torch.from_numpy(words[-1, n:] / ONE)
    eta, e = (
        torch.tensor(float(share[0]) / ONE, dtype=torch.float64) for share in settle(model.utilisation, words[-1:, :n])
    )
    places, backlog_at = [place - n for place in model.find(Role.SETPOINT)], model.find(Role.BACKLOG)
    backlog = torch.tensor(float(history[-1, backlog_at[0]]) if backlog_at else 0.0, dtype=torch.float64)
    gate = torch.tensor(list(model.gate))
    cost = torch.zeros((), dtype=torch.float64)
    for move in moves:
        chosen = _choose(states, gate, n)
        beside = given.index_put((torch.tensor(places),), move)
        if model.utilisation is not None:
            eta, e = _settle(model.utilisation.phi, model.utilisation.psi, chosen, eta, e)
            column = model.columns[backlog_at[0]]
            word = (backlog - column.zero) / column.spread
            beside = beside.index_put((torch.tensor([backlog_at[0] - n]),), word[None])
            beside = torch.cat([beside, eta[None], e[None]])
            backlog = torch.relu(backlog + arrivals - model.utilisation.capacity * eta * e)
        states = [
            state + _increment(system, torch.cat([state, beside])) - anchor
            for system, state, anchor in zip(model.systems, states, anchors, strict=True)
        ]
        cost = cost + _cost(model, objective, _choose(states, gate, n), eta, backlog)
    return cost + objective.left * backlog


def _choose(states: list[torch.Tensor], gate: torch.Tensor, n: int) -> torch.Tensor:
    return states[0][:n] if len(states) == 1 else torch.where(gate == 1, states[1][:n], states[0][:n])


def _increment(system: System, words: torch.Tensor) -> torch.Tensor:
    linear, inner, outer = (torch.from_numpy(part / ONE) for part in (system.linear, system.inner, system.outer))
    bias, inner_bias = (torch.from_numpy(part / ONE**2) for part in (system.bias, system.inner_bias))
    return linear @ words + bias + outer @ torch.relu(inner @ words + inner_bias)


def _settle(
    phi: Pair, psi: Pair, states: torch.Tensor, eta: torch.Tensor, e: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    for _ in range(_FIXED_POINT_ROUNDS):
        eta, e = _share_of(phi, states, e), _share_of(psi, states, eta)
    return eta, e


def _share_of(pair: Pair, states: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    inner, outer = torch.from_numpy(pair.inner / ONE), torch.from_numpy(pair.outer / ONE)
    hidden = torch.relu(inner @ torch.cat([states, other[None]]) + torch.from_numpy(pair.inner_bias / ONE**2))
    return torch.sigmoid((outer @ hidden + pair.bias / ONE**2).clamp(-8, 8))


def _cost(
    model: ProcessModel, objective: Objective, states: torch.Tensor, eta: torch.Tensor, backlog: torch.Tensor
) -> torch.Tensor:
    cost = objective.eta * eta + objective.backlog * backlog
    if found := model.find(Role.ENERGY):
        cost = cost + objective.wh * torch.relu(states[found[0]] - objective.wh_zero)
    low, high = (torch.from_numpy(bound) for bound in (objective.limits.low, objective.limits.high))
    outside = torch.relu(states - high) + torch.relu(low - states)
    return cost + objective.penalty * (outside**2).sum()
