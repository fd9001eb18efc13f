"""Answers questions about setpoints with CasADi and IPOPT: run by the peers' Python, not imported.

PYTHON process_peer.py QUESTIONS.json

The model, its start, the cost and the bounds are the same numbers. eta and e are variables with phi and psi as
constraints, and rates are constraints, as one writes such a problem for IPOPT. It starts from the present setpoints,
from the middle of the bounds and from both ends; the best answer counts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np


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
    guess_eta, guess_e = question["shares"]
    for _ in range(question["moves"]):
        move = problem.variable(len(box["low"]))
        problem.subject_to(problem.bounded(ca.DM(box["low"]), move, ca.DM(box["high"])))
        problem.subject_to(problem.bounded(-ca.DM(box["rate"]), move - before, ca.DM(box["rate"])))
        problem.set_initial(move, start)
        moves.append(move)
        before = move
        for _ in range(question["hold"]):
            chosen = state[question["chosen"]]
            eta, e = problem.variable(), problem.variable()
            problem.set_initial(eta, guess_eta)
            problem.set_initial(e, guess_e)
            problem.subject_to(eta == share(question["pairs"][0], chosen, e))
            problem.subject_to(e == share(question["pairs"][1], chosen, eta))
            given = ca.MX(ca.DM(question["given"]))
            given[question["setpoints"]] = move
            given[place] = (backlog - zero) / spread
            words = ca.vertcat(state, given, eta, e)
            hidden = ca.fmax(inner @ words + inner_bias, 0) if inner.shape[0] else None
            added = linear @ words + bias - anchor
            state = state + (added if hidden is None else added + outer @ hidden)
            backlog = ca.fmax(backlog + arrivals - question["capacity"] * eta * e, 0)
            chosen = state[question["chosen"]]
            cost += by_eta * eta + by_backlog * backlog
            cost += by_wh * ca.fmax(chosen[question["energy"]] - wh_zero, 0)
            for at in range(len(low)):
                if np.isfinite(high[at]):
                    cost += penalty * ca.fmax(chosen[at] - high[at], 0) ** 2
                if np.isfinite(low[at]):
                    cost += penalty * ca.fmax(low[at] - chosen[at], 0) ** 2
    whole = cost + left * backlog
    problem.minimize(whole)
    problem.solver("ipopt", {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes", "ipopt.max_iter": 500})
    try:
        value, solved = problem.solve().value, True
    except RuntimeError:
        value, solved = problem.debug.value, False
    found = [np.atleast_1d(value(move)).tolist() for move in moves]
    return {"moves": found, "solved": solved, "cost": float(value(whole))}


def share(pair: list[Any], states: ca.MX, other: ca.MX) -> ca.MX:
    by_state, by_other, bias, outer, last = (ca.DM(np.array(part)) for part in pair)
    hidden = ca.fmax(by_state.T @ states + by_other * other + bias, 0)
    logit = ca.fmin(ca.fmax(outer.T @ hidden + last, -8), 8)
    return 1 / (1 + ca.exp(-logit))


if __name__ == "__main__":
    main(*sys.argv[1:])
