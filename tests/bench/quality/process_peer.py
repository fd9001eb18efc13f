"""Answers questions about setpoints with CasADi and IPOPT: run by the peers' Python, not imported.

PYTHON process_peer.py QUESTIONS.json

The model, its start, the cost and the bounds are the same numbers. Variables are the moves; eta and e are solved by
rounds within the function, since with phi and psi as constraints IPOPT did not converge; rates are constraints. It
starts from the present setpoints, from the middle of the bounds and from both ends; the best answer counts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

_SETTLED = 12
"""Rounds of the fixed point, each of which leaves a quarter of what is missing."""
_ROUND = 1e-3
"""Half of it is by how much a kink is rounded."""


def main(path: str) -> None:
    answers = [solve(question) for question in json.loads(Path(path).read_text())]
    sys.stdout.write(json.dumps(answers) + "\n")


def solve(question: dict[str, Any]) -> dict[str, Any]:
    began = time.process_time()
    box = question["box"]
    low, high = np.array(box["low"]), np.array(box["high"])
    found = [attempt(question, start) for start in (np.array(box["present"]), (low + high) / 2, low, high)]
    best = min(found, key=lambda one: (not one["solved"], one["cost"]))
    return {**best, "cpu_ms": 1000 * (time.process_time() - began)}


def attempt(question: dict[str, Any], start: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, Any]:
    problem, moves = ca.Opti(), []
    linear, inner, outer = (ca.DM(np.array(question[name])) for name in ("linear", "inner", "outer"))
    bias, inner_bias, anchor = (ca.DM(question[name]) for name in ("bias", "inner_bias", "anchor"))
    by_eta, by_wh, wh_zero, by_backlog, left, penalty = question["cost"]
    box, low, high = question["box"], np.array(question["low"]), np.array(question["high"])
    place, backlog, arrivals, zero, spread = question["backlog"]
    state, before, cost = ca.DM(question["state"]), ca.DM(box["present"]), 0
    eta, e = question["shares"]
    for _ in range(question["moves"]):
        move = problem.variable(len(box["low"]))
        problem.subject_to(problem.bounded(ca.DM(box["low"]), move, ca.DM(box["high"])))
        problem.subject_to(problem.bounded(-ca.DM(box["rate"]), move - before, ca.DM(box["rate"])))
        problem.set_initial(move, start)
        moves.append(move)
        before = move
        for _ in range(question["hold"]):
            chosen = state[question["chosen"]]
            for _ in range(_SETTLED):
                eta = share(question["pairs"][0], chosen, e)
                e = share(question["pairs"][1], chosen, eta)
            given = ca.MX(ca.DM(question["given"]))
            given[question["setpoints"]] = move
            given[place] = (backlog - zero) / spread
            words = ca.vertcat(state, given, eta, e)
            hidden = above(inner @ words + inner_bias) if inner.shape[0] else None
            added = linear @ words + bias - anchor
            state = state + (added if hidden is None else added + outer @ hidden)
            backlog = above(backlog + arrivals - question["capacity"] * eta * e)
            chosen = state[question["chosen"]]
            cost += by_eta * eta + by_backlog * backlog
            cost += by_wh * above(chosen[question["energy"]] - wh_zero)
            for at in range(len(low)):
                if np.isfinite(high[at]):
                    cost += penalty * above(chosen[at] - high[at]) ** 2
                if np.isfinite(low[at]):
                    cost += penalty * above(low[at] - chosen[at]) ** 2
    whole = cost + left * backlog
    problem.minimize(whole)
    options = {"max_iter": 300, "hessian_approximation": "limited-memory", "tol": 1e-6, "acceptable_tol": 1e-4}
    problem.solver("ipopt", {"print_time": False}, {"print_level": 0, "sb": "yes", **options})
    try:
        value, solved = problem.solve().value, True
    except RuntimeError:
        value, solved = problem.debug.value, False
    found = [np.atleast_1d(value(move)).tolist() for move in moves]
    return {"moves": found, "solved": solved, "cost": float(value(whole))}


def share(pair: list[Any], states: ca.MX, other: ca.MX) -> ca.MX:
    by_state, by_other, bias, outer, last = (ca.DM(np.array(part)) for part in pair)
    hidden = above(by_state.T @ states + by_other * other + bias)
    return 1 / (1 + ca.exp(-(outer.T @ hidden + last)))


def above(value: ca.MX) -> ca.MX:
    """max(value, 0) without the kink, at which IPOPT does not converge."""
    return (value + ca.sqrt(value**2 + _ROUND**2)) / 2


if __name__ == "__main__":
    main(*sys.argv[1:])
