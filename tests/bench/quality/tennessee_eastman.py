"""Simulates the Tennessee Eastman process under its controllers: run by the peers' Python, not imported.

PYTHON tennessee_eastman.py OUT.npz SEEDS DISTURBANCE...

Each run lasts 24 hours; the disturbance begins after two. A row is written every three minutes: the 22 continuous
measurements and the 12 valves. A run ends early where the plant shuts down.
"""

from __future__ import annotations

import sys

import numpy as np
from tep_studio.control.runner import ClosedLoopSimulation

_HOURS, _BEGINS, _INTERVAL, _EVERY = 24.0, 2.0, 0.0005, 100
_MEASURED, _DISTURBANCES = 22, 28


def main(out: str, seeds: str, *numbers: str) -> None:
    found = {}
    for number in map(int, numbers):
        for seed in range(int(seeds)):
            vector = np.zeros(_DISTURBANCES)
            vector[number - 1] = 1.0

            def schedule(at: float, vector: np.ndarray = vector) -> np.ndarray:
                return vector if at >= _BEGINS else np.zeros(_DISTURBANCES)

            plant = ClosedLoopSimulation(horizon=_HOURS, control_interval=_INTERVAL)
            result = plant.run(seed=float(1000 * number + seed + 1), disturbance_schedule=schedule, record_every=_EVERY)
            found[f"x{number}_{seed}"] = np.array([row.measurements[:_MEASURED] for row in result.results])
            found[f"u{number}_{seed}"] = np.array([row.implemented_action for row in result.results])
    np.savez(out, allow_pickle=False, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
